/** Windows that wait to be written again. They are marked and settled by commits. */

import type { Pool } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import type { AmendmentCause } from '../../model/window.ts'
import type { DueAmendment } from '../../stream/sink.ts'
import { causeOf, codeOfCause } from './commit-parts.ts'
import { rowsOf } from './query.ts'
import { timeParameter } from './sql-values.ts'

/** Due at `now` in these partitions, longest waiting first. */
export async function dueAmendments (pool: Pool, now: EpochMs, partitions: readonly number[], limit: number): Promise<DueAmendment[]> {
  const rows = await rowsOf(pool, `select series, partition, window_start, size_ms, cause, not_before, as_of from series.amendment_due
    where partition = any($1::smallint[]) and not_before <= $2 order by not_before, series, window_start, size_ms limit $3`, [partitions, timeParameter(now), limit])
  return rows.map(([series, partition, windowStart, sizeMs, cause, notBefore, asOf]) => ({
    series: series as number,
    partition: partition as number,
    windowStart: windowStart as EpochMs,
    sizeMs: sizeMs as number,
    cause: causeOf(cause as number),
    notBefore: notBefore as EpochMs,
    asOf: asOf as EpochMs
  }))
}

export interface WindowsToMark {
  series: readonly number[]
  /** Windows that overlap [since, until). */
  since: EpochMs
  until: EpochMs
  cause: AmendmentCause
  now: EpochMs
}

/** Marks every written window of the series that overlaps the span; they are written again by whoever owns their partition. @returns how many */
export async function markWindowsDue (pool: Pool, { series, since, until, cause, now }: WindowsToMark): Promise<number> {
  const [row] = await rowsOf(pool, `
    with found as (
      select distinct w.series, w.size_ms, w.window_start, coalesce(s.bus_partition, 0) as part
        from series.window_revision w join series.sid s on s.number = w.series
       where w.series = any($1::int[]) and w.window_start < $3 and w.window_start > $2::timestamptz - interval '1 day'
         and w.window_start + w.size_ms * interval '1 ms' > $2
    ), marked as (
      select series.mark_due(array_agg(series), array_agg(size_ms), array_agg(extract(epoch from window_start)::float8 * 1000), array_agg(part::int),
        array_agg($4::int), array_agg($5::float8)) from found having count(*) > 0
    )
    select (select count(*) from found)::int, (select count(*) from marked)`,
  [series, timeParameter(since), timeParameter(until), codeOfCause(cause), now])
  return row![0] as number
}
