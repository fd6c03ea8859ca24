/** How many readings the store holds, by the hour in which they were taken. What came in, by the hour of its arrival, stands in `counters.ts`. */

import type { Pool } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import { rowsOf } from './query.ts'
import { timeParameter } from './sql-values.ts'

export interface HeldHour {
  hour: EpochMs
  readings: number
  /** How many series they are of. */
  series: number
}

/** Whole hours of [from, until) that hold readings, ascending. In a hypertable what stands there is counted beforehand: the last day is exact, a change
 *  in an older hour shows within half an hour. Elsewhere every reading of the span is counted now. */
export async function heldByHour (pool: Pool, from: EpochMs, until: EpochMs): Promise<HeldHour[]> {
  const rows = await rowsOf(pool, 'select hour, sum(readings)::bigint, count(*)::int from series.readings_by_hour($1, $2) group by hour order by hour',
    [timeParameter(from), timeParameter(until)])
  return rows.map(([hour, readings, series]) => ({ hour: hour as EpochMs, readings: readings as number, series: series as number }))
}
