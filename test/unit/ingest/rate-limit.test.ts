import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createRateLimiter, type Rate } from '../../../src/ingest/rate-limit.ts'
import { type EpochMs, epochMs } from '../../../src/model/units.ts'

const START = epochMs(Date.UTC(2026, 2, 1))
const at = (ms: number): EpochMs => epochMs(START + ms)

interface Step { afterMs: number, key: string, count: number }
interface Taken { key: string, count: number, clock: number }

/** Runs the steps; `clock` counts only the time that went on. */
function run (rate: Rate, steps: readonly Step[], keysMax?: number): Taken[] {
  const limiter = createRateLimiter(rate, keysMax)
  const taken: Taken[] = []
  let now = 0
  let clock = 0
  for (const { afterMs, key, count } of steps) {
    now += afterMs
    clock += Math.max(0, afterMs)
    if (limiter.take(key, count, at(now)) === 0) taken.push({ key, count, clock })
  }
  return taken
}

/** The most that was taken beyond `perSecond · t` in any stretch of time, of any key. */
function mostBeyondRate ({ perSecond }: Rate, taken: readonly Taken[]): number {
  let most = 0
  for (const ofKey of Map.groupBy(taken, ({ key }) => key).values()) {
    for (let from = 0; from < ofKey.length; from++) {
      for (let until = from, sum = 0; until < ofKey.length; until++) {
        sum += ofKey[until]!.count
        most = Math.max(most, sum - perSecond * (ofKey[until]!.clock - ofKey[from]!.clock) / 1_000)
      }
    }
  }
  return most
}

const rates = fc.record({ perSecond: fc.integer({ min: 1, max: 2_000 }), burst: fc.integer({ min: 1, max: 500 }) })
const stepsOf = (keys: string[], backMs = 0) => fc.array(fc.record({
  afterMs: fc.oneof(fc.constant(0), fc.integer({ min: -backMs, max: 50 }), fc.integer({ min: -backMs, max: 2_000 })),
  key: fc.constantFrom(...keys), count: fc.oneof(fc.constant(1), fc.nat({ max: 500 }))
}), { maxLength: 60 })
const withinBurst = ({ burst }: Rate, steps: readonly Step[]) => steps.map(step => ({ ...step, count: Math.min(step.count, burst) }))
const ROUNDING = 1e-3

describe('never more than perSecond · t + burst in any time t', () => {
  test('of each key', () => {
    fc.assert(fc.property(rates, stepsOf(['a', 'b']), (rate, steps) => {
      expect(mostBeyondRate(rate, run(rate, withinBurst(rate, steps)))).toBeLessThanOrEqual(rate.burst + ROUNDING)
    }))
  })

  test('when the clock goes back, however often', () => {
    fc.assert(fc.property(rates, stepsOf(['a'], 5_000), (rate, steps) => {
      expect(mostBeyondRate(rate, run(rate, withinBurst(rate, steps)))).toBeLessThanOrEqual(rate.burst + ROUNDING)
    }))
  })

  test('when the table is too small for its keys: to make it full is no way around', () => {
    fc.assert(fc.property(rates, stepsOf(['a', 'b', 'c', 'd', 'e', 'f'], 100), fc.integer({ min: 0, max: 3 }), (rate, steps, keysMax) => {
      expect(mostBeyondRate(rate, run(rate, withinBurst(rate, steps), keysMax))).toBeLessThanOrEqual(rate.burst + ROUNDING)
    }), { numRuns: 500 })
  })

  test('but for one take that is larger than a burst, which is paid off before the next', () => {
    fc.assert(fc.property(rates, stepsOf(['a']), (rate, steps) => {
      const largest = Math.max(rate.burst, ...steps.map(({ count }) => count))
      expect(mostBeyondRate(rate, run(rate, steps))).toBeLessThanOrEqual(largest + ROUNDING)
    }))
  })
})

test('who waits as long as told comes through, whatever was taken before and however large the take', () => {
  fc.assert(fc.property(rates, stepsOf(['a', 'b', 'c'], 1_000), fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 0, max: 2 }), (rate, steps, count, keysMax) => {
    const limiter = createRateLimiter(rate, keysMax)
    let now = 0
    for (const { afterMs, key, count: earlier } of steps) {
      now += afterMs
      limiter.take(key, earlier, at(now))
    }
    const wait = limiter.take('a', count, at(now))
    if (wait > 0) expect(limiter.take('a', count, at(now + wait))).toBe(0)
  }))
})

test('what is refused takes nothing, and what is given back was never taken', () => {
  fc.assert(fc.property(rates, stepsOf(['a', 'b']), fc.integer({ min: 1, max: 500 }), (rate, steps, count) => {
    const [plain, tried] = [createRateLimiter(rate), createRateLimiter(rate)]
    let now = 0
    for (const step of steps) {
      now += step.afterMs
      if (tried.take(step.key, count, at(now)) === 0) tried.giveBack(step.key, count)
      if (tried.take(step.key, 100_000, at(now)) === 0) tried.giveBack(step.key, 100_000)
      expect(tried.take(step.key, step.count, at(now))).toBe(plain.take(step.key, step.count, at(now)))
    }
  }))
})

test('a sender below its rate is never held back', () => {
  const limiter = createRateLimiter({ perSecond: 10, burst: 10 })
  for (let second = 0; second < 10_000; second++) expect(limiter.take('a', 10, at(second * 1_000))).toBe(0)
})

test('a clock that goes back by an hour holds nobody back for an hour', () => {
  const limiter = createRateLimiter({ perSecond: 10, burst: 10 })
  expect(limiter.take('a', 10, at(3_600_000))).toBe(0)
  expect(limiter.take('a', 10, at(0))).toBe(1_000)
  expect(limiter.take('a', 10, at(999))).toBe(1)
  expect(limiter.take('a', 10, at(1_000))).toBe(0)
})

test('one key does not touch another while the table has room; when it is full, newcomers share one bucket', () => {
  const limiter = createRateLimiter({ perSecond: 1, burst: 10 }, 2)
  expect(['a', 'b', 'c', 'd'].map(key => limiter.take(key, 10, at(0)))).toEqual([0, 0, 0, 10_000])
  // Room again, and nobody begins anew: 'd' is as empty as the bucket it shared.
  expect(limiter.take('d', 10, at(5_000))).toBe(5_000)
  expect(['a', 'd', 'e'].map(key => limiter.take(key, 10, at(10_000)))).toEqual([0, 0, 0])
})

test('keys that are full again make room', () => {
  const limiter = createRateLimiter({ perSecond: 1_000, burst: 10 }, 50)
  for (let key = 0; key < 10_000; key++) expect(limiter.take(`key ${key}`, 10, at(key))).toBe(0)
})
