/** Windows that wait to be written again. They are marked and settled by commits. */

import type { Pool } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import type { DueAmendment } from '../../stream/sink.ts'
import { causeOf } from './commit-parts.ts'
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

/** When the next one is due in these partitions; `undefined`: none waits. */
export async function nextAmendmentAt (pool: Pool, partitions: readonly number[]): Promise<EpochMs | undefined> {
  const [row] = await rowsOf(pool, 'select min(not_before) from series.amendment_due where partition = any($1::smallint[])', [partitions])
  return (row![0] as EpochMs | null) ?? undefined
}
