import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { StoredReading } from '../../../src/model/reading.ts'
import { epochMs, millivolt, percent } from '../../../src/model/units.ts'
import { OpenReadings } from '../../../src/stream/open-readings.ts'

const CHANNELS = 3
const orAbsent = <T>(some: fc.Arbitrary<T>) => fc.option(some, { nil: undefined })
const whole = fc.integer({ min: 0, max: 2 ** 31 - 1 })
const readings: fc.Arbitrary<StoredReading> = fc.record({
  takenAt: fc.integer({ min: 0, max: 40 }).map(epochMs),
  sequence: fc.integer({ min: 0, max: 3 }),
  values: fc.array(orAbsent(fc.double({ noNaN: true })), { minLength: CHANNELS, maxLength: CHANNELS }),
  battery: orAbsent(fc.integer({ min: 0, max: 6_000 }).map(millivolt)),
  quality: orAbsent(fc.double({ min: 0, max: 100, noNaN: true }).map(percent)),
  firmware: whole, flags: whole, schemaId: whole, partition: whole, offset: fc.maxSafeNat()
})
const drops = fc.nat({ max: 30 })
const steps = fc.array(fc.oneof({ weight: 9, arbitrary: readings }, { weight: 1, arbitrary: drops }), { maxLength: 120 })

test('what was put stands in order of time and sequence, each identity once, and comes back as it went in', () => {
  fc.assert(fc.property(steps, list => {
    const packed = new OpenReadings(CHANNELS)
    let plain: StoredReading[] = []
    for (const step of list) {
      if (typeof step === 'number') {
        const count = Math.min(step, plain.length)
        packed.drop(count)
        plain = plain.slice(count)
      } else {
        packed.put(step)
        plain = [...plain.filter(one => one.takenAt !== step.takenAt || one.sequence !== step.sequence), step]
          .sort((a, b) => a.takenAt - b.takenAt || a.sequence - b.sequence)
      }
    }
    expect(packed.length).toBe(plain.length)
    expect(packed.slice(0, plain.length)).toEqual(plain)
    expect(plain.map((_, place) => packed.takenAt(place))).toEqual(plain.map(one => one.takenAt))
    for (let takenAt = 0; takenAt <= 41; takenAt++) {
      for (const sequence of [-Infinity, 0, 2]) {
        const bound = plain.findIndex(one => one.takenAt > takenAt || (one.takenAt === takenAt && one.sequence >= sequence))
        expect(packed.lowerBound(takenAt, sequence)).toBe(bound < 0 ? plain.length : bound)
      }
      expect(packed.find(epochMs(takenAt), 1)).toBe(plain.findIndex(one => one.takenAt === takenAt && one.sequence === 1))
    }
  }))
})

test('readings given at the start are held as if they had been put', () => {
  fc.assert(fc.property(fc.uniqueArray(readings, { selector: one => one.takenAt * 10 + one.sequence }), list => {
    const sorted = list.toSorted((a, b) => a.takenAt - b.takenAt || a.sequence - b.sequence)
    const packed = new OpenReadings(CHANNELS, sorted)
    expect(packed.slice(0, Infinity)).toEqual(sorted)
  }))
})

test('what it gives out is a copy', () => {
  const packed = new OpenReadings(1)
  packed.put({ takenAt: epochMs(1), sequence: 0, values: [5], battery: undefined, quality: undefined, firmware: 0, flags: 0, schemaId: 2, partition: 0, offset: 7 })
  packed.at(0).offset = 8
  expect(packed.at(0)).toMatchObject({ values: [5], offset: 7 })
})
