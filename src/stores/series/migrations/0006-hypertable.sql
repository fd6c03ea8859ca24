-- Readings on TimescaleDB (decision 0015). Where an administrator made the extension in this database before the first start, `reading` is a
-- hypertable, compressed after a week; everywhere else it stays as it is. What the server asks is the same; the functions below are what differs.

-- Holds a row where `reading` is a hypertable. `drops` counts retentions: chunks come by themselves, so a writer learns by it that days it noted are gone.
create table series.hypertable (drops bigint not null);
create unique index hypertable_once on series.hypertable ((true));

-- At the end of a commit. 23514, as where a partition is missing: retention dropped days since, the writer looks them up again.
create function series.assert_drops (known bigint) returns void language plpgsql as $$
begin
  if known is distinct from (select drops from series.hypertable) then
    raise exception 'readings were dropped since' using errcode = '23514';
  end if;
end $$;

-- How many readings stand in each hour that they were taken in, whole hours of [since, before).
create function series.readings_by_hour (since timestamptz, before timestamptz) returns table (hour timestamptz, series int, readings bigint) language sql stable as $$
  select date_trunc('hour', taken_at, 'UTC'), r.series, count(*) from series.reading r
   where taken_at >= date_trunc('hour', since, 'UTC') and taken_at < date_trunc('hour', before, 'UTC') group by 1, 2
$$;

-- Makes ordinary rows of the oldest `most` readings of the span (of all, when null) where they stand compressed: what is to be moved or deleted.
-- Gives the times of the first and the last of them; nothing where nothing was compressed.
create function series.loosen (series_in int, since timestamptz, before timestamptz, most int, out first_at timestamptz, out last_at timestamptz) language sql
as 'select null::timestamptz, null::timestamptz';

-- A move touches rows of both sides.
alter function series.move_readings (int, int, timestamptz, timestamptz, int, int[], timestamptz, int) rename to move_loose_readings;
revoke all on function series.move_loose_readings (int, int, timestamptz, timestamptz, int, int[], timestamptz, int) from oxbow_series;
create function series.move_readings (source int, target int, since timestamptz, before timestamptz, most int, sizes int[], at timestamptz, lookback int)
returns table (moved int, dropped int, conflicts int) language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  loose record := series.loosen(source, since, before, most);
begin
  if loose.last_at is not null then perform series.loosen(target, loose.first_at, loose.last_at + interval '1 us', null); end if;
  return query select * from series.move_loose_readings(source, target, since, before, most, sizes, at, lookback);
end $$;

-- The rows of `reading` go into a hypertable of its name, and the functions that differ are replaced. By the migration while nothing is stored; later by
-- hand, as the owner, with the server stopped (docs/operations.md).
create function series.use_hypertable () returns void language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $use$
declare
  api text := (select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'timescaledb');
  job int;
