import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeRawFrame, encodeRawFrame, recordsOfFrame } from '../../../src/ingest/raw-frame.ts'
import { epochMs } from '../../../src/model/units.ts'

const flip = (bytes: Uint8Array) => Uint8Array.from(bytes, byte => byte ^ 0x5a)

test('decoding gives what was encoded, record by record', () => {
  fc.assert(fc.property(
    fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 20 }), fc.constantFrom('json' as const, 'avro' as const), fc.nat(), fc.maxSafeNat().map(n => n % 2 ** 48), fc.string({ maxLength: 40 }),
    (records, content, schemaId, number, inlet) => {
      const head = { content, schemaId, receivedAt: epochMs(number), source: { inlet, number } }
      const spans = records.map(record => ({ source: Buffer.concat([Buffer.from('x'), record, Buffer.from('y')]), start: 1, end: 1 + record.length }))
      const frame = decodeRawFrame(encodeRawFrame(head, spans, flip))
      expect(frame).toMatchObject(head)
      expect(recordsOfFrame(frame, Buffer.from(flip(frame.sealed))).map(record => [...record])).toEqual(records.map(record => [...record]))
    }
  ))
})

test('bytes of another format are a broken program', () => {
  expect(() => decodeRawFrame(Buffer.alloc(40))).toThrowError(expect.objectContaining({ category: 'fault' }))
  expect(() => decodeRawFrame(Buffer.from([1]))).toThrowError(expect.objectContaining({ category: 'fault' }))
})
