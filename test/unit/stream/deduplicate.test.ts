import { expect, test } from 'vitest'
import { millivolt, percent } from '../../../src/model/units.ts'
import { compareRepeated } from '../../../src/stream/deduplicate.ts'

const of = (...values: (number | undefined)[]) => ({ values, battery: undefined, quality: undefined })

test('the same values are a duplicate', () => {
  expect(compareRepeated(of(1, undefined, 3), of(1, undefined, 3))).toEqual({ kind: 'duplicate', fills: [] })
})

test('a repetition that says less is a duplicate', () => {
  expect(compareRepeated(of(1, 2), of(1))).toEqual({ kind: 'duplicate', fills: [] })
})

test('another value at a channel that has one is a conflict', () => {
  expect(compareRepeated(of(1), of(2))).toEqual({ kind: 'conflict', fills: [] })
})

test('a conflict at one channel does not lose the value of another that was absent', () => {
  expect(compareRepeated(of(1, undefined), of(2, 5))).toEqual({ kind: 'conflict', fills: [1] })
})

test('a value for an absent channel fills it', () => {
  expect(compareRepeated(of(1, undefined), of(1, 5))).toEqual({ kind: 'duplicate', fills: [1] })
  expect(compareRepeated(of(), of(7))).toEqual({ kind: 'duplicate', fills: [0] })
})

test('zero and minus zero are the same value', () => {
  expect(compareRepeated(of(0), of(-0))).toEqual({ kind: 'duplicate', fills: [] })
})

test('battery and quality are compared and filled like a channel', () => {
  const bare = of(1)
  const told = { ...bare, battery: millivolt(3_700), quality: percent(90) }
  expect(compareRepeated(bare, told)).toEqual({ kind: 'duplicate', fills: ['battery', 'quality'] })
  expect(compareRepeated(told, bare)).toEqual({ kind: 'duplicate', fills: [] })
  expect(compareRepeated(told, { ...told, battery: millivolt(3_600) })).toEqual({ kind: 'conflict', fills: [] })
})
