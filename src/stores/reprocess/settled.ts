/** Waiting for the stream: until it has stored what was on the bus, or has done what was marked for it. */

import { setTimeout as delay } from 'node:timers/promises'
import { ServiceError } from '../../model/errors.ts'
import { READINGS } from '../../model/streams.ts'
import type { Bus } from '../../platform/bus/bus.ts'
import type { SeriesStore } from '../series/series-store.ts'

export interface WaitParts { pollMs: number, standstillMs: number, signal: AbortSignal }

/** Until `look` gives 0. @throws ServiceError unavailable STORE_UNAVAILABLE when it gives the same for too long; AbortError when told to stop */
export async function untilNone ({ pollMs, standstillMs, signal }: WaitParts, look: () => Promise<number>): Promise<void> {
  let [least, left] = [Number.POSITIVE_INFINITY, standstillMs]
  for (;;) {
    signal.throwIfAborted()
    const count = await look()
    if (count === 0) return
    if (count < least) [least, left] = [count, standstillMs]
    if (left <= 0) throw standstill()
    await delay(pollMs, undefined, { signal })
    left -= pollMs
  }
}

/** Everything that is on the bus by now is stored. */
export async function settled (parts: WaitParts & { bus: Pick<Bus, 'ends'>, series: Pick<SeriesStore, 'resumePoints'> }): Promise<void> {
  const ends = await parts.bus.ends(READINGS)
  await untilNone(parts, async () => {
    const points = await parts.series.resumePoints(READINGS)
    return ends.reduce((sum, end, partition) => sum + Math.max(0, end - (points.get(partition) ?? 0)), 0)
  })
}

function standstill (): ServiceError {
  return new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'the stream does not go on, or no server runs: see what is wrong there, start it, and go on with --resume')
}
