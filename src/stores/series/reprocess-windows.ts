/** Closed windows of a span, and windows marked to be computed again until the stream has done them. */

import type { Pool } from 'pg'
import { DAY_MS, type EpochMs } from '../../model/units.ts'
import type { WindowKey } from '../../stream/sink.ts'
import { codeOfCause } from './commit-parts.ts'
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

/** Those that hold a reading or stand in the ledger, and are closed: an open one is computed from what is stored anyway. */
export async function closedWindows (pool: Pool, { series, day, from, to, sizesMs }: WindowsWanted): Promise<WindowKey[]> {
  const [dayStart, dayEnd] = [day * DAY_MS, (day + 1) * DAY_MS]
  const rows = await rowsOf(pool, `select w.series, w.size_ms, w.window_start from (
      select distinct l.series, l.size_ms, l.window_start from unnest($1::int[]) s (number) cross join series.metric m cross join lateral (
        select series, size_ms, window_start from series.window_revision w
         where w.series = s.number and w.metric = m.number and w.window_start >= $2 and w.window_start < $3 offset 0) l
      union
      select distinct r.series, size, to_timestamp(floor(extract(epoch from r.taken_at)::float8 * 1000 / size) * size / 1000)
        from series.reading r cross join unnest($4::int[]) size
       where r.series = any($1::int[]) and r.taken_at >= $2 and r.taken_at < $5) w
    join series.progress p on p.series = w.series and p.size_ms = w.size_ms and w.window_start + w.size_ms * interval '1 ms' <= p.closed_through
    where w.window_start >= $2 and w.window_start < $3 and w.window_start < $7 and w.window_start + w.size_ms * interval '1 ms' > $6
    order by w.window_start, w.size_ms, w.series`,
  [series, timeParameter(dayStart), timeParameter(dayEnd), sizesMs, timeParameter(dayEnd + Math.max(...sizesMs)), timeParameter(from), timeParameter(to)])
  return rows.map(([number, sizeMs, windowStart]) => ({ series: number as number, sizeMs: sizeMs as number, windowStart: windowStart as EpochMs }))
}

export async function markReprocessed (pool: Pool, windows: readonly WindowKey[], now: EpochMs): Promise<void> {
  await rowsOf(pool, `select series.mark_due(array_agg(u.series), array_agg(u.size), array_agg(u.ms), array_agg(coalesce(s.bus_partition, 0)::int), array_agg($4::int), array_agg($5::float8))
    from unnest($1::int[], $2::int[], $3::float8[]) u (series, size, ms) join series.sid s on s.number = u.series having count(*) > 0`,
  [...columns(windows), codeOfCause('reprocessed'), now])
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
