/** Old readings and windows go by whole partitions. */

import type { Pool, PoolClient } from 'pg'
import { DAY_MS, type EpochMs } from '../../model/units.ts'
import { transaction } from '../../platform/postgres/pool.ts'
import { rowsOf } from './query.ts'
import { timeParameter } from './sql-values.ts'

/** Drops the partitions (in a hypertable the chunks) that end at or before `time`: UTC days of readings, UTC months of windows with all their revisions.
 *  Readings stay while the archive does not have them: nothing behind `archivedThrough` goes, and nothing at all when it is `undefined`. Where days are
 *  watched, none goes that is not, or from the first on whose changes are not settled.
 *  @returns names of what was dropped; a partition in use stays for the next call (55P03 is thrown and nothing was dropped) */
export async function dropBefore (pool: Pool, kind: 'reading' | 'window', time: EpochMs, archivedThrough: EpochMs | undefined): Promise<readonly string[]> {
  if (kind === 'window') return drop(pool, 'window_revision', time)
  return archivedThrough === undefined ? [] : dropReadings(pool, Math.min(time, archivedThrough))
}

async function drop (pool: Pool | PoolClient, parent: 'reading' | 'window_revision', before: number): Promise<readonly string[]> {
  const [row] = await rowsOf(pool, 'select series.drop_before($1, $2)', [parent, timeParameter(before)])
  return row![0] as string[]
}

async function dropReadings (pool: Pool, before: number): Promise<readonly string[]> {
  return transaction(pool, async client => {
    const [held] = await rowsOf(client, "select series.hold_drops() - date '1970-01-01'")
    const settled = held![0] as number | null
    const dropped = await drop(client, 'reading', settled === null ? before : Math.min(before, settled * DAY_MS))
    await rowsOf(client, 'select series.note_dropped($1)', [dropped.map(name => name.slice(-8))])
    return dropped
  })
}
