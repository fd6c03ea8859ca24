/** The record of `oxbow.raw.v1`: original bytes of one sid from one append, sealed, behind a head that says how to read them and where they came in.
 *  Big-endian: 0x02 · content u8 (1 JSON, 2 Avro, 3 Protobuf) · schema id u32 · receivedAt u48 (ms) · way u8 (1 arrived, 2 released) ·
 *  count u16 of origins, each: inlet length u8, text, number u48, records of the request u32 (0: not known) ·
 *  count u32 of runs, each: origin u16, place of the first record u32, count of records u32 ·
 *  count u32 of records, length u32 of each · sealed bytes.
 *  0x01, still read: content, schema id, receivedAt, number u48, inlet length u8, text, count u32, lengths, sealed bytes; the places are not known. */

import { ServiceError } from '../model/errors.ts'
import { type EpochMs, epochMs } from '../model/units.ts'
import type { ContentKind, RecordBytes } from './decode/record.ts'
import type { Origin } from './source-position.ts'

const FORMAT = 0x02
const FORMAT_WITHOUT_PLACES = 0x01
const CONTENT_CODE: Readonly<Record<ContentKind, number>> = { json: 1, avro: 2, protobuf: 3 }
/** `arrived`: straight from its request. `released`: out of quarantine, where its place in the request stood since; after a crash a second time. */
export type Way = 'arrived' | 'released'
const WAY_CODE: Readonly<Record<Way, number>> = { arrived: 1, released: 2 }
/** Up to the first count. */
const HEAD_BYTES = 1 + 1 + 4 + 6 + 1
const ORIGIN_BYTES = 1 + 6 + 4
const RUN_BYTES = 2 + 4 + 4

/** Records at consecutive places of one request. */
export interface PlaceRun {
  /** Index in the origins of its frame. */
  origin: number
  first: number
  count: number
}

export interface RawHead {
  content: ContentKind
  schemaId: number
  receivedAt: EpochMs
  way: Way
  origins: readonly Origin[]
  /** In the order of the records. */
  runs: readonly PlaceRun[]
}

export interface RawFrame extends RawHead {
  /** Bytes of each record, in order. */
  lengths: readonly number[]
  /** Everything before the sealed bytes. */
  head: Buffer
  sealed: Buffer
}

/** Where the records of one append came from. The origin of a request is one object. */
export interface Arrival<R> {
  way: Way
  originOf (record: R): Origin
  /** In its request, from 0. */
  placeOf (record: R): number
}

/** In the order of the records. */
export function placesOf<R> (records: readonly R[], { originOf, placeOf }: Arrival<R>): Pick<RawHead, 'origins' | 'runs'> {
  const origins: Origin[] = []
  const runs: PlaceRun[] = []
  let last: PlaceRun | undefined
  for (const record of records) {
    const origin = originOf(record)
    const place = placeOf(record)
    if (last !== undefined && place === last.first + last.count && origins[last.origin] === origin) {
      last.count++
      continue
    }
    const known = origins.indexOf(origin)
    last = { origin: known === -1 ? origins.push(origin) - 1 : known, first: place, count: 1 }
    runs.push(last)
  }
  return { origins, runs }
}

/** @param seal of the records' bytes, one behind the other */
export function encodeRawFrame (head: RawHead, records: readonly RecordBytes[], seal: (plaintext: Buffer) => Uint8Array): Buffer {
  const sealed = seal(joined(records))
  const frame = Buffer.allocUnsafe(headBytes(head, records.length) + sealed.length)
  frame[0] = FORMAT
  frame[1] = CONTENT_CODE[head.content]
  frame.writeUInt32BE(head.schemaId, 2)
  frame.writeUIntBE(head.receivedAt, 6, 6)
  frame[12] = WAY_CODE[head.way]
  let at = frame.writeUInt16BE(head.origins.length, HEAD_BYTES)
  for (const { inlet, number, records: count } of head.origins) {
    frame[at] = Buffer.byteLength(inlet)
    at += 1 + frame.write(inlet, at + 1)
    at = frame.writeUIntBE(number, at, 6)
    at = frame.writeUInt32BE(count, at)
  }
  at = frame.writeUInt32BE(head.runs.length, at)
  for (const { origin, first, count } of head.runs) {
    at = frame.writeUInt16BE(origin, at)
    at = frame.writeUInt32BE(first, at)
    at = frame.writeUInt32BE(count, at)
  }
  at = frame.writeUInt32BE(records.length, at)
  for (const { start, end } of records) at = frame.writeUInt32BE(end - start, at)
  frame.set(sealed, at)
  return frame
}

