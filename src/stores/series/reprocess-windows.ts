/** Closed windows of a span, and windows marked to be computed again until the stream has done them. */

import type { Pool } from 'pg'
import { DAY_MS, type EpochMs } from '../../model/units.ts'
import type { WindowKey } from '../../stream/sink.ts'
import { codeOfCause } from './commit-parts.ts'
import { givingWay } from './giving-way.ts'
import { rowsOf } from './query.ts'
import { timeParameter } from './sql-values.ts'

export interface WindowsWanted {
  series: readonly number[]
  /** Days since 1970; windows that overlap [from, to) and begin on it. */
  day: number
  from: EpochMs
  to: EpochMs
  sizesMs: readonly number[]
}

export interface WindowsFound {
  /** To be computed again. */
  backed: WindowKey[]
  /** That stand in the ledger on more readings than are stored: what is gone would be taken back, or be worse than it was. */
  unbackedCount: number
}

/** Those that hold a reading or stand in the ledger, and are closed: an open one is computed from what is stored anyway. Of a size that came into use on
 *  that day, only those from its first one on: what lies before was written in another size. */
export async function closedWindows (pool: Pool, { series, day, from, to, sizesMs }: WindowsWanted): Promise<WindowsFound> {
  const [dayStart, dayEnd] = [day * DAY_MS, (day + 1) * DAY_MS]
  const rows = await rowsOf(pool, `with written as (
      select series, size_ms, window_start, max(samples) as samples from unnest($1::int[]) s (number) cross join series.metric m cross join lateral (
        select distinct on (window_start, size_ms) series, size_ms, window_start, status,
               case form when 2 then json_array_length(samples) when 3 then 1 else coalesce(sample_count, 0) end as samples
          from series.window_revision w where w.series = s.number and w.metric = m.number and w.window_start >= $2 and w.window_start < $3
         order by window_start, size_ms, revision desc) l
       where status <> 3 group by series, size_ms, window_start
    ), sizes as (
      select distinct on (series, size) series, size, first from (
        select series, size_ms as size, min(window_start) as first from written group by series, size_ms
        union all
        select number, size, case when exists (select from written w where w.series = number) then $3::timestamptz else $2 end from unnest($1::int[]) s (number) cross join unnest($4::int[]) size) z
       order by series, size, first
    ), held as (
      select r.series, z.size, to_timestamp(floor(extract(epoch from r.taken_at)::float8 * 1000 / z.size) * z.size / 1000) as start, z.first, count(*) as readings
        from series.reading r join sizes z on z.series = r.series
       where r.series = any($1::int[]) and r.taken_at >= $2 and r.taken_at < $5 group by 1, 2, 3, 4
    )
    select p.series, p.size_ms, coalesce(w.window_start, h.start), coalesce(h.readings, 0) >= coalesce(w.samples, 0) and h.readings is not null
      from written w full join held h on h.series = w.series and h.size = w.size_ms and h.start = w.window_start
      join series.progress p on p.series = coalesce(w.series, h.series) and p.size_ms = coalesce(w.size_ms, h.size)
       and coalesce(w.window_start, h.start) + p.size_ms * interval '1 ms' <= p.closed_through
     where coalesce(w.window_start, h.start) >= $2 and coalesce(w.window_start, h.start) < $3
       and coalesce(w.window_start, h.start) < $7 and coalesce(w.window_start, h.start) + p.size_ms * interval '1 ms' > $6
       and (w.series is not null or h.size = any($4::int[]) and h.start >= h.first)
     order by 3, 2, 1`,
  [series, timeParameter(dayStart), timeParameter(dayEnd), sizesMs, timeParameter(dayEnd + Math.max(...sizesMs)), timeParameter(from), timeParameter(to)])
  const backed = rows.filter(row => row[3] === true).map(([number, sizeMs, windowStart]) => ({ series: number as number, sizeMs: sizeMs as number, windowStart: windowStart as EpochMs }))
  return { backed, unbackedCount: rows.length - backed.length }
}

/** Due at once, by whatever clock. Gives way to the commits of the stream, which may mark some of the same windows. */
export async function markReprocessed (pool: Pool, windows: readonly WindowKey[]): Promise<void> {
  await givingWay(pool, client => rowsOf(client, `select series.mark_due(array_agg(u.series), array_agg(u.size), array_agg(u.ms), array_agg(coalesce(s.bus_partition, 0)::int), array_agg($4::int), array_agg(0::float8))
    from unnest($1::int[], $2::int[], $3::float8[]) u (series, size, ms) join series.sid s on s.number = u.series having count(*) > 0`,
  [...columns(windows), codeOfCause('reprocessed')]))
}

/** How many of these windows are still to be done. One put off since, for late readings or until it is closed, will be done without us. */
export async function countDue (pool: Pool, windows: readonly WindowKey[], markedAt: EpochMs): Promise<number> {
  const [row] = await rowsOf(pool, `select count(*) from unnest($1::int[], $2::int[], $3::float8[]) u (series, size, ms)
    join series.amendment_due a on a.series = u.series and a.size_ms = u.size and a.window_start = to_timestamp(u.ms / 1000) where a.not_before <= $4`,
  [...columns(windows), timeParameter(markedAt)])
  return row![0] as number
}

/** Revisions that these windows have, of all metrics. Each is looked up by its key, and no month of the ledger is read for it. */
export async function countRevisions (pool: Pool, windows: readonly WindowKey[]): Promise<number> {
  const starts = windows.map(({ windowStart }) => windowStart)
  const [row] = await rowsOf(pool, `select coalesce(sum(l.count), 0) from unnest($1::int[], $2::int[], $3::float8[]) u (series, size, ms) cross join series.metric m cross join lateral (
      select count(*)::int as count from series.window_revision w where w.series = u.series and w.metric = m.number and w.window_start = to_timestamp(u.ms / 1000) and w.size_ms = u.size
        and w.window_start >= $4 and w.window_start <= $5) l`,
  [...columns(windows), timeParameter(Math.min(...starts)), timeParameter(Math.max(...starts))])
  return row![0] as number
}

function columns (windows: readonly WindowKey[]): [number[], number[], number[]] {
  return [windows.map(({ series }) => series), windows.map(({ sizeMs }) => sizeMs), windows.map(({ windowStart }) => windowStart)]
}

/** Numbers of the series that may hold something on the day, ascending, behind `after`. @param among absent: all */
export async function seriesOnDay (pool: Pool, day: number, after: number, limit: number, among: readonly number[] | undefined): Promise<number[]> {
  const rows = await rowsOf(pool, `select number from series.sid s where number > $2 and ($4::int[] is null or number = any($4))
      and (exists (select from series.day d where d.series = s.number and d.day = date '1970-01-01' + $1::int)
        or exists (select from series.metric m where exists (
          select from series.window_revision w where w.series = s.number and w.metric = m.number and w.window_start >= $5 and w.window_start < $6)))
    order by number limit $3`, [day, after, limit, among, timeParameter(day * DAY_MS), timeParameter((day + 1) * DAY_MS)])
  return rows.map(([number]) => number as number)
}
