import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeMessageIndexes, encodeMessageIndexes } from '../../../../src/ingest/decode/message-index.ts'

test('[0], [1] and [2, 0] go there and back; [0] is one byte', () => {
  for (const indexes of [[0], [1], [2, 0]]) {
    const bytes = encodeMessageIndexes(indexes)
    expect(decodeMessageIndexes(bytes, 0)).toEqual({ indexes, next: bytes.length })
  }
  expect([...encodeMessageIndexes([0])]).toEqual([0])
  expect([...encodeMessageIndexes([1])]).toEqual([2, 2])
  expect([...encodeMessageIndexes([2, 0])]).toEqual([4, 4, 0])
})

test('any place of a message goes there and back, wherever it stands', () => {
  fc.assert(fc.property(fc.array(fc.nat({ max: 100_000 }), { minLength: 1, maxLength: 16 }), fc.uint8Array({ maxLength: 8 }), (indexes, rest) => {
    const bytes = encodeMessageIndexes(indexes)
    expect(decodeMessageIndexes(Buffer.concat([Buffer.alloc(5), bytes, rest]), 5)).toEqual({ indexes, next: 5 + bytes.length })
  }))
})

test('what is cut short, negative or too deep is none', () => {
  for (const bytes of [[], [2], [4, 2], [1], [2, 1], [34, ...Array.from({ length: 17 }, () => 0)], [0x80], Array.from({ length: 11 }, () => 0xff)]) {
    expect(decodeMessageIndexes(Buffer.from(bytes), 0), String(bytes)).toBeUndefined()
  }
})
