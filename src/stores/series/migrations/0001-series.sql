-- Readings, ledger of closed windows, resume points: everything of the stream, by series number.
-- same as cb1f313989c23bd1c905261182025cbb26d644edab6b7200109e2d9be6a34f50
-- Runs in the series database as its owner. The logins own nothing: partitions come and go through functions of the owner.

create schema series;
-- ---------------------------------------------------------------- names

-- Text form of a sid, check symbol included (privacy.md §4.1).
create function series.is_sid (candidate text) returns boolean language plpgsql immutable strict parallel safe
set search_path = pg_catalog as $$
declare
  alphabet constant text := '0123456789abcdefghjkmnpqrstvwxyz';
  remainder int := 0;
begin
  if candidate collate "C" !~ '^s1[0-7][0-9a-hjkmnp-tv-z]{26}$' then return false; end if;
  for place in 3..28 loop
    remainder := (remainder * 32 + strpos(alphabet, substr(candidate, place, 1)) - 1) % 37;
  end loop;
  return remainder = strpos(alphabet, substr(candidate, 29, 1)) - 1;
end $$;

create table series.sid (
  number int generated always as identity primary key,
  sid text not null unique check (series.is_sid(sid)),
  model text not null,
  -- Partition of the bus that carries the series; unknown until its first reading came.
  bus_partition smallint
);
create index sid_by_partition on series.sid (bus_partition, number);

-- Which metric a channel position of `reading` means. Append only.
create table series.channel (
  model text not null,
  position smallint not null check (position between 0 and 7),
  metric text not null,
  primary key (model, position),
  unique (model, metric)
);

create table series.metric (number smallint generated always as identity primary key, name text not null unique);

-- What made a derived value; `calibration` and `firmware` are numbers of the linkage store.
create table series.provenance (
  number int generated always as identity primary key,
  pipeline_version text not null,
  dag_digest text not null,
  mapping_version text not null,
  calibration int not null,
  firmware int not null,
  schema_id int not null,
  unique (pipeline_version, dag_digest, mapping_version, calibration, firmware, schema_id)
);

-- ---------------------------------------------------------------- readings

-- Raw values. v0 … v7 are the model's channels; absent is null. One partition per UTC day. The order of the columns leaves no padding.
create table series.reading (
  series int not null,
  schema_id int not null,
  taken_at timestamptz not null,
  sequence bigint not null,
  src_offset bigint not null,
  firmware int not null,
  flags int not null,
  partition smallint not null,
  quality smallint,
  battery int,
  v0 float8, v1 float8, v2 float8, v3 float8, v4 float8, v5 float8, v6 float8, v7 float8,
  primary key (series, taken_at, sequence)
) partition by range (taken_at);

-- On which days a series may hold rows: keeps every look-up inside the partitions that matter.
create table series.day (series int not null, day date not null, primary key (series, day));
create index day_by_day on series.day (day);

-- ---------------------------------------------------------------- ledger

-- One row per revision of a window of a metric; none is ever changed. One partition per UTC month.
create table series.window_revision (
  window_start timestamptz not null,
  from_at timestamptz not null,
  until_at timestamptz not null,
  issued timestamptz not null,
  watermark timestamptz not null,
  number bigint not null,
  series int not null,
  size_ms int not null,
  revision int not null,
  flags int not null,
  writer smallint not null,
  metric smallint not null,
  status smallint not null check (status between 0 and 3), -- final, amended, corrected, entered-in-error
  form smallint not null check (form between 0 and 3),     -- empty, sampled, singles, last
  -- sampled: time of the first token, period in hundredths of a ms, tokens one space apart
  grid_start timestamptz,
  grid_period int,
  token_count int,
  -- statistics; absent when sample_count is null
  sample_count int,
  expected_count int,
  coverage float8,
  minimum float8,
  maximum float8,
  mean float8,
  rate_per_minute float8,
  residual_sd float8,
  quality float8,
  -- numbers in series.provenance, in order; sources: (place in that array, partition, first offset, last offset) repeating
  provenance int[] not null,
  sources bigint[] not null,
  data text,
  -- singles: [[taken_at ms, sequence, value], …]; last: [taken_at ms, [[metric, value], …]]
  samples json,
  deficit json,
  primary key (series, metric, window_start, size_ms, revision)
) partition by range (window_start);
create unique index window_revision_by_number on series.window_revision (writer, number, window_start);
create index window_revision_by_issued on series.window_revision (series, metric, issued);

