import fc from 'fast-check'
import { expect, test } from 'vitest'
import { windowStatistics } from '../../../src/stream/window-statistics.ts'
import { EXAMPLE_04 } from '../../support/stored-reading.ts'

test('the window of example 04 has mean 39.70, slope −6.60 per minute and residual sd 0.08', () => {
  const tokens = EXAMPLE_04.split(' ')
  const usable = tokens.map((token, index) => ({ time: index * 1000, token })).filter(({ token }) => token !== 'E')
  const statistics = windowStatistics(usable.map(({ time }) => time), usable.map(({ token }) => Number(token)), 30)
  expect(statistics).toMatchObject({ sampleCount: 29, expectedCount: 30, minimum: 38.1, maximum: 41.3 })
  expect(statistics.coverage).toBeCloseTo(0.967, 3)
  expect(statistics.mean).toBeCloseTo(39.7, 2)
  expect(statistics.ratePerMinute).toBeCloseTo(-6.6, 2)
  expect(statistics.residualSd).toBeCloseTo(0.08, 2)
})

const seconds = (count: number) => Array.from({ length: count }, (_, index) => index * 1000)

test('from 80 % coverage on there is a mean and a rate, below there is none', () => {
  expect(windowStatistics(seconds(8), seconds(8), 10)).toMatchObject({ coverage: 0.8, mean: 3500 })
  const thin = windowStatistics(seconds(7), seconds(7), 10)
  expect(thin).toEqual({ sampleCount: 7, expectedCount: 10, coverage: 0.7, minimum: 0, maximum: 6000 })
})

test('a rate needs five samples and more than one time', () => {
  expect(windowStatistics(seconds(5), [0, 1, 2, 3, 4], 5).ratePerMinute).toBeCloseTo(60, 9)
  expect(windowStatistics(seconds(4), [0, 1, 2, 3], 4)).not.toHaveProperty('ratePerMinute')
  expect(windowStatistics([0, 0, 0, 0, 0], [1, 2, 3, 4, 5], 5)).toMatchObject({ mean: 3 })
  expect(windowStatistics([0, 0, 0, 0, 0], [1, 2, 3, 4, 5], 5)).not.toHaveProperty('ratePerMinute')
})

test('coverage is never above 1', () => {
  expect(windowStatistics(seconds(12), seconds(12), 10).coverage).toBe(1)
})

test('no usable sample has no mean and no extremes', () => {
  expect(windowStatistics([], [], 60)).toEqual({ sampleCount: 0, expectedCount: 60, coverage: 0 })
})

test('a steady value has exactly itself as mean and no slope', () => {
  expect(windowStatistics(seconds(60), Array.from({ length: 60 }, () => 97.1), 60)).toMatchObject({ mean: 97.1, ratePerMinute: 0, residualSd: 0 })
})

test('mean, slope and residual sd agree with the textbook sums', () => {
  const samples = fc.array(fc.record({ gap: fc.integer({ min: 1, max: 3000 }), value: fc.double({ min: 0, max: 160, noNaN: true }) }), { minLength: 5, maxLength: 60 })
  fc.assert(fc.property(samples, (list) => {
    let time = 1_770_000_000_000
    const times = list.map(({ gap }) => {
      time += gap
      return time
    })
    const values = list.map(({ value }) => value)
    const found = windowStatistics(times, values, values.length)
    const minutes = times.map((one) => (one - times[0]!) / 60_000)
    const n = values.length
    const sum = (numbers: number[]) => numbers.reduce((total, one) => total + one, 0)
    const slope = (n * sum(minutes.map((x, index) => x * values[index]!)) - sum(minutes) * sum(values)) / (n * sum(minutes.map((x) => x * x)) - sum(minutes) ** 2)
    const start = (sum(values) - slope * sum(minutes)) / n
    const sd = Math.sqrt(sum(minutes.map((x, index) => (values[index]! - start - slope * x) ** 2)) / (n - 2))
    expect(found.mean).toBeCloseTo(sum(values) / n, 9)
    expect(Math.abs(found.ratePerMinute! - slope)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(slope)))
    expect(Math.abs(found.residualSd! - sd)).toBeLessThanOrEqual(1e-6 * Math.max(1, sd))
  }), { numRuns: 1000 })
})
