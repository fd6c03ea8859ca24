import { expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import type { PartitionBatch } from '../../../../src/platform/bus/bus.ts'
import type { PartitionHead } from '../../../../src/stores/archive/manifest-rows.ts'
import { createSlices, type Slice } from '../../../../src/stores/archive/slices.ts'

const LIMITS = { sliceBytes: 100, sliceMs: 1_000, bytesMax: 150 }

/** @param from offset of the first of `count` records of `bytes` each */
function batch (partition: number, from: number, count: number, bytes = 10): PartitionBatch {
  const records = Array.from({ length: count }, (_, index) => ({ offset: from + index, key: 's', value: Buffer.alloc(bytes) }))
  return { partition, firstOffset: from, nextOffset: from + count, records }
}

const ranges = (slices: readonly Slice[]) => slices.map(({ partition, first, next, bytes }) => ({ partition, first, next, bytes }))

function scene (heads: Record<number, Partial<PartitionHead>> = {}) {
  const slices = createSlices(LIMITS)
  const headOf = (partition: number): PartitionHead => ({ partition, next: 0, digest: '', reserved: undefined, ...heads[partition] })
  return { slices, headOf, add: (batches: PartitionBatch[], at = 0) => ranges(slices.add(batches, headOf, epochMs(at))) }
}

test('a slice is closed by its bytes, and what comes behind it begins another', () => {
  const { add } = scene()
  expect(add([batch(0, 0, 9)])).toEqual([])
  expect(add([batch(0, 9, 12)])).toEqual([{ partition: 0, first: 0, next: 10, bytes: 100 }, { partition: 0, first: 10, next: 20, bytes: 100 }])
})

test('a record larger than a slice is a slice', () => {
  const { add } = scene()
  expect(add([batch(0, 0, 2, 300)])).toEqual([{ partition: 0, first: 0, next: 1, bytes: 300 }, { partition: 0, first: 1, next: 2, bytes: 300 }])
})

test('a slice is closed by its age', () => {
  const { slices, add, headOf } = scene()
  add([batch(0, 0, 1)], 0)
  add([batch(1, 0, 1)], 500)
  add([batch(0, 1, 1)], 900)
  expect(ranges(slices.takeOld(headOf, epochMs(999)))).toEqual([])
  expect(ranges(slices.takeOld(headOf, epochMs(1_000)))).toEqual([{ partition: 0, first: 0, next: 2, bytes: 20 }])
  expect(ranges(slices.takeOld(headOf, epochMs(1_500)))).toEqual([{ partition: 1, first: 0, next: 1, bytes: 10 }])
})

test('when all together hold too much the largest is closed', () => {
  const { add } = scene()
  expect(add([batch(0, 0, 5), batch(1, 0, 7), batch(2, 0, 3)])).toEqual([])
  expect(add([batch(2, 3, 1)])).toEqual([{ partition: 1, first: 0, next: 7, bytes: 70 }])
})

test('a range that was reserved is gathered exactly, whatever its bytes, its age and those of the others', () => {
  const { slices, add, headOf } = scene({ 0: { next: 5, reserved: { next: 30, object: 'raw/a' } } })
  expect(add([batch(0, 5, 20)])).toEqual([])
  expect(ranges(slices.takeOld(headOf, epochMs(9_999)))).toEqual([])
  expect(ranges(slices.takeAll(headOf))).toEqual([])
  expect(add([batch(0, 25, 6)])).toEqual([{ partition: 0, first: 5, next: 30, bytes: 250 }])
  expect(ranges(slices.takeAll(headOf))).toEqual([{ partition: 0, first: 30, next: 31, bytes: 10 }])
})

test('a partition that was given away and back begins again where it is archived, and what is archived already is passed over', () => {
  const heads: Record<number, Partial<PartitionHead>> = { 0: { next: 0 } }
  const { slices, add, headOf } = scene(heads)
  add([batch(0, 0, 6), batch(1, 0, 2)])
  slices.keepOnly([1])
  heads[0] = { next: 4 }
  add([batch(0, 4, 3), batch(1, 2, 1)])
  expect(ranges(slices.takeAll(headOf))).toEqual([{ partition: 1, first: 0, next: 3, bytes: 30 }, { partition: 0, first: 4, next: 7, bytes: 30 }])
  heads[0] = { next: 7 }
  add([batch(0, 5, 4)])
  expect(ranges(slices.takeAll(headOf))).toEqual([{ partition: 0, first: 7, next: 9, bytes: 20 }])
})

test('records that come again from where the partition is archived take the place of those gathered', () => {
  const { slices, add, headOf } = scene({ 0: { next: 3 } })
  add([batch(0, 3, 5)])
  add([batch(0, 3, 2)])
  expect(ranges(slices.takeAll(headOf))).toEqual([{ partition: 0, first: 3, next: 5, bytes: 20 }])
})

test('records that follow on nothing are a broken program', () => {
  const { add } = scene()
  add([batch(0, 0, 2)])
  expect(() => add([batch(0, 3, 1)])).toThrowError(expect.objectContaining({ code: 'INTERNAL' }))
})
