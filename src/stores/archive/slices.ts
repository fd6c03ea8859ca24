/** Records of the raw topic → slices of one partition each, closed by their bytes, by their age, or where a range was reserved. */

import { ServiceError } from '../../model/errors.ts'
import type { EpochMs } from '../../model/units.ts'
import type { PartitionBatch } from '../../platform/bus/bus.ts'
import type { RawRecord } from './foreign-records.ts'
import type { PartitionHead } from './manifest-rows.ts'

export interface SliceLimits {
  /** A slice of so many bytes is closed. */
  sliceBytes: number
  /** A slice that is so old is closed. */
  sliceMs: number
  /** Of all slices together; over it the largest is closed. */
  bytesMax: number
}

export interface Slice { partition: number, first: number, next: number, bytes: number, since: EpochMs, records: RawRecord[] }

export interface Slices {
  /** Adds what was taken and is not archived; gives what is closed by it, in the order in which it is to be written. @param headOf how far a partition is archived
   *  @throws ServiceError fault INTERNAL when records do not follow on what came before */
  add (batches: readonly PartitionBatch[], headOf: (partition: number) => PartitionHead, now: EpochMs): Slice[]
  /** Those that are old enough. */
  takeOld (headOf: (partition: number) => PartitionHead, now: EpochMs): Slice[]
  /** All that may be closed early. */
  takeAll (headOf: (partition: number) => PartitionHead): Slice[]
  /** Forgets those of other partitions. */
  keepOnly (partitions: readonly number[]): void
}

export function createSlices ({ sliceBytes, sliceMs, bytesMax }: SliceLimits): Slices {
  const open = new Map<number, Slice>()
  const close = (slices: readonly Slice[]): Slice[] => slices.map(slice => { open.delete(slice.partition); return slice })
  /** Where a range was reserved, exactly that is gathered: its object may have been seen by others. */
  const isReserved = ({ partition, first }: Slice, headOf: (partition: number) => PartitionHead): boolean => {
    const head = headOf(partition)
    return head.next === first && head.reserved !== undefined
  }

  function addBatch ({ partition, records }: PartitionBatch, head: PartitionHead, now: EpochMs): Slice[] {
    const full: Slice[] = []
    let next = head.next
    for (const { offset, key, value } of records) {
      // Given out again when the group was shared anew, and archived meanwhile.
      if (offset < head.next) continue
      let slice = open.get(partition)
      const expected = slice?.next ?? full.at(-1)?.next ?? next
      if (offset !== expected) {
        // The group gave the partition away and back: what was gathered before comes again from where it is archived.
        if (offset !== head.next) throw new ServiceError('fault', 'INTERNAL', `record ${offset} of partition ${partition} does not follow on ${expected}`)
        open.delete(partition)
        slice = undefined
      }
      if (slice === undefined) {
        slice = { partition, first: offset, next: offset, bytes: 0, since: now, records: [] }
        open.set(partition, slice)
      }
      slice.records.push({ offset, key, value })
      slice.bytes += value.length
      slice.next = next = offset + 1
      const reserved = slice.first === head.next ? head.reserved : undefined
      if (reserved === undefined ? slice.bytes >= sliceBytes : slice.next === reserved.next) full.push(...close([slice]))
    }
    return full
  }

  function overBudget (headOf: (partition: number) => PartitionHead): Slice[] {
    const over: Slice[] = []
    let bytes = [...open.values()].reduce((sum, slice) => sum + slice.bytes, 0)
    for (const slice of [...open.values()].filter(one => !isReserved(one, headOf)).sort((a, b) => b.bytes - a.bytes)) {
      if (bytes <= bytesMax) break
      over.push(slice)
      bytes -= slice.bytes
    }
    return close(over)
  }

  return {
    add: (batches, headOf, now) => [...batches.flatMap(batch => addBatch(batch, headOf(batch.partition), now)), ...overBudget(headOf)],
    takeOld: (headOf, now) => close([...open.values()].filter(slice => now - slice.since >= sliceMs && !isReserved(slice, headOf))),
    takeAll: headOf => close([...open.values()].filter(slice => !isReserved(slice, headOf))),
    keepOnly: partitions => { close([...open.values()].filter(({ partition }) => !partitions.includes(partition))) }
  }
}
