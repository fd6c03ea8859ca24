import fc from 'fast-check'
import { expect, test } from 'vitest'
import { countReadings, encodeReadingBatch } from '../../../src/model/reading-record.ts'
import type { ModelKey, Sid } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import { portionsOf } from '../../../src/stream/portions.ts'
import { START, storedReading } from '../../support/stored-reading.ts'

const value = (readings: number): Buffer => encodeReadingBatch({
  sid: 's1000000000000000000000000000' as Sid, model: 'Example Sensors Inc./TO2-READER-2' as ModelKey, schemaId: 1, receivedAt: epochMs(START),
  readings: Array.from({ length: readings }, (_, place) => storedReading(START + place * 1_000, [97]))
})
const VALUES = Array.from({ length: 30 }, (_, readings) => value(readings))

/** Readings in each record, by partition, from an offset on. */
const taken = fc.array(fc.record({ from: fc.nat(1_000), readings: fc.array(fc.nat(29), { minLength: 1, maxLength: 12 }) }), { maxLength: 4 }).map(lists => lists.map(({ from, readings }, partition) => ({
  partition, firstOffset: from, nextOffset: from + readings.length, records: readings.map((count, place) => ({ offset: from + place, value: VALUES[count]! }))
})))

test('portions follow on each other without a gap, hold everything in order, and none is larger than it may be', () => {
  fc.assert(fc.property(taken, fc.integer({ min: 1, max: 60 }), (batches, most) => {
    const portions = portionsOf(batches, most)
    for (const { partition, firstOffset, nextOffset, records } of batches) {
      const parts = portions.flat().filter(part => part.partition === partition)
      expect(parts.flatMap(part => part.records)).toEqual(records)
      expect([firstOffset, ...parts.map(part => part.nextOffset)]).toEqual([...parts.map(part => part.firstOffset), nextOffset])
      for (const part of parts) expect(part.nextOffset - part.firstOffset).toBe(part.records.length)
    }
    for (const portion of portions) {
      const counts = portion.flatMap(({ records }) => records.map(record => countReadings(record.value)))
      expect(counts.length === 1 || counts.reduce((sum, count) => sum + count, 0) <= most).toBe(true)
      if (batches.length > 0) expect(counts.length).toBeGreaterThan(0)
    }
  }))
})

test('of nothing there is one portion, of nothing: the clock is looked at', () => { expect(portionsOf([], 10)).toEqual([[]]) })

test('readings are counted as they stand there; what is damaged, or holds none, counts as one', () => {
  for (const bytes of [Buffer.alloc(0), Buffer.from('{"a":1}'), value(5).subarray(0, 40), Buffer.alloc(100, 0xff)]) expect(countReadings(bytes)).toBe(1)
  expect([countReadings(value(0)), countReadings(value(1)), countReadings(value(29))]).toEqual([1, 1, 29])
})
