-- Jobs that were done lately are looked at again: readings that came behind them must not stay.
create index relabel_job_done on linkage.relabel_job (done_at) where state = 'done';