-- Every Observation id that a window has or had. kind: 0 sampled, 1 single, 2 panel, 3 numeric, 4 mean, 5 rate, 6 deficit.
create table series.view (
  id uuid primary key,
  window_start timestamptz not null,
  series int not null,
  size_ms int not null,
  metric smallint not null,
  kind smallint not null check (kind between 0 and 6),
  taken_at timestamptz,
  sequence bigint
);

-- ---------------------------------------------------------------- the stream's own state

create table series.writer (id smallint primary key, next_number bigint not null) with (fillfactor = 50);
create table series.resume_point (topic text, partition smallint, next_offset bigint not null, primary key (topic, partition)) with (fillfactor = 50);
create table series.progress (series int, size_ms int, closed_through timestamptz not null, primary key (series, size_ms)) with (fillfactor = 50);

-- cause: 0 late, 1 association, 2 reprocessed, 3 recalibrated, 4 withdrawn; the higher is the stronger.
create table series.amendment_due (
  series int, size_ms int, window_start timestamptz,
  partition smallint not null,
  cause smallint not null check (cause between 0 and 4),
  not_before timestamptz not null,
  as_of timestamptz not null,
  primary key (series, window_start, size_ms)
);
create index amendment_due_by_time on series.amendment_due (partition, not_before);

-- Law 4: accepted = stored + duplicate + conflict, per series and hour of arrival. A commit adds one row of deltas for all its series
-- (hour: hours since 1970); fold_counters adds them up now and then. series.counts is the truth at any time.
create table series.counter (
  series int, hour timestamptz,
  accepted bigint not null, stored bigint not null, duplicate bigint not null, conflict bigint not null,
  primary key (series, hour)
) with (fillfactor = 50);
create table series.counter_delta (
  series int[] not null, hour int[] not null, accepted int[] not null, stored int[] not null, duplicate int[] not null, conflict int[] not null
);
alter table series.counter_delta
  alter series set storage external, alter hour set storage external, alter accepted set storage external,
  alter stored set storage external, alter duplicate set storage external, alter conflict set storage external;

create view series.counts as
  select series, hour, sum(accepted)::bigint as accepted, sum(stored)::bigint as stored, sum(duplicate)::bigint as duplicate, sum(conflict)::bigint as conflict
    from (select series, hour, accepted, stored, duplicate, conflict from series.counter
          union all
          select u.s, to_timestamp(u.h * 3600::float8), u.a, u.st, u.d, u.co
            from series.counter_delta c, unnest(c.series, c.hour, c.accepted, c.stored, c.duplicate, c.conflict) u (s, h, a, st, d, co)) parts
   group by series, hour;

-- ---------------------------------------------------------------- rollups

create view series.latest_window as
  select distinct on (series, metric, window_start, size_ms) *
    from series.window_revision
   order by series, metric, window_start desc, size_ms desc, revision desc;

create view series.rollup_minute as
  select series, metric, date_trunc('minute', window_start, 'UTC') as minute,
         sum(sample_count) as sample_count, min(minimum) as minimum, max(maximum) as maximum,
         sum(mean * sample_count) / nullif(sum(sample_count) filter (where mean is not null), 0) as mean
    from series.latest_window
   where status <> 3 and sample_count is not null and size_ms <= 60000
   group by series, metric, date_trunc('minute', window_start, 'UTC');

create view series.rollup_hour as
  select series, metric, date_trunc('hour', window_start, 'UTC') as hour,
         sum(sample_count) as sample_count, min(minimum) as minimum, max(maximum) as maximum,
         sum(mean * sample_count) / nullif(sum(sample_count) filter (where mean is not null), 0) as mean
    from series.latest_window
   where status <> 3 and sample_count is not null and size_ms <= 3600000
   group by series, metric, date_trunc('hour', window_start, 'UTC');

-- ---------------------------------------------------------------- partitions

