/** Series -> how long their windows may be. */

import type { Pool } from 'pg'
import { rowsOf } from './query.ts'

/** Largest window size in ms that any of the series has closed; 0 when none has. */
export async function largestWindow (pool: Pool, series: readonly number[]): Promise<number> {
  const [row] = await rowsOf(pool, 'select coalesce(max(size_ms), 0) from series.progress where series = any($1::int[])', [series])
  return row![0] as number
}
