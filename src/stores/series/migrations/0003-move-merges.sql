-- A reading that the target holds already is merged, as one that arrives twice is: what is absent is filled, and where two values differ
-- the one that came first stays. The source's came first: the target took readings only once the association was corrected.
drop function series.move_readings (int, int, timestamptz, timestamptz, int, int[], timestamptz, int);

-- Moves at most `most` readings, oldest first, to another series. `dropped`: the target held them already; `conflicts`: of these, with another value.
create function series.move_readings (source int, target int, since timestamptz, before timestamptz, most int, sizes int[], at timestamptz, lookback int)
returns table (moved int, dropped int, conflicts int) language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' set plan_cache_mode = force_custom_plan as $$
declare
  last_at timestamptz;
  last_sequence bigint;
  times timestamptz[];
  part int := coalesce((select bus_partition from series.sid where number = target), (select bus_partition from series.sid where number = source), 0);
begin
  -- A range of the key and no join: of a series that got its rows since the last ANALYZE the planner expects one row, and joins in n².
  select taken_at, sequence into last_at, last_sequence from (
    select taken_at, sequence from series.reading
     where series = source and taken_at >= since and taken_at < before order by taken_at, sequence limit most
  ) picked order by taken_at desc, sequence desc limit 1;
  with gone as (
    delete from series.reading r
     where r.series = source and r.taken_at >= since and r.taken_at <= last_at and (r.taken_at, r.sequence) <= (last_at, last_sequence)
    returning r.*
  ), there as (
    -- As they stood before this statement; looked up one by one.
    select g.battery <> t.battery or g.quality <> t.quality or g.v0 <> t.v0 or g.v1 <> t.v1 or g.v2 <> t.v2 or g.v3 <> t.v3
        or g.v4 <> t.v4 or g.v5 <> t.v5 or g.v6 <> t.v6 or g.v7 <> t.v7 as differs
      from gone g cross join lateral (
        select * from series.reading r where r.series = target and r.taken_at = g.taken_at and r.sequence = g.sequence limit 1) t
  ), put as (
    insert into series.reading as t
    select target, schema_id, taken_at, sequence, src_offset, firmware, flags, partition, quality, battery, v0, v1, v2, v3, v4, v5, v6, v7 from gone
        on conflict (series, taken_at, sequence) do update
       set schema_id = excluded.schema_id, src_offset = excluded.src_offset, firmware = excluded.firmware, partition = excluded.partition,
           flags = t.flags | excluded.flags, quality = coalesce(excluded.quality, t.quality), battery = coalesce(excluded.battery, t.battery),
           v0 = coalesce(excluded.v0, t.v0), v1 = coalesce(excluded.v1, t.v1), v2 = coalesce(excluded.v2, t.v2), v3 = coalesce(excluded.v3, t.v3),
           v4 = coalesce(excluded.v4, t.v4), v5 = coalesce(excluded.v5, t.v5), v6 = coalesce(excluded.v6, t.v6), v7 = coalesce(excluded.v7, t.v7)
    returning 1
  )
  select array_agg(taken_at), count(*), (select count(*) from there), (select count(*) filter (where differs) from there)
    into times, moved, dropped, conflicts from gone;
  if moved > 0 then
    moved := moved - dropped;
    insert into series.day select distinct target, t::date from unnest(times) t on conflict do nothing;
    perform series.mark_windows(target, sizes, times, part, 1, at, lookback);
    perform series.mark_windows(source, sizes, times, coalesce((select bus_partition from series.sid where number = source), part), 1, at, lookback);
    if dropped > 0 then
      insert into series.counter_delta
      values (array[target], array[floor(extract(epoch from at) / 3600)::int], array[0], array[-dropped], array[dropped - conflicts], array[conflicts]);
    end if;
  end if;
  return next;
end $$;

revoke all on function series.move_readings (int, int, timestamptz, timestamptz, int, int[], timestamptz, int) from public;
grant execute on function series.move_readings (int, int, timestamptz, timestamptz, int, int[], timestamptz, int) to oxbow_series;

-- Deletes readings that are durable elsewhere by now, and marks their windows. One by one, for the same reason.
create or replace function series.remove_readings (source int, times timestamptz[], sequences bigint[], sizes int[], at timestamptz, lookback int) returns int language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
  removed int := 0;
begin
  for place in 1 .. coalesce(cardinality(times), 0) loop
    delete from series.reading r where r.series = source and r.taken_at = times[place] and r.sequence = sequences[place];
    if found then removed := removed + 1; end if;
  end loop;
  perform series.mark_windows(source, sizes, times, coalesce((select bus_partition from series.sid where number = source), 0), 1, at, lookback);
  return removed;
end $$;