-- Makes the partition of `reading` for a UTC day. Attaching locks the table less than creating the partition in place.
create function series.ensure_day (wanted date) returns void language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  name text := 'reading_' || to_char(wanted, 'YYYYMMDD');
begin
  if to_regclass('series.' || name) is not null then return; end if;
  perform pg_advisory_xact_lock(hashtext('oxbow series partitions'));
  -- Not to_regclass: its cache does not see what was committed while this waited for the lock.
  perform from pg_class where relname = name and relnamespace = 'series'::regnamespace;
  if found then return; end if;
  execute format('create table series.%I (like series.reading including defaults including constraints)', name);
  execute format('alter table series.reading attach partition series.%I for values from (%L) to (%L)',
    name, wanted::timestamptz, (wanted + 1)::timestamptz);
end $$;

-- Makes the partition of `window_revision` for the UTC month that holds `wanted`.
create function series.ensure_month (wanted date) returns void language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  first date := date_trunc('month', wanted)::date;
  name text := 'window_revision_' || to_char(first, 'YYYYMM');
begin
  if to_regclass('series.' || name) is not null then return; end if;
  perform pg_advisory_xact_lock(hashtext('oxbow series partitions'));
  -- Not to_regclass: its cache does not see what was committed while this waited for the lock.
  perform from pg_class where relname = name and relnamespace = 'series'::regnamespace;
  if found then return; end if;
  execute format('create table series.%I (like series.window_revision including defaults including constraints)', name);
  execute format('alter table series.window_revision attach partition series.%I for values from (%L) to (%L)',
    name, first::timestamptz, (first + interval '1 month')::date::timestamptz);
end $$;

-- Drops whole partitions that end at or before `before`: of `reading` or of `window_revision` (with the view ids of its windows).
-- A partition in use for longer than the lock time-out stays; the next call takes it.
create function series.drop_before (parent text, before timestamptz) returns text[] language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set lock_timeout = '2s' as $$
declare
  step interval := case parent when 'reading' then interval '1 day' when 'window_revision' then interval '1 month' end;
  child record;
  dropped text[] := '{}';
  last timestamptz;
begin
  if step is null then raise exception 'no retention for %', parent; end if;
  for child in
    select c.relname as name, to_timestamp(rpad(substring(c.relname from '[0-9]+$'), 8, '01'), 'YYYYMMDD') + step as ends
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = ('series.' || parent)::regclass
     order by 2
  loop
    exit when child.ends > before;
    execute format('drop table series.%I', child.name);
    dropped := dropped || child.name::text;
    last := child.ends;
  end loop;
  if parent = 'reading' then delete from series.day where day < last::date;
  else delete from series.view where window_start < last; end if;
  return dropped;
end $$;

-- ---------------------------------------------------------------- parts of a commit
-- Functions, so that each session plans them once. OX001: another writer was here; the caller gives up its state and reads anew.

create function series.resume_at (topics text[], partitions int[], offsets bigint[]) returns void language plpgsql as $$
declare
  written int;
begin
  insert into series.resume_point as p (topic, partition, next_offset)
  select * from unnest(topics, partitions, offsets)
      on conflict (topic, partition) do update set next_offset = excluded.next_offset
   where p.next_offset <= excluded.next_offset;
  get diagnostics written = row_count;
  if written < cardinality(topics) then
    raise exception 'another writer is further in this partition' using errcode = 'OX001';
  end if;
end $$;

create function series.take_numbers (writer_in int, first bigint, count int) returns void language plpgsql as $$
begin
  update series.writer set next_number = first + count where id = writer_in and next_number = first;
  if not found then raise exception 'another process writes as this writer' using errcode = 'OX001'; end if;
end $$;

create function series.close_windows (series_in int[], sizes int[], through_ms float8[]) returns void language plpgsql as $$
begin
  insert into series.progress as p (series, size_ms, closed_through)
  select s, size, to_timestamp(max(ms) / 1000) from unnest(series_in, sizes, through_ms) u (s, size, ms) group by s, size
      on conflict (series, size_ms) do update set closed_through = excluded.closed_through
   where p.closed_through < excluded.closed_through;
end $$;

