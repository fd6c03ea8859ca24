/** Old readings and windows go by whole partitions. */

import type { Pool } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import { rowsOf } from './query.ts'
import { timeParameter } from './sql-values.ts'

/** Drops the partitions (in a hypertable the chunks) that end at or before `time`: UTC days of readings, UTC months of windows with all their revisions.
 *  Readings stay while the archive does not have them: nothing behind `archivedThrough` goes, and nothing at all when it is `undefined`.
 *  @returns names of what was dropped; a partition in use stays for the next call (55P03 is thrown and nothing was dropped) */
export async function dropBefore (pool: Pool, kind: 'reading' | 'window', time: EpochMs, archivedThrough: EpochMs | undefined): Promise<readonly string[]> {
  if (kind === 'window') return drop(pool, 'window_revision', time)
  return archivedThrough === undefined ? [] : drop(pool, 'reading', Math.min(time, archivedThrough))
}

async function drop (pool: Pool, parent: 'reading' | 'window_revision', before: number): Promise<readonly string[]> {
  const [row] = await rowsOf(pool, 'select series.drop_before($1, $2)', [parent, timeParameter(before)])
  return row![0] as string[]
}
