import fc from 'fast-check'
import { expect, test } from 'vitest'
import { epochMs } from '../../../src/model/units.ts'
import { formatNumber, numberFormat } from '../../../src/stream/format-number.ts'
import { decodeSamples, encodeSamples, fitSampleGrid, gridEnd } from '../../../src/stream/sample-grid.ts'
import { START } from '../../support/stored-reading.ts'

const MINUTE = { from: epochMs(START), until: epochMs(START + 60_000) }
const FORMAT = numberFormat(0.1)

/** Form of the readings of the window, values numbered by place. */
function formOf (times: readonly number[], periodMs = 1000, window = MINUTE) {
  const grid = fitSampleGrid(times, window, periodMs)
  return grid && encodeSamples(grid, times.map((_, index) => String(index)))
}

const seconds = (count: number, phase = 0, stepMs = 1000) => Array.from({ length: count }, (_, index) => START + phase + Math.round(index * stepMs))
const inWindow = (times: readonly number[], window = MINUTE) => times.filter((time) => time >= window.from && time < window.until)
const gaps = (data: string) => data.split(' ').filter((token) => token === 'E').length

test('readings on the second fill the window, a missing one is E', () => {
  const times = seconds(60).filter((_, index) => index !== 3)
  expect(formOf(times)).toMatchObject({ gridStart: START, periodMs: 1000, tokenCount: 60, data: expect.stringMatching(/^0 1 2 E 3 4 /) })
})

test('for readings with phase 0.3 s the first token stands at 0.3 s', () => {
  const form = formOf(seconds(60, 300))!
  expect(form).toMatchObject({ gridStart: START + 300, tokenCount: 60 })
  expect(gridEnd(form)).toBe(START + 60_300)
})

test('a sample missing in an edge slot shows as the distance between two periods, not as E', () => {
  const first = formOf(seconds(60, 300))!
  expect(first).toMatchObject({ tokenCount: 60, data: expect.not.stringContaining('E') })
  const next = { from: MINUTE.until, until: epochMs(START + 120_000) }
  const second = formOf(seconds(59, 61_300), 1000, next)!
  expect(second).toMatchObject({ tokenCount: 59, data: expect.not.stringContaining('E') })
  expect(second.gridStart - gridEnd(first)).toBe(1000)
})

test('inside the edges every missing sample is E', () => {
  expect(gaps(formOf(seconds(60, 500).slice(5, 55))!.data)).toBe(10)
  expect(gaps(formOf(seconds(60, 0).slice(5, 55))!.data)).toBe(9)
})

test('jitter across a border makes no E on either side', () => {
  const times = Array.from({ length: 181 }, (_, index) => START + index * 1000 + [0, -7, 5, -2, 9, -11][index % 6]!)
  for (const minute of [0, 1, 2]) {
    const window = { from: epochMs(START + minute * 60_000), until: epochMs(START + (minute + 1) * 60_000) }
    const mine = inWindow(times, window)
    const form = formOf(mine, 1000, window)!
    expect(form.data).not.toContain('E')
    expect(form.tokenCount).toBe(mine.length)
  }
})

test('a clipped window has its own phase and only its own slots', () => {
  const window = { from: epochMs(START + 12_400), until: epochMs(START + 37_100) }
  expect(formOf(inWindow(seconds(60), window), 1000, window)).toMatchObject({ gridStart: START + 13_000, tokenCount: 25, data: expect.not.stringContaining('E') })
})

test('two readings in one second fit no grid of a second', () => {
  expect(formOf([...seconds(30), START + 29_900, ...seconds(30, 30_000)])).toBeUndefined()
})

test('several readings at one time fit no grid, none is lost', () => {
  expect(formOf([START, START, START + 1000])).toBeUndefined()
})

test('a sensor at 99.07 ms is put on its own period where two of its readings meet in one nominal slot', () => {
  const form = formOf(inWindow(seconds(700, 0, 99.07)), 100)!
  expect(form.periodMs).toBe(99.07)
  expect(form.data).not.toContain('E')
})

test('a period further than 5 % from nominal is not taken', () => {
  expect(formOf(inWindow(seconds(80, 0, 930)))).toBeUndefined()
  expect(formOf(inWindow(seconds(80, 0, 955)))?.periodMs).toBe(955)
})

test('a single reading is a grid of its window', () => {
  expect(formOf([START + 20_400])).toMatchObject({ gridStart: START + 1400, tokenCount: 59 })
  expect(formOf([START + 20_500])).toMatchObject({ gridStart: START + 500, tokenCount: 60 })
  expect(formOf([START + 400], 60_000, MINUTE)).toMatchObject({ gridStart: START + 400, tokenCount: 1, data: '0' })
  expect(fitSampleGrid([], MINUTE, 1000)).toBeUndefined()
})

