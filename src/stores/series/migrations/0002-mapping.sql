-- What old ledger rows were written under: mappings by `<name>@<version>`, settings of pipelines by digest. Append only, never changed.

create table series.mapping (
  version text primary key,
  body text not null,
  recorded_at timestamptz not null default now()
);

grant select, insert on series.mapping to oxbow_series;
grant select on series.mapping to oxbow_series_ro;
