/** Partitions of one topic of the embedded bus -> batches from the offset named, from memory where it is there, else from PostgreSQL. */

import { setTimeout as delay } from 'node:timers/promises'
import { ServiceError } from '../../../model/errors.ts'
import { type BusConsumer, offsetGone, type PartitionBatch } from '../bus.ts'
import type { Head as AnyHead } from '../topic-state.ts'
import { isStopped, type Stop, untilWoken, type Waiting } from '../until-woken.ts'
import { decodeRow } from './row-bytes.ts'
import type { Row, Tail } from './tail.ts'

/** One partition as this process knows it. */
export interface Head extends AnyHead {
  /** There while a consumer of this process has the partition. */
  tail: Tail | undefined
}

export interface EmbeddedConsumer extends BusConsumer {
  /** Something may have been appended. */
  wake (): void
}

export interface EmbeddedConsumerParts {
  topic: string
  heads: readonly Head[]
  /** Offset of the first record wanted, by partition. */
  positions: ReadonlyMap<number, number>
  bytesMax: number
  readRows: (partition: number, offset: number, bytesMax: number) => Promise<readonly Row[]>
  /** How long to wait before reading again when PostgreSQL cannot be reached. */
  retryMs: number
  onReleased: () => void
  onClosed: () => Promise<void>
}

interface Room { records: number, bytes: number }
interface Cursor { head: Head, position: number, stored: readonly Row[] }
type Records = PartitionBatch['records'][number][]

interface Reader extends EmbeddedConsumerParts, Waiting {
  cursors: readonly Cursor[]
  closing: AbortController
  turn: number
}

export function createEmbeddedConsumer (parts: EmbeddedConsumerParts): EmbeddedConsumer {
  const cursors = parts.heads.map((head): Cursor => ({ head, position: parts.positions.get(head.partition) ?? 0, stored: [] }))
  const reader: Reader = { ...parts, cursors, closing: new AbortController(), waiter: undefined, turn: 0 }
  const closed = reader.closing.signal
  return {
    partitions: parts.heads.map(({ partition }) => partition),
    take: (recordsMax, signal) => take(reader, recordsMax, signal === undefined ? [closed] : [closed, signal]),
    release (partition, nextOffset) {
      const head = parts.heads.find(candidate => candidate.partition === partition)
      if (head === undefined || closed.aborted || nextOffset <= head.releasedOffset) return
      head.releasedOffset = nextOffset
      parts.onReleased()
    },
    async close () {
      if (closed.aborted) return
      reader.closing.abort()
      await parts.onClosed()
    },
    wake: () => reader.waiter?.()
  }
}

async function take (reader: Reader, recordsMax: number, stop: Stop): Promise<readonly PartitionBatch[]> {
  while (!isStopped(stop)) {
    const batches = await collect(reader, recordsMax, stop)
    if (batches.length > 0) return batches
    if (!reader.cursors.some(hasMore)) await untilWoken(reader, stop)
  }
  return []
}

/** Positions move on only when everything is at hand: a read that fails loses nothing. */
async function collect (reader: Reader, recordsMax: number, stop: Stop): Promise<readonly PartitionBatch[]> {
  const found: { cursor: Cursor, records: Records }[] = []
  const room: Room = { records: recordsMax, bytes: reader.bytesMax }
  // Another partition is first each time, so that a full one does not starve the others.
  reader.turn++
  for (const index of reader.cursors.keys()) {
    const cursor = reader.cursors[(index + reader.turn) % reader.cursors.length]!
    if (room.records <= 0 || room.bytes <= 0) break
    if (!hasMore(cursor)) continue
    const records = await collectFrom(reader, cursor, room, stop)
    if (reader.closing.signal.aborted) return []
    if (records.length > 0) found.push({ cursor, records })
  }
  return found.map(({ cursor, records }) => advance(cursor, records))
}

/** What fits into `room`, which it takes from; the first record of a take fits always. */
async function collectFrom (reader: Reader, cursor: Cursor, room: Room, stop: Stop): Promise<Records> {
  const records: Records = []
  const isEmpty = room.bytes === reader.bytesMax
  for (let offset = cursor.position; offset < cursor.head.nextOffset && room.records > 0 && room.bytes > 0; offset = cursor.position + records.length) {
    const row = await rowAt(reader, cursor, offset, stop)
    if (row === undefined) break
    const skip = offset - row.firstOffset
    let decoded = decodeRow(row.bytes, row.firstOffset, skip, room.records, room.bytes)
    if (decoded.length === 0 && isEmpty && records.length === 0) decoded = decodeRow(row.bytes, row.firstOffset, skip, 1, Number.POSITIVE_INFINITY)
    if (decoded.length === 0) break
    for (const record of decoded) {
      records.push(record)
      room.bytes -= record.value.length
    }
    room.records -= decoded.length
  }
  return records
}

/** `undefined` only when stopped while PostgreSQL could not be reached. */
async function rowAt (reader: Reader, cursor: Cursor, offset: number, stop: Stop): Promise<Row | undefined> {
  const holds = (row: Row) => row.firstOffset <= offset && offset < row.nextOffset
  const known = cursor.head.tail?.find(offset) ?? cursor.stored.find(holds)
  if (known !== undefined) return known
  const rows = await untilRead(reader, cursor.head.partition, offset, stop)
  if (rows === undefined) return undefined
  cursor.stored = rows
  const row = rows.find(holds)
  if (row === undefined) throw offsetGone(reader.topic, cursor.head.partition, offset)
  return row
}

async function untilRead (reader: Reader, partition: number, offset: number, stop: Stop): Promise<readonly Row[] | undefined> {
  while (!isStopped(stop)) {
    try {
      return await reader.readRows(partition, offset, reader.bytesMax)
    } catch (error) {
      if (!(error instanceof ServiceError && error.code === 'STORE_UNAVAILABLE')) throw error
      await delay(reader.retryMs)
    }
  }
  return undefined
}

function advance (cursor: Cursor, records: Records): PartitionBatch {
  const firstOffset = cursor.position
  cursor.position += records.length
  cursor.head.tail?.dropBelow(cursor.position)
  cursor.stored = cursor.stored.filter(row => row.nextOffset > cursor.position)
  return { partition: cursor.head.partition, firstOffset, nextOffset: cursor.position, records }
}

const hasMore = ({ head, position }: Cursor) => position < head.nextOffset
