import avro from 'avsc'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ReadingBatch, Sid } from '../../../src/model/reading.ts'
import { decodeReadingBatch, encodeReadingBatch, READINGS_SCHEMA } from '../../../src/model/reading-record.ts'
import { epochMs, millivolt, percent } from '../../../src/model/units.ts'
import { drawSid } from '../../../src/security/sid.ts'

const TYPE = avro.Type.forSchema(READINGS_SCHEMA as unknown as avro.Schema, { wrapUnions: false })

const reading = fc.record({
  takenAt: fc.integer({ min: -1e13, max: 4e13 }).map(epochMs),
  sequence: fc.oneof(fc.nat(200), fc.integer({ min: 0, max: 2 ** 50 })),
  values: fc.array(fc.option(fc.double({ noNaN: true }), { nil: undefined }), { maxLength: 8 }),
  battery: fc.option(fc.nat(6_000).map(millivolt), { nil: undefined }),
  quality: fc.option(fc.nat(100).map(percent), { nil: undefined }),
  firmware: fc.nat(),
  flags: fc.nat(2 ** 11)
})

const batch: fc.Arbitrary<ReadingBatch> = fc.record({
  sid: fc.infiniteStream(fc.uint8Array({ minLength: 16, maxLength: 16 })).map(draws => drawSid(() => draws.next().value!)),
  model: fc.string({ unit: 'grapheme', maxLength: 80 }),
  schemaId: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  receivedAt: fc.integer({ min: 0, max: 4e13 }).map(epochMs),
  readings: fc.array(reading, { maxLength: 12 })
})

/** Channels behind the last one that is present cannot be told from none. */
function shown ({ readings, ...rest }: ReadingBatch): object {
  return { ...rest, readings: readings.map(({ values, ...fields }) => ({ ...fields, values: values.slice(0, values.findLastIndex(value => value !== undefined) + 1) })) }
}

test('what was written is read again', () => {
  fc.assert(fc.property(batch, written => { expect(decodeReadingBatch(encodeReadingBatch(written))).toEqual(shown(written)) }))
})

test('the bytes are those of any Avro library with the registered schema', () => {
  fc.assert(fc.property(batch, written => {
    const wire = {
      ...written,
      readings: written.readings.map(({ values, battery, quality, ...fields }) => ({
        ...fields,
        present: values.reduce<number>((bits, value, channel) => value === undefined ? bits : bits | (1 << channel), 0),
        values: values.filter(value => value !== undefined),
        battery: battery ?? -1,
        quality: quality ?? -1
      }))
    }
    expect(encodeReadingBatch(written)).toEqual(TYPE.toBuffer(wire))
  }))
})

test('bytes that were cut or changed are refused, or read as another batch, and never read past their end', () => {
  fc.assert(fc.property(batch, fc.nat(), (written, at) => {
    const bytes = encodeReadingBatch(written)
    expect(() => decodeReadingBatch(bytes.subarray(0, at % bytes.length))).toThrow()
    expect(() => decodeReadingBatch(Buffer.concat([bytes, Buffer.from([0])]))).toThrow()
  }))
})

const SID = 's100041061050r3gg28a1c60t3gf6'

test.each([
  ['a wrong check symbol', `${SID.slice(0, 28)}7`], ['a changed digit', SID.replace('r3', 'r4')], ['upper case', SID.toUpperCase()], ['an upper prefix', `S1${SID.slice(2)}`],
  ['one symbol less', SID.slice(0, 28)], ['one symbol more', `${SID}0`], ['a blank in front', ` ${SID}`], ['the handle of a patient', `j1${SID.slice(2)}`],
  ['a device identifier', 'SN-0001'], ['nothing', '']
])('a record whose sid has %s is refused, and not repeated in the error', (_, sid) => {
  const bytes = encodeReadingBatch({ sid: sid as Sid, model: 'm', schemaId: 2, receivedAt: epochMs(1), readings: [] })
  expect(() => decodeReadingBatch(bytes)).toThrow(expect.objectContaining({ category: 'fault', message: 'a record of the readings topic is damaged' }))
})

test('a record with a sid is taken', () => {
  expect(decodeReadingBatch(encodeReadingBatch({ sid: SID as Sid, model: 'm', schemaId: 2, receivedAt: epochMs(1), readings: [] })).sid).toBe(SID)
})
