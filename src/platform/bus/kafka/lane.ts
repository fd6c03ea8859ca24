/** A partition that the group gave a member: what was fetched of it and not taken yet. */

import type { PartitionBatch } from '../bus.ts'
import type { Head } from './state.ts'

export type Records = PartitionBatch['records'][number][]

export interface Lane {
  head: Head
  /** Offset of the next record given to the reader. */
  position: number
  /** Offset of the next record wanted from Kafka; between the two is `records`. */
  fetched: number
  records: Records
  bytes: number
  isPaused: boolean
}

/** What an object in memory costs beside the bytes of its record; counted where others decide how small their records are. */
const RECORD_BYTES = 256

/** Bytes that count for a record: its value, and of a topic of others everything. */
function heldBy ({ key, value, headers }: Records[number]): number {
  if (headers === undefined) return value.length
  let bytes = value.length + 2 * key.length + RECORD_BYTES
  for (const [name, text] of headers) bytes += 2 * (name.length + text.length)
  return bytes
}

export function push (lane: Lane, record: Records[number]): void {
  lane.records.push(record)
  lane.bytes += heldBy(record)
  lane.fetched = record.offset + 1
}

/** Of all lanes together: however many partitions there are, memory holds as much as one take may give, and one answer of the cluster beside it. */
export function heldBytes (lanes: ReadonlyMap<number, Lane>): number {
  let bytes = 0
  for (const lane of lanes.values()) bytes += lane.bytes
  return bytes
}

/** What fits into `room`, which it takes from; the first record of a take fits always. */
export function takeFitting (lane: Lane, room: { records: number, bytes: number }, isFirst: boolean): Records {
  let count = 0
  while (count < lane.records.length && room.records > 0) {
    const length = heldBy(lane.records[count]!)
    if (length > room.bytes && !(isFirst && count === 0)) break
    room.bytes -= length
    room.records--
    lane.bytes -= length
    count++
  }
  return lane.records.splice(0, count)
}