function headBytes ({ origins, runs }: RawHead, recordCount: number): number {
  const inlets = origins.reduce((sum, { inlet }) => sum + Buffer.byteLength(inlet), 0)
  return HEAD_BYTES + 2 + ORIGIN_BYTES * origins.length + inlets + 4 + RUN_BYTES * runs.length + 4 + 4 * recordCount
}

/** @throws ServiceError fault INTERNAL when the bytes are no such record: only `publish-groups.ts` fills the topic */
export function decodeRawFrame (bytes: Uint8Array): RawFrame {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const format = frame[0]
  if (format !== FORMAT && format !== FORMAT_WITHOUT_PLACES) throw unknownFormat()
  try {
    return format === FORMAT ? decodePlaced(frame) : decodeWithoutPlaces(frame)
  } catch (error) {
    throw error instanceof RangeError ? unknownFormat() : error
  }
}

function decodePlaced (frame: Buffer): RawFrame {
  let at = HEAD_BYTES + 2
  const origins = Array.from({ length: frame.readUInt16BE(HEAD_BYTES) }, (): Origin => {
    const inletEnd = at + 1 + frame.readUInt8(at)
    const inlet = frame.toString('utf8', at + 1, inletEnd)
    at = inletEnd + 6 + 4
    return { inlet, number: frame.readUIntBE(inletEnd, 6), records: frame.readUInt32BE(inletEnd + 6) }
  })
  const runCount = countAt(frame, at, RUN_BYTES)
  at += 4
  const runs = Array.from({ length: runCount }, (): PlaceRun => {
    at += RUN_BYTES
    return { origin: frame.readUInt16BE(at - RUN_BYTES), first: frame.readUInt32BE(at - RUN_BYTES + 2), count: frame.readUInt32BE(at - 4) }
  })
  const way = frame[12] === WAY_CODE.released ? 'released' : 'arrived'
  return { ...readable(frame), way, origins, runs, ...records(frame, at) }
}

function decodeWithoutPlaces (frame: Buffer): RawFrame {
  const inletEnd = 19 + frame.readUInt8(18)
  const origin: Origin = { inlet: frame.toString('utf8', 19, inletEnd), number: frame.readUIntBE(12, 6), records: 0 }
  return { ...readable(frame), way: 'arrived', origins: [origin], runs: [], ...records(frame, inletEnd) }
}

function readable (frame: Buffer): Pick<RawHead, 'content' | 'schemaId' | 'receivedAt'> {
  return { content: frame[1] === CONTENT_CODE.avro ? 'avro' : frame[1] === CONTENT_CODE.protobuf ? 'protobuf' : 'json', schemaId: frame.readUInt32BE(2), receivedAt: epochMs(frame.readUIntBE(6, 6)) }
}

/** From the count of records on. */
function records (frame: Buffer, start: number): Pick<RawFrame, 'lengths' | 'head' | 'sealed'> {
  let at = start
  const lengths = Array.from({ length: countAt(frame, start, 4) }, () => { at += 4; return frame.readUInt32BE(at) })
  return { lengths, head: frame.subarray(0, at + 4), sealed: frame.subarray(at + 4) }
}

/** No more than there is room for behind it. */
function countAt (frame: Buffer, at: number, bytesEach: number): number {
  const count = frame.readUInt32BE(at)
  if (at + 4 + count * bytesEach > frame.length) throw unknownFormat()
  return count
}

/** The original records of a frame. @param plaintext opened from `sealed` */
export function recordsOfFrame ({ lengths }: Pick<RawFrame, 'lengths'>, plaintext: Buffer): Buffer[] {
  let at = 0
  return lengths.map(length => {
    at += length
    return plaintext.subarray(at - length, at)
  })
}

function joined (records: readonly RecordBytes[]): Buffer {
  let length = 0
  for (const { start, end } of records) length += end - start
  const bytes = Buffer.allocUnsafe(length)
  let at = 0
  for (const { source, start, end } of records) at += source.copy(bytes, at, start, end)
  return bytes
}

function unknownFormat (): ServiceError { return new ServiceError('fault', 'INTERNAL', 'a record of the raw topic has no known format') }
