import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Arrival, decodeRawFrame, encodeRawFrame, placesOf, recordsOfFrame } from '../../../src/ingest/raw-frame.ts'
import { epochMs } from '../../../src/model/units.ts'

const flip = (bytes: Uint8Array) => Uint8Array.from(bytes, byte => byte ^ 0x5a)
const fault = expect.objectContaining({ category: 'fault' })
const u48 = fc.maxSafeNat().map(n => n % 2 ** 48)
const origin = fc.record({ inlet: fc.string({ maxLength: 40 }), number: u48, records: fc.nat() })
const run = fc.record({ origin: fc.nat({ max: 0xffff }), first: fc.nat(), count: fc.nat() })

test('decoding gives what was encoded, record by record', () => {
  fc.assert(fc.property(
    fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 20 }), fc.constantFrom('json' as const, 'avro' as const, 'protobuf' as const), fc.nat(), u48,
    fc.constantFrom('arrived' as const, 'released' as const), fc.array(origin, { maxLength: 5 }), fc.array(run, { maxLength: 5 }),
    (records, content, schemaId, receivedAt, way, origins, runs) => {
      const head = { content, schemaId, receivedAt: epochMs(receivedAt), way, origins, runs }
      const spans = records.map(record => ({ source: Buffer.concat([Buffer.from('x'), record, Buffer.from('y')]), start: 1, end: 1 + record.length }))
      const encoded = encodeRawFrame(head, spans, flip)
      const frame = decodeRawFrame(encoded)
      expect(frame).toMatchObject(head)
      expect(Buffer.concat([frame.head, frame.sealed]).equals(encoded)).toBe(true)
      expect(recordsOfFrame(frame, Buffer.from(flip(frame.sealed))).map(record => [...record])).toEqual(records.map(record => [...record]))
    }
  ))
})

test('the places of records are told as runs, and as many origins as there are', () => {
  const [one, other] = [{ inlet: 'http/a', number: 7, records: 100 }, { inlet: 'http/b', number: 7, records: 3 }]
  const arrival: Arrival<[typeof one, number]> = { way: 'released', originOf: ([from]) => from, placeOf: ([, place]) => place }
  expect(placesOf([[one, 0], [one, 1], [one, 2], [one, 5], [other, 6], [other, 2], [one, 6]], arrival)).toEqual({
    origins: [one, other],
    runs: [{ origin: 0, first: 0, count: 3 }, { origin: 0, first: 5, count: 1 }, { origin: 1, first: 6, count: 1 }, { origin: 1, first: 2, count: 1 }, { origin: 0, first: 6, count: 1 }]
  })
  expect(placesOf([], arrival)).toEqual({ origins: [], runs: [] })
})

test('a frame without places, as they were written before, is read', () => {
  const inlet = Buffer.from('http/x')
  const old = Buffer.alloc(19 + inlet.length + 4 + 8)
  old.set([0x01, 2])
  old.writeUInt32BE(2, 2)
  old.writeUIntBE(1_770_000_000_000, 6, 6)
  old.writeUIntBE(9, 12, 6)
  old[18] = inlet.length
  old.set(inlet, 19)
  old.writeUInt32BE(2, 25)
  old.writeUInt32BE(3, 29)
  old.writeUInt32BE(4, 33)
  const frame = decodeRawFrame(Buffer.concat([old, Buffer.from('abcdefg')]))
  expect(frame).toMatchObject({
    content: 'avro', schemaId: 2, receivedAt: 1_770_000_000_000, way: 'arrived', origins: [{ inlet: 'http/x', number: 9, records: 0 }], runs: [], lengths: [3, 4]
  })
  expect(recordsOfFrame(frame, frame.sealed).map(String)).toEqual(['abc', 'defg'])
})

test('bytes of another format, and any that end too early, are a broken program', () => {
  for (const bytes of [Buffer.alloc(40), Buffer.from([1]), Buffer.from([2]), Buffer.alloc(0)]) expect(() => decodeRawFrame(bytes)).toThrowError(fault)
  const head = { content: 'json' as const, schemaId: 1, receivedAt: epochMs(1), way: 'arrived' as const, origins: [{ inlet: 'http/a', number: 1, records: 2 }], runs: [{ origin: 0, first: 0, count: 2 }] }
  const source = Buffer.from('ab')
  const whole = encodeRawFrame(head, [{ source, start: 0, end: 1 }, { source, start: 1, end: 2 }], () => Buffer.alloc(0))
  for (let length = 0; length < whole.length; length++) expect(() => decodeRawFrame(whole.subarray(0, length))).toThrowError(fault)
  const many = Buffer.from(whole)
  many.writeUInt32BE(0xffff_ffff, whole.length - 12)
  expect(() => decodeRawFrame(many)).toThrowError(fault)
})
