import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Calibration, CalibrationKind } from '../../../src/model/calibration.ts'
import { epochMs } from '../../../src/model/units.ts'
import { calibrate, calibrationAt, calibrationSpan } from '../../../src/stream/calibrate.ts'

function calibration (kind: CalibrationKind, coefficients: Record<string, number>, facts: { number?: number, from?: number, until?: number, metric?: string } = {}): Calibration {
  return {
    number: facts.number ?? 1, metric: facts.metric ?? 'tissue-po2', kind, coefficients, from: epochMs(facts.from ?? 0), state: 'calibrated',
    ...(facts.until !== undefined && { until: epochMs(facts.until) })
  }
}

test.each<[CalibrationKind, Record<string, number>, number, number]>([
  ['offset', { offset: -1.5 }, 40, 38.5],
  ['gain', { gain: 2 }, 40, 80],
  ['gain', { gain: 2, offset: 1 }, 40, 81],
  ['polynomial', { c0: 1, c1: 2, c2: 3 }, 2, 17],
  ['polynomial', { c2: 1 }, 3, 9],
  ['polynomial', { c0: 7 }, 3, 7],
  ['stern-volmer', { tau0: 58.1, Ksv: 0.0213 }, 58.1, 0],
  ['stern-volmer', { tau0: 60, Ksv: 0.02 }, 30, 50]
])('%s %j of %d is %d', (kind, coefficients, raw, value) => {
  expect(calibrate(raw, calibration(kind, coefficients))).toBeCloseTo(value, 12)
})

test.each<[CalibrationKind, Record<string, number>, number]>([
  ['offset', {}, 1], ['gain', { offset: 1 }, 1], ['polynomial', {}, 1], ['stern-volmer', { tau0: 58.1 }, 1], ['stern-volmer', { tau0: 58.1, Ksv: 0.02 }, 0],
  ['stern-volmer', { tau0: 58.1, Ksv: 0 }, 30], ['polynomial', { c9: 1e300 }, 1e9]
])('%s %j of %d gives no value rather than a wrong one', (kind, coefficients, raw) => {
  expect(calibrate(raw, calibration(kind, coefficients))).toBeUndefined()
})

test('in force is the highest number whose half-open period covers the time', () => {
  const at = calibrationAt([
    calibration('offset', { offset: 1 }, { number: 3, from: 100, until: 200 }),
    calibration('offset', { offset: 1 }, { number: 1, from: 0 }),
    calibration('offset', { offset: 1 }, { number: 2, from: 150 }),
    calibration('offset', { offset: 1 }, { number: 9, from: 0, metric: 'spo2' })
  ])
  const numberAt = (time: number) => at('tissue-po2', epochMs(time))?.number
  expect([-1, 0, 99, 100, 199, 200].map(numberAt)).toEqual([undefined, 1, 1, 3, 3, 2])
  expect(at('spo2', epochMs(0))?.number).toBe(9)
  expect(at('other', epochMs(0))).toBeUndefined()
})

const CALIBRATIONS = fc.array(fc.record({ from: fc.integer({ min: 0, max: 50 }), length: fc.option(fc.integer({ min: 1, max: 40 })) }), { maxLength: 6 })
  .map((periods) => periods.map(({ from, length }, index) => calibration('offset', { offset: 0 }, { number: index + 1, from, ...(length !== null && { until: from + length }) })))

test('within its span the answer is the same as asking anew, in any order of recording', () => {
  fc.assert(fc.property(CALIBRATIONS, fc.integer({ min: -5, max: 100 }), (calibrations, time) => {
    const { calibration: found, from, until, isExpired } = calibrationSpan(calibrations, 'tissue-po2', epochMs(time))
    expect(from <= time && time < until).toBe(true)
    for (let other = -6; other <= 101; other++) {
      if (other < from || other >= until) continue
      const covering = calibrations.filter((one) => one.from <= other && (one.until === undefined || other < one.until)).map(({ number }) => number)
      expect(found?.number).toBe(covering.length === 0 ? undefined : Math.max(...covering))
      expect(isExpired).toBe(covering.length === 0 && calibrations.some((one) => one.until !== undefined && one.until <= other))
    }
    expect(calibrationSpan(calibrations.toReversed(), 'tissue-po2', epochMs(time)).calibration).toBe(found)
  }), { numRuns: 1000 })
})