/** A sensor's stream over three minutes: its ideal times with jitter, some samples missing. */
const STREAM = fc.record({
  phase: fc.integer({ min: 0, max: 999 }),
  jitterMs: fc.constantFrom(0, 5, 20),
  clock: fc.constantFrom(1, 1.0001, 0.9999, 1.045, 0.955, 1.02),
  seed: fc.integer(),
  missing: fc.constantFrom(0, 0, 0.02, 0.2)
}).chain((facts) => fc.record({
  facts: fc.constant(facts),
  noise: fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 200, maxLength: 200 }),
  drops: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 200, maxLength: 200 })
}))

test('at any phase, jitter and clock error no reading is lost or moved by more than half a period, and no gap is false', () => {
  fc.assert(fc.property(STREAM, ({ facts: { phase, jitterMs, clock, missing }, noise, drops }) => {
    const period = 1000 * clock
    const ideal = noise.map((one, index) => ({ time: START + Math.round(phase + index * period + one * jitterMs), isMissing: drops[index]! > 1 - missing }))
    for (const minute of [0, 1, 2]) {
      const window = { from: epochMs(START + minute * 60_000), until: epochMs(START + (minute + 1) * 60_000) }
      const mine = ideal.filter(({ time, isMissing }) => !isMissing && time >= window.from && time < window.until).map(({ time }) => time)
      const form = formOf(mine, 1000, window)!
      // Where samples are missing a clock error can hide at which period the sensor runs; then the readings go out singly.
      if (form === undefined && missing > 0.1 && Math.abs(clock - 1) > 0.01) continue
      expect(form).toBeDefined()
      const tokens = decodeSamples(form)
      const taken = tokens.filter(({ value }) => value !== undefined)
      expect(taken.map(({ value }) => value)).toEqual(mine.map((_, index) => index))
      expect(Math.max(...taken.map(({ takenAt }, index) => Math.abs(takenAt - mine[index]!)))).toBeLessThanOrEqual(form.periodMs / 2 + 1)
      expect(Math.round((gridEnd(form) - form.gridStart) / form.periodMs)).toBe(form.tokenCount)
      expect(tokens).toHaveLength(form.tokenCount)
      if (missing === 0) expect(gaps(form.data)).toBe(0)
      else if (Math.abs(clock - 1) < 0.001) {
        const inner = ideal.filter(({ time, isMissing }) => isMissing && time >= window.from + 500 + 2 * jitterMs + 10 && time < window.until - 500 - 2 * jitterMs - 10)
        const edge = ideal.filter(({ time, isMissing }) => isMissing && time >= window.from - 550 && time < window.until + 550)
        expect(gaps(form.data)).toBeGreaterThanOrEqual(inner.length)
        expect(gaps(form.data)).toBeLessThanOrEqual(edge.length)
      }
    }
  }), { numRuns: 1000 })
})

test('decode(encode(series)) is the series at the declared resolution, gaps included', () => {
  const series = fc.array(fc.option(fc.double({ min: -160, max: 160, noNaN: true }), { freq: 5 }), { minLength: 1, maxLength: 60 })
  fc.assert(fc.property(series, fc.constantFrom(1, 0.1, 0.01), (values, resolution) => {
    const format = numberFormat(resolution)
    const present = values.flatMap((value, index) => (value === null ? [] : [{ time: START + 500 + index * 1000, text: formatNumber(value, format), index }]))
    const grid = fitSampleGrid(present.map(({ time }) => time), MINUTE, 1000)
    if (present.length === 0) { expect(grid).toBeUndefined(); return }
    const decoded = decodeSamples(encodeSamples(grid!, present.map(({ text }) => text)))
    expect(decoded.map(({ takenAt }) => takenAt)).toEqual(Array.from({ length: 60 }, (_, index) => START + 500 + index * 1000))
    const shown = Array.from({ length: 60 }, (_, index) => values[index] ?? undefined)
    expect(decoded.map(({ value }) => value)).toEqual(shown.map((value) => (value === undefined ? undefined : Number(formatNumber(value, format)))))
  }), { numRuns: 1000 })
})

test('the example window is encoded as it is printed', () => {
  const times = seconds(30)
  const grid = fitSampleGrid(times, { from: epochMs(START), until: epochMs(START + 30_000) }, 1000)!
  expect(encodeSamples(grid, times.map((_, index) => formatNumber(40 - index / 10, FORMAT))).data).toMatch(/^40\.0 39\.9 .* 37\.1$/)
})
