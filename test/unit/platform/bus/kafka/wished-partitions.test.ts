import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sharePartitions, type Wish } from '../../../../../src/platform/bus/kafka/wished-partitions.ts'

const range = (count: number) => Array.from({ length: count }, (_, n) => n)
const wishes = (...list: [string, number[], number[]?][]) => new Map(list.map(([id, partitions, has = []]): [string, Wish] => [id, { partitions, has }]))
const shared = (...list: [string, number[], number[]?][]) => Object.fromEntries(sharePartitions(wishes(...list)))

test('one member gets all that it wishes for and nothing else', () => {
  expect(shared(['a', [0, 2]])).toEqual({ a: [0, 2] })
})

test('members of different wishes take nothing from each other', () => {
  expect(shared(['a', [0, 2], [0, 2]], ['b', [1, 3]])).toEqual({ a: [0, 2], b: [1, 3] })
})

test('a member that joins gets its share, and the others keep theirs of what they had', () => {
  expect(shared(['a', range(4), range(4)], ['b', range(4)])).toEqual({ a: [0, 1], b: [2, 3] })
  expect(shared(['a', range(4), [0, 1]], ['b', range(4), [2, 3]], ['c', range(4)])).toEqual({ a: [0, 1], b: [2], c: [3] })
})

test('what a member leaves behind goes to the others, and nothing else moves', () => {
  expect(shared(['a', range(6), [0, 1]], ['c', range(6), [4, 5]])).toEqual({ a: [0, 1, 2], c: [4, 5, 3] })
})

test('of two that say they have the same partition one keeps it', () => {
  expect(shared(['a', range(2), [0, 1]], ['b', range(2), [0, 1]])).toEqual({ a: [0], b: [1] })
})

test('every partition that anybody wishes for has one member, who wishes for it; among members of one wish nobody has two more than another', () => {
  const member = fc.record({ partitions: fc.uniqueArray(fc.nat(11)), has: fc.uniqueArray(fc.nat(11)) })
  fc.assert(fc.property(fc.array(member, { minLength: 1, maxLength: 6 }), list => {
    const members = new Map(list.map((wish, n): [string, Wish] => [`m${n}`, wish]))
    const shares = sharePartitions(members)
    expect([...shares.values()].flat().sort()).toEqual([...new Set(list.flatMap(({ partitions }) => partitions))].sort())
    for (const [id, share] of shares) for (const partition of share) expect(members.get(id)!.partitions).toContain(partition)
  }))
  fc.assert(fc.property(fc.integer({ min: 1, max: 12 }), fc.array(fc.uniqueArray(fc.nat(11)), { minLength: 1, maxLength: 6 }), (count, having) => {
    const sizes = [...sharePartitions(new Map(having.map((has, n): [string, Wish] => [`m${n}`, { partitions: range(count), has }]))).values()].map(share => share.length)
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
  }))
})
