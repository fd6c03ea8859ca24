/** Second line behind `settled-check.ts`: what a sid lost is looked at again after its jobs are done. A reading that was stored there all the
 *  same (its append outlived the process that sent it, or came from another one) gets a job of its own. */

import type { Pool } from 'pg'
import { type EpochMs, epochMs } from '../../model/units.ts'
import type { JobReport } from '../../observability/events.ts'
import { transaction } from '../../platform/postgres/pool.ts'
import { repeat, type Repetition } from '../../platform/repeat.ts'
import { lockDevices, recordRelabelling, sidsOfDevice } from '../../stores/linkage/association.ts'
import { type LostTime, lostTimes } from '../../stores/linkage/relabel-job.ts'
import { subtract } from '../../stores/linkage/span.ts'
import type { SeriesStore } from '../../stores/series/series-store.ts'

export interface RecheckParts {
  /** Login `oxbow_linkage`. */
  pool: Pool
  series: Pick<SeriesStore, 'numbersOf' | 'readings'>
  now: () => EpochMs
  /** How long after it was done a job is looked at again. Default 24 h. */
  backMs?: number
}

const BACK_MS = 86_400_000
/** An open end reaches as far as a clock may run ahead. */
const CLOCK_AHEAD_MS = 86_400_000

/** Records jobs for readings that stand outside the periods of their sids. @returns how many @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function recheckRelabelled (parts: RecheckParts): Promise<number> {
  const { pool, series, now, backMs = BACK_MS } = parts
  const all = await lostTimes(pool, epochMs(now() - backMs))
  if (all.length === 0) return 0
  const numbers = await series.numbersOf([...new Set(all.map(({ sid }) => sid))])
  let recorded = 0
  for (const lost of all) {
    const number = numbers.get(lost.sid)
    if (number === undefined) continue
    const [first] = await series.readings(number, lost.span.from, lost.span.until ?? epochMs(now() + CLOCK_AHEAD_MS), 1)
    if (first !== undefined) recorded += await recordAgain(pool, lost, now())
  }
  return recorded
}

/** As the periods stand now, while nobody changes them. */
async function recordAgain (pool: Pool, { device, sid, span }: LostTime, now: EpochMs): Promise<number> {
  return transaction(pool, async client => {
    await lockDevices(client, [device])
    const valid = (await sidsOfDevice(client, device)).find(one => one.sid === sid)?.valid
    return (await recordRelabelling(client, { sid, device, isNew: false, gained: [], lost: subtract(span, valid) }, now)).length
  })
}

export interface RecheckTimer extends RecheckParts {
  /** Jobs were recorded. */
  onRecorded: () => void
  report: JobReport
}

const EVERY_MS = 30_000

/** Runs it by the clock. */
export function startRecheck ({ onRecorded, report, ...parts }: RecheckTimer): Repetition {
  return repeat(EVERY_MS, () => recheckRelabelled(parts).then(count => {
    report.fine()
    if (count > 0) onRecorded()
  }, report.failing))
}
