/** Who takes how much, and when → whether it may now, or how long it must wait: one token bucket for each key, in memory.
 *
 *  A bucket is the moment at which it is full again, on a clock of its own that only goes on: where `now` goes back nothing is refilled, and
 *  from there it goes on. A bucket that is full says nothing and may be forgotten; no other ever is. When the table holds `keysMax` that are
 *  not full, newcomers share one bucket, and who leaves it begins as empty as it was: nobody gets more by making the table full. */

import type { EpochMs } from '../model/units.ts'

/** At most `perSecond · t + burst` in any time t. */
export interface Rate { perSecond: number, burst: number }

export interface RateLimiter {
  /** 0: taken. Else nothing was, and may be in so many ms if nothing else is taken from its bucket. More than a burst waits for a full bucket and
   *  is paid off afterwards, so that nothing waits for ever. */
  take (key: string, count: number, now: EpochMs): number
  /** What `take` would answer; nothing is taken. */
  waitFor (key: string, count: number, now: EpochMs): number
  /** Undoes a part of what was taken in this tick. */
  giveBack (key: string, count: number): void
}

interface Bucket { fullAt: number }

const KEYS_MAX = 100_000
/** Of the oldest keys, looked at when a new one comes: the table shrinks faster than it grows. */
const LOOKED_AT = 2
/** What rounding may leave of a wait, in ms. */
const ROUNDING_MS = 1e-6

export function createRateLimiter ({ perSecond, burst }: Rate, keysMax = KEYS_MAX): RateLimiter {
  const msEach = 1_000 / perSecond
  const burstMs = burst * msEach
  // In the order in which they came or were last looked at.
  const buckets = new Map<string, Bucket>()
  const shared: Bucket = { fullAt: 0 }
  let clock = 0
  let lastNow: EpochMs | undefined

  function tick (now: EpochMs): void {
    if (lastNow !== undefined && now > lastNow) clock += now - lastNow
    lastNow = now
  }

  function makeRoom (): void {
    let left = LOOKED_AT
    for (const [key, bucket] of buckets) {
      buckets.delete(key)
      if (bucket.fullAt > clock) buckets.set(key, bucket)
      if (--left === 0) return
    }
  }

  function newBucket (key: string): Bucket {
    makeRoom()
    if (buckets.size >= keysMax) return shared
    const bucket = { fullAt: shared.fullAt }
    buckets.set(key, bucket)
    return bucket
  }

  function waitOf ({ fullAt }: Readonly<Bucket>, cost: number): number {
    const wait = Math.max(fullAt, clock) + cost - clock - Math.max(burstMs, cost)
    return wait > ROUNDING_MS ? Math.ceil(wait) : 0
  }

  return {
    take (key, count, now) {
      tick(now)
      const bucket = buckets.get(key) ?? newBucket(key)
      const cost = count * msEach
      const wait = waitOf(bucket, cost)
      if (wait === 0) bucket.fullAt = Math.max(bucket.fullAt, clock) + cost
      return wait
    },
    waitFor (key, count, now) {
      tick(now)
      return waitOf(buckets.get(key) ?? shared, count * msEach)
    },
    giveBack (key, count) {
      const bucket = buckets.get(key) ?? shared
      bucket.fullAt -= count * msEach
    }
  }
}
