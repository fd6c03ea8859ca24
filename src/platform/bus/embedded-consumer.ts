/** Partitions of one topic of the embedded bus -> batches from the offset named, from memory where it is there, else from PostgreSQL. */

import { setTimeout as delay } from 'node:timers/promises'
import { ServiceError } from '../../model/errors.ts'
import type { BusConsumer, PartitionBatch } from './bus.ts'
import { decodeRow } from './row-bytes.ts'
import type { Row, Tail } from './tail.ts'

/** One partition as this process knows it. */
export interface Head {
  partition: number
  /** Offset after the last record known to be durable. */
  nextOffset: number
  releasedOffset: number
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

export function createEmbeddedConsumer (parts: EmbeddedConsumerParts): EmbeddedConsumer {
  const cursors: Cursor[] = parts.heads.map(head => ({ head, position: parts.positions.get(head.partition) ?? 0, stored: [] }))
  const closing = new AbortController()
  let waiter: (() => void) | undefined
  let turn = 0

  async function take (recordsMax: number, signal?: AbortSignal): Promise<readonly PartitionBatch[]> {
    const stop = signal === undefined ? closing.signal : AbortSignal.any([closing.signal, signal])
    while (!stop.aborted) {
      const batches = await collect(recordsMax, stop)
      if (batches.length > 0) return batches
      if (!cursors.some(hasMore)) await untilWoken(stop)
    }
    return []
  }
  /** Positions move on only when everything is at hand: a read that fails loses nothing. */
  async function collect (recordsMax: number, stop: AbortSignal): Promise<readonly PartitionBatch[]> {
    const found: { cursor: Cursor, records: Records }[] = []
    let room = { records: recordsMax, bytes: parts.bytesMax }
    // Another partition is first each time, so that a full one does not starve the others.
    turn++
    for (const index of cursors.keys()) {
      const cursor = cursors[(index + turn) % cursors.length]!
      if (room.records <= 0 || room.bytes <= 0) break
      if (!hasMore(cursor)) continue
      const { records, bytes } = await collectFrom(cursor, room, found.length === 0, stop)
      if (closing.signal.aborted) return []
      if (records.length > 0) found.push({ cursor, records })
      room = { records: room.records - records.length, bytes: room.bytes - bytes }
    }
    return found.map(({ cursor, records }) => advance(cursor, records))
  }
  /** @param isFirst one record is then given however large it is */
  async function collectFrom (cursor: Cursor, room: Room, isFirst: boolean, stop: AbortSignal): Promise<{ records: Records, bytes: number }> {
    const records: Records = []
    let bytes = 0
    while (cursor.position + records.length < cursor.head.nextOffset && records.length < room.records && bytes < room.bytes) {
      const row = await rowAt(cursor, cursor.position + records.length, stop)
      if (row === undefined) break
      const skip = cursor.position + records.length - row.firstOffset
      let decoded = decodeRow(row.bytes, row.firstOffset, skip, room.records - records.length, room.bytes - bytes)
      if (decoded.length === 0 && isFirst && records.length === 0) decoded = decodeRow(row.bytes, row.firstOffset, skip, 1, Number.POSITIVE_INFINITY)
      if (decoded.length === 0) break
      for (const record of decoded) {
        records.push(record)
        bytes += record.value.length
      }
    }
    return { records, bytes }
  }
  /** `undefined` only when stopped while PostgreSQL could not be reached. */
  async function rowAt (cursor: Cursor, offset: number, stop: AbortSignal): Promise<Row | undefined> {
    const holds = (row: Row) => row.firstOffset <= offset && offset < row.nextOffset
    const known = cursor.head.tail?.find(offset) ?? cursor.stored.find(holds)
    if (known !== undefined) return known
    const rows = await untilRead(cursor.head.partition, offset, stop)
    cursor.stored = rows ?? []
    const row = cursor.stored.find(holds)
    if (rows !== undefined && row === undefined) throw offsetGone(parts.topic, cursor.head.partition, offset)
    return row
  }
  async function untilRead (partition: number, offset: number, stop: AbortSignal): Promise<readonly Row[] | undefined> {
    while (!stop.aborted) {
      try {
        return await parts.readRows(partition, offset, parts.bytesMax)
      } catch (error) {
        if (!(error instanceof ServiceError && error.code === 'STORE_UNAVAILABLE')) throw error
        await delay(parts.retryMs, undefined, { signal: stop }).catch(() => {})
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
  function untilWoken (stop: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        stop.removeEventListener('abort', done)
        waiter = undefined
        resolve()
      }
      waiter = done
      stop.addEventListener('abort', done, { once: true })
      if (stop.aborted) done()
    })
  }
  function release (partition: number, nextOffset: number): void {
    const head = parts.heads.find(candidate => candidate.partition === partition)
    if (head === undefined || closing.signal.aborted || nextOffset <= head.releasedOffset) return
    head.releasedOffset = nextOffset
    parts.onReleased()
  }
  async function close (): Promise<void> {
    if (closing.signal.aborted) return
    closing.abort()
    await parts.onClosed()
  }
  return { take, release, close, wake: () => waiter?.() }
}

const hasMore = ({ head, position }: Cursor) => position < head.nextOffset

/** The offset named is not on the bus: its records were removed, or the bus is younger than whoever names it. */
export function offsetGone (topic: string, partition: number, offset: number): ServiceError {
  return new ServiceError('fault', 'BUS_OFFSET_GONE',
    `offset ${offset} of ${topic}, partition ${partition}, is not on the bus: the databases of bus and reader are not of one time`)
}