create function series.mark_due (series_in int[], sizes int[], starts_ms float8[], partitions int[], causes int[], not_before_ms float8[])
returns void language plpgsql as $$
begin
  insert into series.amendment_due as a (series, size_ms, window_start, partition, cause, not_before, as_of)
  select s, size, to_timestamp(start / 1000), max(part), max(cause), to_timestamp(max(due) / 1000), to_timestamp(max(due) / 1000)
    from unnest(series_in, sizes, starts_ms, partitions, causes, not_before_ms) u (s, size, start, part, cause, due)
   group by s, size, start
      on conflict (series, window_start, size_ms) do update
     set partition = excluded.partition, cause = greatest(a.cause, excluded.cause), not_before = greatest(a.not_before, excluded.not_before),
         as_of = greatest(a.as_of + interval '1 ms', excluded.as_of);
end $$;

-- What a changed window changes beside itself: the window before it, whose deficit looks ahead, and every window that holds one of the next
-- `lookback` readings, whose flags look back.
create function series.mark_neighbours (series_in int[], sizes int[], starts_ms float8[], partitions int[], cause int, not_before_ms float8[], lookbacks int[])
returns void language sql set timezone = 'UTC' as $$
  select series.mark_due(array_agg(s), array_agg(size), array_agg(start), array_agg(part), array_agg(cause), array_agg(due)) from (
    select u.s, u.size, near.start, u.part, u.due
      from unnest(series_in, sizes, starts_ms, partitions, not_before_ms, lookbacks) u (s, size, start, part, due, lookback)
      cross join lateral (
        select u.start - u.size as start
        union
        select floor(extract(epoch from r.taken_at)::float8 * 1000 / u.size) * u.size from (
          select inside.taken_at
            from (select day from series.day where series = u.s and day >= to_timestamp((u.start + u.size) / 1000)::date order by day limit 4) d
            cross join lateral (
              select taken_at from series.reading
               where series = u.s and taken_at >= greatest(to_timestamp((u.start + u.size) / 1000), d.day::timestamptz) and taken_at < (d.day + 1)::timestamptz
               order by taken_at limit u.lookback) inside
           order by inside.taken_at limit u.lookback) r
      ) near) w
  having count(*) > 0
$$;

create function series.settle (series_in int[], sizes int[], starts_ms float8[], as_of_ms float8[]) returns void language plpgsql as $$
begin
  delete from series.amendment_due a using unnest(series_in, sizes, starts_ms, as_of_ms) u (s, size, start, as_of)
   where a.series = u.s and a.size_ms = u.size and a.window_start = to_timestamp(u.start / 1000) and a.as_of <= to_timestamp(u.as_of / 1000);
end $$;

create function series.fold_counters () returns void language plpgsql as $$
begin
  if not pg_try_advisory_xact_lock(hashtext('oxbow series counters')) then return; end if;
  with gone as (delete from series.counter_delta returning *)
  insert into series.counter as c (series, hour, accepted, stored, duplicate, conflict)
  select u.s, to_timestamp(u.h * 3600::float8), sum(u.a), sum(u.st), sum(u.d), sum(u.co)
    from gone, unnest(gone.series, gone.hour, gone.accepted, gone.stored, gone.duplicate, gone.conflict) u (s, h, a, st, d, co) group by u.s, u.h
      on conflict (series, hour) do update
     set accepted = c.accepted + excluded.accepted, stored = c.stored + excluded.stored,
         duplicate = c.duplicate + excluded.duplicate, conflict = c.conflict + excluded.conflict;
end $$;

-- Series on days: kept before the rows are, so that no row stands on a day that is not noted.
create function series.note_days (series_in int[], days int[]) returns void language plpgsql as $$
begin
  insert into series.day (series, day) select s, date '1970-01-01' + d from unnest(series_in, days) u (s, d) on conflict do nothing;
end $$;

-- ---------------------------------------------------------------- late correction of an association

