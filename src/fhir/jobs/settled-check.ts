/** When a job may move readings: not before everything that was identified under the old association is stored. */

import { READINGS } from '../../model/streams.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Bus } from '../../platform/bus/bus.ts'
import type { SeriesStore } from '../../stores/series/series-store.ts'

export interface SettledCheckParts {
  bus: Pick<Bus, 'ends'>
  series: Pick<SeriesStore, 'resumePoints'>
  /** Of `ingest/in-flight.ts`. */
  mark: () => () => boolean
  /** The resolver forgets these Devices: what is identified from then on is identified under the new association. */
  forget: (devices: readonly string[]) => void
  now: () => EpochMs
}

/** Until another process has forgotten the device too, and appended what it had identified; what takes it longer is found by `recheck.ts`. */
const OTHERS_MS = 5_000
const KEPT_MAX = 10_000

interface Noted { since: EpochMs, isEnded: () => boolean, ends?: readonly number[] }

/** True once no request is under way that may have been identified before the job was first asked about, and the stream has passed the end
 *  of the bus as it stood then. No request is given up for its length: while one hangs, the job waits. */
export function createSettledCheck ({ bus, series, mark, forget, now }: SettledCheckParts): (job: { id: number, device: string }) => Promise<boolean> {
  const seen = new Map<number, Noted>()
  function note ({ id, device }: { id: number, device: string }): Noted {
    // In one tick: a request that is not in the mark asks a resolver that has forgotten.
    forget([device])
    const noted = { since: now(), isEnded: mark() }
    if (seen.size >= KEPT_MAX) seen.clear()
    seen.set(id, noted)
    return noted
  }
  return async job => {
    const noted = seen.get(job.id) ?? note(job)
    if (now() - noted.since < OTHERS_MS || !noted.isEnded()) return false
    noted.ends ??= await bus.ends(READINGS)
    const points = await series.resumePoints(READINGS)
    const isPast = noted.ends.every((end, partition) => end === 0 || (points.get(partition) ?? 0) >= end)
    if (isPast) seen.delete(job.id)
    return isPast
  }
}
