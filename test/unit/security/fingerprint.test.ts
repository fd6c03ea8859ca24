import { createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createFingerprint } from '../../../src/security/fingerprint.ts'

const fingerprint = createFingerprint(createSecretKey(Buffer.alloc(32, 0x33)))
const hexOf = (words: readonly (string | number)[], bytes: Uint8Array) => fingerprint(words, bytes).toString('hex')

test('equal words and bytes have one fingerprint, and nothing else does', () => {
  const word = fc.oneof(fc.string(), fc.nat())
  const input = fc.record({ words: fc.array(word, { maxLength: 4 }), bytes: fc.uint8Array({ maxLength: 8 }) })
  fc.assert(fc.property(input, input, (one, other) => {
    const isSame = JSON.stringify(one.words) === JSON.stringify(other.words) && Buffer.from(one.bytes).equals(other.bytes)
    expect(hexOf(one.words, one.bytes) === hexOf(other.words, other.bytes)).toBe(isSame)
    expect(hexOf(one.words, one.bytes)).toBe(hexOf([...one.words], Buffer.from(one.bytes)))
  }))
})

test('no word reaches into the bytes', () => {
  expect(hexOf(['a'], Buffer.from('["b"]'))).not.toBe(hexOf(['a', 'b'], Buffer.alloc(0)))
  expect(hexOf([], Buffer.from('["a"]'))).not.toBe(hexOf(['a'], Buffer.from('[]')))
  expect(hexOf([1], Buffer.alloc(0))).not.toBe(hexOf(['1'], Buffer.alloc(0)))
})

test('another key gives another fingerprint', () => {
  const other = createFingerprint(createSecretKey(Buffer.alloc(32, 0x34)))
  expect(other(['a'], Buffer.from('b')).toString('hex')).not.toBe(hexOf(['a'], Buffer.from('b')))
})
