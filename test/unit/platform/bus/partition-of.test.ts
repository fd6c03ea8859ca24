import fc from 'fast-check'
import { expect, test } from 'vitest'
import { partitionOf } from '../../../../src/platform/bus/partition-of.ts'

test('the partition of a key is what it has always been', () => {
  // FNV-1a test vectors (draft-eastlake-fnv): '' 811c9dc5, 'a' e40c292c, 'foobar' bf9cf968.
  expect(partitionOf('', 2 ** 32)).toBe(0x811c9dc5)
  expect(partitionOf('a', 2 ** 32)).toBe(0xe40c292c)
  expect(partitionOf('foobar', 2 ** 32)).toBe(0xbf9cf968)
})

test('a partition is one of those there are', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 1024 }), (key, count) => {
    const partition = partitionOf(key, count)
    expect(Number.isInteger(partition) && partition >= 0 && partition < count).toBe(true)
  }))
})

test('keys spread over the partitions', () => {
  const counts = new Array<number>(8).fill(0)
  for (let key = 0; key < 8_000; key++) counts[partitionOf(`sid-${key}`, 8)]!++
  for (const count of counts) expect(count).toBeGreaterThan(700)
})