begin
  if api is null or current_setting('timescaledb.license', true) is distinct from 'timescale' then
    raise exception 'readings become a hypertable only where the extension timescaledb is made in this database, with its community part';
  end if;
  if exists (select from series.hypertable) then return; end if;
  lock table series.reading in access exclusive mode;
  alter table series.reading rename to reading_partitioned;
  create table series.reading (like series.reading_partitioned including defaults including constraints);
  alter table series.reading add primary key (series, taken_at, sequence);
  execute format('select %1$s.create_hypertable(%2$L, %1$s.by_range(%3$L, interval %4$L), create_default_indexes => false)', api, 'series.reading', 'taken_at', '1 day');
  insert into series.reading select * from series.reading_partitioned;
  drop table series.reading_partitioned;
  grant select on series.reading to oxbow_series, oxbow_series_ro;
  grant insert, update (battery, quality, flags, v0, v1, v2, v3, v4, v5, v6, v7) on series.reading to oxbow_series;

  -- One device's readings of up to a thousand stand packed together, in the order of the key: what every question asks for.
  alter table series.reading set (timescaledb.compress, timescaledb.compress_segmentby = 'series', timescaledb.compress_orderby = 'taken_at, sequence');
  execute format('select %s.add_compression_policy(%L, interval %L)', api, 'series.reading', '7 days');

  -- The last day is counted anew at each question; what changes in older hours shows within half an hour.
  execute format($view$
    create materialized view series.reading_hour with (timescaledb.continuous, timescaledb.materialized_only = false) as
    select %s.time_bucket(interval '1 hour', taken_at) as hour, series, count(*) as readings from series.reading group by 1, 2 with no data $view$, api);
  grant select on series.reading_hour to oxbow_series, oxbow_series_ro;
  execute format('select %s.add_continuous_aggregate_policy(%L, start_offset => null, end_offset => interval %L, schedule_interval => interval %L)',
    api, 'series.reading_hour', '1 day', '30 minutes') into job;
  -- Not in batches, which go by the days there are: what was counted on a dropped day between two others would stay.
  execute format($job$ select %1$s.alter_job(job_id, config => config || '{"buckets_per_batch": 0}') from timescaledb_information.jobs where job_id = %2$s $job$, api, job);

  insert into series.hypertable values (0);

  create or replace function series.readings_by_hour (since timestamptz, before timestamptz) returns table (hour timestamptz, series int, readings bigint) language sql stable as $$
    select h.hour, h.series, h.readings from series.reading_hour h where h.hour >= date_trunc('hour', since, 'UTC') and h.hour < date_trunc('hour', before, 'UTC')
  $$;

  -- Chunks come with their first row.
  create or replace function series.ensure_day (wanted date) returns void language sql as 'select';

  create or replace function series.loosen (series_in int, since timestamptz, before timestamptz, most int, out first_at timestamptz, out last_at timestamptz)
  language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' set timescaledb.max_tuples_decompressed_per_dml_transaction = 0 as $$
  begin
    select min(taken_at), max(taken_at) into first_at, last_at from (
      select taken_at from series.reading where series = series_in and taken_at >= since and taken_at < before order by taken_at, sequence limit most) picked;
    if not exists (select from timescaledb_information.chunks where hypertable_schema = 'series' and hypertable_name = 'reading' and is_compressed
                     and range_start <= last_at and range_end > first_at) then
      first_at := null;
      last_at := null;
      return;
    end if;
    -- TimescaleDB makes rows of what an UPDATE may meet; it is a statement of its own, so that the next ones meet ordinary rows alone.
    update series.reading set flags = flags where series = series_in and taken_at >= first_at and taken_at <= last_at;
  end $$;

  create or replace function series.drop_before (parent text, before timestamptz) returns text[] language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '2s' as $$
  declare
    api text := (select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'timescaledb');
    dropped text[];
    last timestamptz;
  begin
    if parent <> 'reading' then return series.drop_partitions_before(parent, before); end if;
    -- What is being committed ends first; what comes then meets the new count of drops.
    lock table only series.reading in share row exclusive mode;
    select array_agg('reading_' || to_char(range_start, 'YYYYMMDD') order by range_start), max(range_end) into dropped, last
      from timescaledb_information.chunks where hypertable_schema = 'series' and hypertable_name = 'reading' and range_end <= before;
    if dropped is null then return '{}'; end if;
    execute format('select %s.drop_chunks(%L, older_than => $1)', api, 'series.reading') using last;
    delete from series.day where day < last::date;
    update series.hypertable set drops = drops + 1;
    return dropped;
  end $$;
end $use$;

alter function series.drop_before (text, timestamptz) rename to drop_partitions_before;
revoke all on function series.drop_partitions_before (text, timestamptz) from oxbow_series;
create function series.drop_before (parent text, before timestamptz) returns text[] language sql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as 'select series.drop_partitions_before(parent, before)';

grant select on series.hypertable to oxbow_series, oxbow_series_ro;
revoke all on function series.use_hypertable (), series.assert_drops (bigint), series.readings_by_hour (timestamptz, timestamptz), series.loosen (int, timestamptz, timestamptz, int),
  series.move_readings (int, int, timestamptz, timestamptz, int, int[], timestamptz, int), series.drop_before (text, timestamptz) from public;
grant execute on function series.readings_by_hour (timestamptz, timestamptz) to oxbow_series, oxbow_series_ro;
grant execute on function series.assert_drops (bigint), series.loosen (int, timestamptz, timestamptz, int), series.drop_before (text, timestamptz),
  series.move_readings (int, int, timestamptz, timestamptz, int, int[], timestamptz, int) to oxbow_series;

-- Not where readings stand already: they stay as they are.
do $$ begin
  if current_setting('timescaledb.license', true) = 'timescale' and exists (select from pg_extension where extname = 'timescaledb')
     and not exists (select from pg_inherits where inhparent = 'series.reading'::regclass) then
    perform series.use_hypertable();
  end if;
end $$;
