-- Reprocessing (decision 0017): the jobs, and what the archive says of the readings of the open one.

create table series.reprocess_job (
  number int generated always as identity primary key,
  -- Event times [since, before).
  since timestamptz not null, before timestamptz not null check (before > since),
  -- Null: all.
  sids text[],
  pipeline text not null,
  phase text not null check (phase in ('read', 'compare', 'windows', 'done')),
  -- Where its phase goes on.
  place jsonb not null default '{}',
  counts jsonb not null default '{}',
  started_at timestamptz not null, changed_at timestamptz not null
);
-- One at a time.
create unique index reprocess_job_open on series.reprocess_job ((true)) where phase <> 'done';

-- A reading as the rules of today read its original bytes; emptied when the job is done. `arrival`: the order of the archive.
create table series.reprocess_original (
  series int, taken_at timestamptz, sequence bigint, arrival bigint generated always as identity,
  schema_id int not null, received_at timestamptz not null, firmware int not null, flags int not null, quality smallint, battery int,
  v0 float8, v1 float8, v2 float8, v3 float8, v4 float8, v5 float8, v6 float8, v7 float8,
  primary key (series, taken_at, sequence, arrival)
);

grant select, insert, update on series.reprocess_job to oxbow_series;
grant select, insert, truncate on series.reprocess_original to oxbow_series;
grant select on series.reprocess_job to oxbow_series_ro;