-- Windows of the given sizes that hold the given times, marked to be written again.
create function series.mark_windows (target int, sizes int[], times timestamptz[], part int, cause int, due timestamptz, lookback int) returns void language sql as $$
  select series.mark_due(array_agg(target), array_agg(size), array_agg(start), array_agg(part), array_agg(cause), array_agg(extract(epoch from due)::float8 * 1000))
    from (select distinct size, floor(extract(epoch from t)::float8 * 1000 / size) * size as start
            from unnest(sizes) size, unnest(times) t) w
  having count(*) > 0;
  select series.mark_neighbours(array_agg(target), array_agg(size), array_agg(start), array_agg(part), cause, array_agg(extract(epoch from due)::float8 * 1000), array_agg(lookback))
    from (select distinct size, floor(extract(epoch from t)::float8 * 1000 / size) * size as start
            from unnest(sizes) size, unnest(times) t) w
  having count(*) > 0
$$;

-- Moves at most `most` readings, oldest first, to another series. One that the target holds already is dropped and counted as duplicate there.
create function series.move_readings (source int, target int, since timestamptz, before timestamptz, most int, sizes int[], at timestamptz, lookback int)
returns table (moved int, dropped int) language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set plan_cache_mode = force_custom_plan as $$
declare
  times timestamptz[];
  part int := coalesce((select bus_partition from series.sid where number = target), (select bus_partition from series.sid where number = source), 0);
begin
  with picked as (
    select taken_at, sequence from series.reading
     where series = source and taken_at >= since and taken_at < before order by taken_at, sequence limit most for update
  ), gone as (
    delete from series.reading r using picked p
     where r.series = source and r.taken_at = p.taken_at and r.sequence = p.sequence and r.taken_at >= since and r.taken_at < before
    returning r.*
  ), put as (
    insert into series.reading
    select target, schema_id, taken_at, sequence, src_offset, firmware, flags, partition, quality, battery, v0, v1, v2, v3, v4, v5, v6, v7 from gone
        on conflict do nothing returning 1
  )
  select array_agg(taken_at), count(*), count(*) - (select count(*) from put) into times, moved, dropped from gone;
  if moved > 0 then
    moved := moved - dropped;
    insert into series.day select distinct target, t::date from unnest(times) t on conflict do nothing;
    perform series.mark_windows(target, sizes, times, part, 1, at, lookback);
    perform series.mark_windows(source, sizes, times, coalesce((select bus_partition from series.sid where number = source), part), 1, at, lookback);
    if dropped > 0 then
      insert into series.counter_delta values (array[target], array[floor(extract(epoch from at) / 3600)::int], array[0], array[-dropped], array[dropped], array[0]);
    end if;
  end if;
  return next;
end $$;

-- Deletes readings that are durable elsewhere by now, and marks their windows.
create function series.remove_readings (source int, times timestamptz[], sequences bigint[], sizes int[], at timestamptz, lookback int) returns int language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set plan_cache_mode = force_custom_plan as $$
declare
  removed int;
  low timestamptz := (select min(t) from unnest(times) t);
  high timestamptz := (select max(t) from unnest(times) t);
begin
  delete from series.reading r using unnest(times, sequences) u (t, n)
   where r.series = source and r.taken_at = u.t and r.sequence = u.n and r.taken_at between low and high;
  get diagnostics removed = row_count;
  perform series.mark_windows(source, sizes, times, coalesce((select bus_partition from series.sid where number = source), 0), 1, at, lookback);
  return removed;
end $$;

-- ---------------------------------------------------------------- rights

revoke all on all functions in schema series from public;
grant usage on schema series to oxbow_series, oxbow_series_ro;
grant select on all tables in schema series to oxbow_series, oxbow_series_ro;
grant insert on series.sid, series.channel, series.metric, series.provenance, series.reading, series.day, series.window_revision, series.view,
  series.writer, series.resume_point, series.progress, series.amendment_due, series.counter, series.counter_delta to oxbow_series;
grant update (bus_partition) on series.sid to oxbow_series;
grant update (battery, quality, v0, v1, v2, v3, v4, v5, v6, v7) on series.reading to oxbow_series;
grant update on series.writer, series.resume_point, series.progress, series.amendment_due, series.counter to oxbow_series;
grant delete on series.amendment_due, series.counter_delta to oxbow_series;
grant execute on all functions in schema series to oxbow_series;
grant execute on function series.is_sid (text) to oxbow_series_ro;
