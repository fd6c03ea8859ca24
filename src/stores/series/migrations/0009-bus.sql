-- The bus whose offsets stand here, as `platform/bus/bus-identity.ts` names it; written at the first start.
create table series.bus (identity text not null, one boolean primary key default true check (one));
grant select, insert on series.bus to oxbow_series;
grant select on series.bus to oxbow_series_ro;
