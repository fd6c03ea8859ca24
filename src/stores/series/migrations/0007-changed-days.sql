-- Which series changed on which days, for whoever keeps files of whole days (stores/archive/parquet). Nothing is noted before somebody watches.

-- At most one row: what changes among the readings of this UTC day, or of one before, is noted in the transaction that changes it.
create table series.watched (through date not null);
create unique index watched_once on series.watched ((true));

create sequence series.change_number;

-- Series and days whose readings changed since they were settled. The number is new with every change; 0: not looked at since the day was first watched.
create table series.changed_day (series int, day date, number bigint not null, primary key (series, day)) with (fillfactor = 50);
create index changed_day_by_number on series.changed_day (number, series, day);

-- Days whose readings retention dropped: what is stored there afterwards begins anew.
create table series.dropped_day (day date primary key, number bigint not null);

-- Whoever holds it knows that nobody begins to watch, and nothing is dropped, before the transaction ends.
create function series.hold_watched () returns date language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(hashtext('oxbow series watched'));
  return (select through from series.watched);
end $$;

-- Notes what changed on watched days. Days count from 1970.
create function series.mark_changed (series_in int[], days int[]) returns void language plpgsql as $$
declare
  watched date := series.hold_watched();
begin
  insert into series.changed_day (series, day, number)
  select s, date '1970-01-01' + d, nextval('series.change_number') from (select distinct s, d from unnest(series_in, days) u (s, d) order by s, d) pairs
   where date '1970-01-01' + d <= watched
      on conflict (series, day) do update set number = excluded.number;
end $$;

-- First in a commit that holds readings. OX002: the writer did not know how far is watched (`known`; null: nothing), so it leaves out what it has to note.
create function series.begin_rows (known date) returns void language plpgsql as $$
begin
  if series.hold_watched() is distinct from known then raise exception 'other days are watched' using errcode = 'OX002'; end if;
end $$;

-- From now on changes through `wanted` are noted, or through the seventh further day that holds rows, so that nobody waits for long where much is stored;
-- every day that was not watched before and may hold rows is noted once. Waits for what is being committed.
create function series.watch (wanted date) returns void language plpgsql set lock_timeout = '2s' as $$
declare
  before date := (select through from series.watched);
begin
  if before >= wanted then return; end if;
  perform pg_advisory_xact_lock(hashtext('oxbow series watched'));
  before := (select through from series.watched);
  if before >= wanted then return; end if;
  select case when count(*) < 7 then wanted else least(wanted, max(day)) end into wanted
    from (select distinct day from series.day where day > coalesce(before, '-infinity') order by day limit 7) days;
  if before is null then insert into series.watched values (wanted);
  else update series.watched set through = wanted; end if;
  insert into series.changed_day (series, day, number)
  select series, day, 0 from series.day where day <= wanted and day > coalesce(before, '-infinity') on conflict do nothing;
end $$;

-- Ahead of a retention of readings: until when they may go, so that no day goes whose changes are not settled. Null: nothing is watched.
create function series.hold_drops () returns date language plpgsql set lock_timeout = '2s' as $$
begin
  perform pg_advisory_xact_lock(hashtext('oxbow series watched'));
  return (select least(through + 1, (select min(day) from series.changed_day)) from series.watched);
end $$;

create function series.note_dropped (days date[]) returns void language sql as $$
  insert into series.dropped_day (day, number) select d, nextval('series.change_number') from unnest(days) d on conflict (day) do update set number = excluded.number
$$;

revoke all on function series.hold_watched (), series.mark_changed (int[], int[]), series.begin_rows (date), series.watch (date), series.hold_drops (),
  series.note_dropped (date[]) from public;
grant execute on function series.hold_watched (), series.mark_changed (int[], int[]), series.begin_rows (date), series.watch (date), series.hold_drops (),
  series.note_dropped (date[]) to oxbow_series;
grant select on series.watched, series.changed_day, series.dropped_day to oxbow_series, oxbow_series_ro;
grant insert, update on series.watched, series.changed_day, series.dropped_day to oxbow_series;
grant delete on series.changed_day to oxbow_series;
grant usage on sequence series.change_number to oxbow_series;
