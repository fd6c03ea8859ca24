import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeRow, encodeRow } from '../../../../../src/platform/bus/embedded/row-bytes.ts'
import { recordBytes } from '../../../../../src/platform/bus/record-bytes.ts'

const ALL = Number.POSITIVE_INFINITY
const recordOf = (key: string, text: string) => ({ key, value: Buffer.from(text) })
const records = fc.array(fc.record({ key: fc.string({ unit: 'grapheme', maxLength: 40 }), value: fc.uint8Array({ maxLength: 200 }) }), { minLength: 1, maxLength: 30 })

test('records come back in order, with offsets that count on from the first', () => {
  fc.assert(fc.property(records, fc.nat(), (sent, firstOffset) => {
    const decoded = decodeRow(encodeRow(sent), firstOffset, 0, ALL, ALL)
    expect(decoded.map(({ offset }) => offset)).toEqual(sent.map((_, index) => firstOffset + index))
    expect(decoded.map(({ key, value }) => [key, value.toString('hex')])).toEqual(sent.map(({ key, value }) => [key, Buffer.from(value).toString('hex')]))
  }))
})

test('a row takes its version and the bytes of its records', () => {
  fc.assert(fc.property(records, sent => {
    expect(encodeRow(sent).length).toBe(1 + sent.reduce((sum, record) => sum + recordBytes(record), 0))
  }))
})

test('decoding in parts gives what decoding at once gives', () => {
  fc.assert(fc.property(records, fc.integer({ min: 1, max: 7 }), (sent, countMax) => {
    const row = encodeRow(sent)
    const parts = []
    for (let skip = 0; skip < sent.length; skip += countMax) parts.push(...decodeRow(row, 100, skip, countMax, ALL))
    expect(parts).toEqual(decodeRow(row, 100, 0, ALL, ALL))
  }))
})

test('values together stay within the bytes allowed', () => {
  const row = encodeRow([recordOf('a', 'xxxx'), recordOf('b', 'xxxx'), recordOf('c', 'xxxx')])
  expect(decodeRow(row, 0, 0, ALL, 8)).toHaveLength(2)
  expect(decodeRow(row, 0, 0, ALL, 7)).toHaveLength(1)
  expect(decodeRow(row, 0, 0, ALL, 3)).toHaveLength(0)
})

test('a row cut short, or of another version, is a fault and never a shorter row', () => {
  const row = encodeRow([recordOf('key', 'value'), recordOf('key', 'value')])
  const ends = Array.from({ length: row.length }, (_, end) => end).filter(end => end !== 1 && end !== 1 + recordBytes(recordOf('key', 'value')))
  for (const end of ends) expect(() => decodeRow(row.subarray(0, end), 0, 0, ALL, ALL), `cut at ${end}`).toThrow()
  row[0] = 2
  expect(() => decodeRow(row, 0, 0, ALL, ALL)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
})
