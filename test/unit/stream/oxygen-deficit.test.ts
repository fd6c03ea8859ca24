import fc from 'fast-check'
import { expect, test } from 'vitest'
import { epochMs } from '../../../src/model/units.ts'
import type { Deficit } from '../../../src/model/window.ts'
import { oxygenDeficit } from '../../../src/stream/oxygen-deficit.ts'

interface Point { s: number, x: number }

/** Times in seconds; readings further than the first neighbours outside the window are left out, as the caller does. */
function deficitOf (points: readonly Point[], [from, until]: readonly [number, number], threshold = 25, maxGapS = 3): Deficit {
  const sorted = points.toSorted((a, b) => a.s - b.s)
  const before = sorted.findLastIndex(({ s }) => s < from)
  const after = sorted.findIndex(({ s }) => s >= until)
  const used = sorted.slice(Math.max(0, before), after < 0 ? undefined : after + 1)
  return oxygenDeficit(used.map(({ s }) => s * 1000), used.map(({ x }) => x), { from: epochMs(from * 1000), until: epochMs(until * 1000) }, { threshold, maxGapMs: maxGapS * 1000 })
}

function everySecond (from: number, to: number, x: (s: number) => number): Point[] {
  return Array.from({ length: to - from + 1 }, (_, index) => ({ s: from + index, x: x(from + index) }))
}

/** Straight lines through the corners. */
function piecewise (corners: readonly (readonly [number, number])[]): (s: number) => number {
  return (s) => {
    const right = Math.max(1, corners.findIndex(([at]) => at >= s))
    const [s0, x0] = corners[right - 1]!
    const [s1, x1] = corners[right]!
    return x0 + (x1 - x0) * (s - s0) / (s1 - s0)
  }
}

test('check vector 1: a steady 20 below 25', () => {
  const found = deficitOf(everySecond(0, 60, () => 20), [0, 60])
  expect(found).toEqual({ threshold: 25, maxGapMs: 3000, coverage: 1, meanDepth: 5, dose: 5, index: 0.2, timeFraction: 1, nadir: 20 })
})

test('check vector 2: falling through the threshold in the middle', () => {
  const found = deficitOf(everySecond(0, 60, (s) => 30 - s / 6), [0, 60])
  expect(found.dose).toBeCloseTo(1.25, 9)
  expect(found.meanDepth).toBeCloseTo(1.25, 9)
  expect(found.index).toBeCloseTo(0.05, 9)
  expect(found.timeFraction).toBeCloseTo(0.5, 9)
  expect(found.coverage).toBe(1)
})

test('check vector 3: three samples ten seconds apart', () => {
  const found = deficitOf([{ s: 0, x: 30 }, { s: 10, x: 20 }, { s: 20, x: 30 }], [0, 20], 25, 30)
  expect(found.dose).toBeCloseTo(0.416667, 6)
  expect(found.meanDepth).toBeCloseTo(1.25, 9)
  expect(found.index).toBeCloseTo(0.05, 9)
  expect(found.timeFraction).toBeCloseTo(0.5, 9)
  expect(found.coverage).toBe(1)
})

test('check vector 4: coverage 50 % publishes no number', () => {
  const found = deficitOf([...everySecond(0, 10, () => 20), ...everySecond(40, 60, () => 20)], [0, 60])
  expect(found).toEqual({ threshold: 25, maxGapMs: 3000, coverage: 0.5 })
})

test('check vector 5: two adjacent windows add up to their union', () => {
  const points = everySecond(0, 60, (s) => 30 - s / 6)
  const first = deficitOf(points, [0, 33.5])
  const second = deficitOf(points, [33.5, 60])
  expect(first.dose).toBeCloseTo(0.017014, 6)
  expect(second.dose).toBeCloseTo(1.232986, 6)
  expect(first.dose! + second.dose!).toBeCloseTo(1.25, 9)
  expect([first.coverage, second.coverage]).toEqual([1, 1])
})

test('check vector 6: an hour with eighteen samples missing', () => {
  const x = piecewise([[0, 41.2], [730, 25], [1000, 18], [1300, 25], [1600, 33], [3600, 38]])
  const found = deficitOf(everySecond(0, 3600, x).filter(({ s }) => s < 2000 || s > 2017), [0, 3600])
  expect(found.dose).toBeCloseTo(33.25, 9)
  expect(found.coverage * 3600).toBeCloseTo(3581, 6)
  expect(found.meanDepth).toBeCloseTo(0.55711, 5)
  expect(found.index).toBeCloseTo(0.022284, 6)
  expect(found.timeFraction! * 100).toBeCloseTo(15.917, 3)
  expect(found.coverage * 100).toBeCloseTo(99.47, 2)
  expect(found.nadir).toBe(18)
})

test('without the first sample after the window its last segment does not count', () => {
  expect(deficitOf(everySecond(0, 59, () => 20), [0, 60]).coverage).toBeCloseTo(59 / 60, 9)
})

test('the nadir is of samples inside the window, and a window between two samples has none', () => {
  expect(deficitOf([{ s: -1, x: 5 }, ...everySecond(0, 59, () => 20), { s: 60, x: 4 }], [0, 60]).nadir).toBe(20)
  const between = deficitOf([{ s: 0, x: 20 }, { s: 10, x: 20 }], [2, 8], 25, 30)
  expect(between).toMatchObject({ coverage: 1, meanDepth: 5 })
  expect(between).not.toHaveProperty('nadir')
})

test('no sample at all publishes nothing', () => {
  expect(deficitOf([], [0, 60])).toEqual({ threshold: 25, maxGapMs: 3000, coverage: 0 })
})

