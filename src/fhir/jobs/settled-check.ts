/** When a job may move readings: not before everything that was identified under the old association is stored. */

import { READINGS } from '../../model/streams.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Bus } from '../../platform/bus/bus.ts'
import type { SeriesStore } from '../../stores/series/series-store.ts'

/** Longest time between a reading's identification and its append: a request that takes longer has failed. */
const APPEND_MAX_MS = 5_000
const KEPT_MAX = 10_000

/** True once the stream has passed the end of the bus as it stood `APPEND_MAX_MS` after the job was first asked about. */
export function createSettledCheck (bus: Pick<Bus, 'ends'>, series: Pick<SeriesStore, 'resumePoints'>, now: () => EpochMs): (job: { id: number }) => Promise<boolean> {
  const seen = new Map<number, { since: EpochMs, ends?: readonly number[] }>()
  return async ({ id }) => {
    const noted = seen.get(id) ?? { since: now() }
    if (seen.size >= KEPT_MAX) seen.clear()
    seen.set(id, noted)
    if (now() - noted.since < APPEND_MAX_MS) return false
    noted.ends ??= bus.ends(READINGS)
    const points = await series.resumePoints(READINGS)
    const isPast = noted.ends.every((end, partition) => end === 0 || (points.get(partition) ?? 0) >= end)
    if (isPast) seen.delete(id)
    return isPast
  }
}
