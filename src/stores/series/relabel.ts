/** Late correction of an association: readings go to another series, or out of the store, in bounded steps that may be repeated. */

import type { Pool, PoolClient } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import { transaction } from '../../platform/postgres/pool.ts'
import type { RowIn } from '../../stream/sink.ts'
import { holdWatched, markChanged, markSpanChanged } from './changed-days.ts'
import { ANY_NUMBER_DECOMPRESSED, rowsOf } from './query.ts'
import { decodeReading, READING_COLUMNS } from './reading-row.ts'
import { dayOf, timeParameter } from './sql-values.ts'

export interface RelabelStep {
  from: number
  /** Event times [since, until). */
  since: EpochMs
  until: EpochMs
  /** Window sizes in use: windows of these that held or get a reading are marked as due with cause `association`. */
  sizesMs: readonly number[]
  /** Readings behind a window whose own windows depend on it (`lookbackCount`): these are marked as well. */
  lookback: number
  /** Most readings of this step. */
  limit: number
  now: EpochMs
}

/** `dropped`: readings that the target held already; their values filled what was absent there. `conflicts`: of these, those with another value
 *  than the target's; the one that came first, the moved one, stands. */
export interface Moved { moved: number, dropped: number, conflicts: number }

/** Moves the oldest readings of the span to another series, in one transaction with the marks of the windows on both sides.
 *  @returns 0 + 0 (`moved` + `dropped`): nothing is left */
export async function moveReadings (pool: Pool, step: RelabelStep & { to: number }): Promise<Moved> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await transaction(pool, client => moveStep(client, step))
    } catch (error) {
      // A commit changed the same readings at once; PostgreSQL let that one go on, and nothing was moved.
      if (!(error instanceof Error && 'code' in error && error.code === DEADLOCK) || attempt === ATTEMPTS) throw error
    }
  }
}

const DEADLOCK = '40P01'
const ATTEMPTS = 3

async function moveStep (client: PoolClient, step: RelabelStep & { to: number }): Promise<Moved> {
  await holdWatched(client)
  const [row] = await rowsOf(client, 'select moved, dropped, conflicts from series.move_readings($1, $2, $3, $4, $5, $6, $7, $8)',
    [step.from, step.to, timeParameter(step.since), timeParameter(step.until), step.limit, step.sizesMs, timeParameter(step.now), step.lookback])
  const [moved, dropped, conflicts] = row as number[]
  // The whole span is on its way: every day of it changes until nothing is left.
  if (moved! + dropped! > 0) await markSpanChanged(client, [step.from, step.to], step.since, step.until)
  return { moved: moved!, dropped: dropped!, conflicts: conflicts! }
}

/** Hands the oldest readings of the span to `keep` and deletes them once it has made them durable elsewhere; all stay when it throws.
 *  After a crash in between `keep` gets the same readings again. @returns how many went; 0: nothing is left */
export async function takeReadings (pool: Pool, step: RelabelStep, keep: (rows: readonly RowIn[]) => Promise<void>): Promise<number> {
  return transaction(pool, async client => {
    await holdWatched(client)
    const rows = await lockOldest(client, step)
    if (rows.length === 0) return 0
    await keep(rows)
    await markChanged(client, [step.from], rows.map(({ takenAt }) => dayOf(takenAt)))
    await rowsOf(client, 'select series.remove_readings($1, $2, $3, $4, $5, $6)',
      [step.from, rows.map(({ takenAt }) => timeParameter(takenAt)), rows.map(({ sequence }) => sequence), step.sizesMs, timeParameter(step.now), step.lookback])
    return rows.length
  })
}

/** The oldest readings of the span, so that nobody changes them before the transaction ends: about `limit`, ascending. An UPDATE that changes nothing,
 *  since compressed rows can be locked in no other way. */
async function lockOldest (client: PoolClient, { from, since, until, limit }: RelabelStep): Promise<RowIn[]> {
  const oldest = await rowsOf(client, `select taken_at, sequence from series.reading where series = $1 and taken_at >= $2 and taken_at < $3
    order by taken_at, sequence limit $4`, [from, timeParameter(since), timeParameter(until), limit])
  if (oldest.length === 0) return []
  const [takenAt, sequence] = oldest.at(-1)! as [EpochMs, number]
  await rowsOf(client, ANY_NUMBER_DECOMPRESSED)
  const rows = await rowsOf(client, `update series.reading set flags = flags
    where series = $1 and taken_at >= $2 and taken_at <= $3 and (taken_at, sequence) <= ($3, $4) returning ${READING_COLUMNS}`,
  [from, timeParameter(since), timeParameter(takenAt), sequence])
  return rows.map(decodeReading).sort((one, other) => one.takenAt - other.takenAt || one.sequence - other.sequence)
}