const SERIES = fc.record({
  steps: fc.array(fc.record({ gap: fc.oneof({ weight: 20, arbitrary: fc.integer({ min: 1, max: 3 }) }, { weight: 1, arbitrary: fc.integer({ min: 4, max: 9 }) }), x: fc.double({ min: 0, max: 60, noNaN: true }) }), { minLength: 12, maxLength: 80 }),
  threshold: fc.integer({ min: 1, max: 60 }),
  cut: fc.double({ min: 0.2, max: 0.8, noNaN: true })
}).map(({ steps, threshold, cut }) => {
  let s = -2
  const points = steps.map(({ gap, x }) => {
    s += gap
    return { s, x }
  })
  const until = points.at(-2)!.s
  return { points, threshold, window: [0, until] as const, cut: Math.round(until * cut * 1000) / 1000 }
})

const published = (...deficits: Deficit[]) => deficits.every(({ dose }) => dose !== undefined)
const near = (a: number, b: number) => expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(a), Math.abs(b)))
const RUNS = { numRuns: 1000 }

test('the dose lies between 0 and threshold × covered time, and the index in [0, 1]', () => {
  fc.assert(fc.property(SERIES, ({ points, threshold, window }) => {
    const found = deficitOf(points, window, threshold)
    fc.pre(published(found))
    expect(found.dose).toBeGreaterThanOrEqual(0)
    expect(found.dose).toBeLessThanOrEqual(threshold * found.coverage * (window[1] - window[0]) / 60 + 1e-9)
    expect(found.index).toBeGreaterThanOrEqual(0)
    expect(found.index).toBeLessThanOrEqual(1 + 1e-12)
    expect(found.timeFraction).toBeLessThanOrEqual(1 + 1e-12)
  }), RUNS)
})

test('the dose is 0 exactly when no counted segment goes below the threshold', () => {
  fc.assert(fc.property(SERIES, ({ points, threshold, window }) => {
    const found = deficitOf(points, window, threshold)
    fc.pre(published(found))
    const goesBelow = points.some((right, index) => {
      const left = points[index - 1]
      if (left === undefined || right.s - left.s > 3 || right.s <= window[0] || left.s >= window[1]) return false
      const at = (s: number) => left.x + (right.x - left.x) * (s - left.s) / (right.s - left.s)
      return Math.min(at(Math.max(left.s, window[0])), at(Math.min(right.s, window[1]))) < threshold
    })
    expect(found.dose! > 0).toBe(goesBelow)
  }), RUNS)
})

test('adjacent windows add up', () => {
  fc.assert(fc.property(SERIES, ({ points, threshold, window: [from, until], cut }) => {
    const [whole, left, right] = [deficitOf(points, [from, until], threshold), deficitOf(points, [from, cut], threshold), deficitOf(points, [cut, until], threshold)]
    near(whole.coverage * (until - from), left.coverage * (cut - from) + right.coverage * (until - cut))
    fc.pre(published(whole, left, right))
    near(whole.dose!, left.dose! + right.dose!)
  }), RUNS)
})

test('neither dose nor index falls when the threshold rises', () => {
  fc.assert(fc.property(SERIES, fc.integer({ min: 1, max: 30 }), ({ points, threshold, window }, rise) => {
    const low = deficitOf(points, window, threshold)
    fc.pre(published(low))
    const high = deficitOf(points, window, threshold + rise)
    expect(high.dose! - low.dose!).toBeGreaterThanOrEqual(-1e-9)
    expect(high.index! - low.index!).toBeGreaterThanOrEqual(-1e-12)
  }), RUNS)
})

test('order of arrival and repeated samples change nothing', () => {
  fc.assert(fc.property(SERIES, fc.infiniteStream(fc.nat()), ({ points, threshold, window }, picks) => {
    const shuffled = [...points, points[picks.next().value % points.length]!].map((point) => ({ point, rank: picks.next().value })).sort((a, b) => a.rank - b.rank).map(({ point }) => point)
    const [once, again] = [deficitOf(points, window, threshold), deficitOf(shuffled, window, threshold)]
    for (const field of ['coverage', 'dose', 'meanDepth', 'index', 'timeFraction', 'nadir'] as const) expect(again[field]).toBe(once[field])
  }), RUNS)
})

test('scaling samples and threshold scales dose and depth and leaves the index', () => {
  fc.assert(fc.property(SERIES, fc.constantFrom(0.5, 2, 7.5), ({ points, threshold, window }, factor) => {
    const found = deficitOf(points, window, threshold)
    fc.pre(published(found))
    const scaled = deficitOf(points.map(({ s, x }) => ({ s, x: x * factor })), window, threshold * factor)
    near(scaled.dose!, found.dose! * factor)
    near(scaled.meanDepth!, found.meanDepth! * factor)
    near(scaled.index!, found.index!)
  }), RUNS)
})

test('it agrees with a dense sum of rectangles', () => {
  fc.assert(fc.property(SERIES, ({ points, threshold, window: [from, until] }) => {
    const found = deficitOf(points, [from, until], threshold)
    fc.pre(published(found))
    const stepsPerSecond = 50
    let area = 0
    let place = 1
    for (let step = 0; step < (until - from) * stepsPerSecond; step++) {
      const s = from + (step + 0.5) / stepsPerSecond
      while (points[place]!.s < s) place++
      const [left, right] = [points[place - 1]!, points[place]!]
      if (s < left.s || right.s - left.s > 3) continue
      area += Math.max(0, threshold - left.x - (right.x - left.x) * (s - left.s) / (right.s - left.s)) / stepsPerSecond
    }
    // Midpoint rule: exact on straight pieces, off by less than one triangle where a piece crosses the threshold.
    expect(Math.abs(area / 60 - found.dose!)).toBeLessThanOrEqual(points.length * 60 / stepsPerSecond ** 2 / 60)
  }), { numRuns: 300 })
})
