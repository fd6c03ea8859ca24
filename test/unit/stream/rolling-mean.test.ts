import fc from 'fast-check'
import { expect, test } from 'vitest'
import { addRollingSample, NO_SAMPLES, rollingMean, type RollingSample } from '../../../src/stream/rolling-mean.ts'

const OPTIONS = { spanMs: 30_000, periodMs: 1000 }
const at = (takenAt: number, value: number, sequence = 0): RollingSample => ({ takenAt, value, sequence })
const every = (count: number, value: (index: number) => number) => Array.from({ length: count }, (_, index) => at(index * 1000, value(index)))
const stateOf = (samples: readonly RollingSample[], options = OPTIONS) => samples.reduce((state, sample) => addRollingSample(state, sample, options), NO_SAMPLES)

test('an empty span has no mean: no data is not zero oxygen', () => {
  expect(rollingMean(NO_SAMPLES, 0, OPTIONS)).toBeUndefined()
  expect(rollingMean(stateOf(every(30, () => 40)), 100_000, OPTIONS)).toBeUndefined()
})

test('the span is open at its beginning and closed at its end', () => {
  const state = stateOf(every(61, (index) => index))
  expect(state.map(({ value }) => value)).toEqual(Array.from({ length: 30 }, (_, index) => 31 + index))
  expect(rollingMean(state, 60_000, OPTIONS)).toBe(45.5)
})

test('below 80 % of the samples that the span should hold there is no mean', () => {
  expect(rollingMean(stateOf(every(24, () => 40)), 23_000, OPTIONS)).toBe(40)
  expect(rollingMean(stateOf(every(23, () => 40)), 22_000, OPTIONS)).toBeUndefined()
})

test('any order of arrival, with repeats, gives the samples of the last span', () => {
  const samples = fc.uniqueArray(fc.record({ takenAt: fc.integer({ min: 0, max: 40 }).map((s) => s * 250), sequence: fc.integer({ min: 0, max: 1 }), value: fc.integer({ min: 0, max: 160 }) }), { minLength: 1, maxLength: 40, selector: ({ takenAt, sequence }) => `${takenAt}/${sequence}` })
  const options = { spanMs: 5000, periodMs: 250 }
  fc.assert(fc.property(samples, fc.nat(), (list, pick) => {
    const end = Math.max(...list.map(({ takenAt }) => takenAt))
    const inside = list.filter(({ takenAt }) => takenAt > end - 5000).sort((a, b) => a.takenAt - b.takenAt || a.sequence - b.sequence)
    const state = stateOf([...list, list[pick % list.length]!], options)
    expect(state).toEqual(inside)
    const mean = rollingMean(state, end, options)
    if (inside.length / 20 < 0.8) expect(mean).toBeUndefined()
    else expect(mean).toBeCloseTo(inside.reduce((sum, { value }) => sum + value, 0) / inside.length, 9)
  }), { numRuns: 1000 })
})
