/** What the room does by the clock: lets go what may go, ends what is too old, and makes the counters whole: after a crash, and where what was answered 503 came in all the same. */

import { type EpochMs, epochMs, HOUR_MS, hourOf } from '../model/units.ts'
import { type Events, jobReport } from '../observability/events.ts'
import { repeat, type Repetition } from '../platform/repeat.ts'
import type { Ingest } from './open-ingest.ts'

export interface UpkeepParts {
  ingest: Pick<Ingest, 'releaser' | 'expire' | 'counters' | 'reportLimits'>
  /** Records on the bus that are not stored yet. */
  backlog: () => number
  /** Readings that the series store counted, by hour of arrival, in [from, until). */
  countedByHour: (from: EpochMs, until: EpochMs) => Promise<ReadonlyMap<EpochMs, number>>
  events: Pick<Events, 'raise' | 'clear'>
  now: () => EpochMs
}

const SWEEP_MS = 60_000
/** Devices nobody knows: an association that is announced is looked at by itself, this finds one that another process made. */
const FULL_SWEEP_MS = 3_600_000
const EXPIRE_MS = 3_600_000
const LIMITS_MS = 60_000
const CATCH_UP_MS = 1_000
const SETTLE_EVERY_MS = 600_000
/** A process that was killed is started again within this time, or its last second of counts stays short. */
const SETTLE_BACK_MS = 7 * 86_400_000

export function startUpkeep ({ ingest, backlog, countedByHour, events, now }: UpkeepParts): Repetition {
  let settledAt: EpochMs | undefined
  const settling = every('settling of the counters', CATCH_UP_MS, async () => {
    const time = now()
    if (backlog() > 0 || (settledAt !== undefined && time - settledAt < SETTLE_EVERY_MS)) return
    await ingest.counters.settle(() => countedByHour(epochMs(time - SETTLE_BACK_MS), epochMs(hourOf(time) + HOUR_MS)))
    settledAt = time
  })
  const all = [settling, every('sweep of the quarantine', SWEEP_MS, () => ingest.releaser.sweep()),
    every('whole sweep of the quarantine', FULL_SWEEP_MS, () => ingest.releaser.releaseAll()), every('expiry', EXPIRE_MS, () => ingest.expire()), every('report of the limits', LIMITS_MS, async () => { ingest.reportLimits() })]
  return { stop: async () => { await Promise.all(all.map(one => one.stop())) } }

  function every (job: string, ms: number, work: () => Promise<unknown>): Repetition {
    const report = jobReport(events, job)
    return repeat(ms, () => work().then(report.fine, report.failing))
  }
}
