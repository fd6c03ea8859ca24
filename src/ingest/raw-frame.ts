/** The record of `oxbow.raw.v1`: original bytes of one sid from one request, sealed, behind a head that says how to read them. Big-endian:
 *  0x01 · content u8 (1 JSON, 2 Avro) · schema id u32 · receivedAt u48 (ms) · number of the source u48 · inlet length u8, text · count u32 ·
 *  length u32 of each record · sealed bytes. */

import { ServiceError } from '../model/errors.ts'
import { type EpochMs, epochMs } from '../model/units.ts'
import type { ContentKind, RecordBytes } from './decode/record.ts'

const FORMAT = 0x01
const CONTENT_CODE: Readonly<Record<ContentKind, number>> = { json: 1, avro: 2 }
const FIXED_BYTES = 1 + 1 + 4 + 6 + 6 + 1 + 4

/** Where a request came in: `http/<instance>` and its number there, given before the append. */
export interface SourcePosition { inlet: string, number: number }

export interface RawHead {
  content: ContentKind
  schemaId: number
  receivedAt: EpochMs
  source: SourcePosition
}

export interface RawFrame extends RawHead {
  /** Bytes of each record, in order. */
  lengths: readonly number[]
  sealed: Buffer
}

/** @param seal of the records' bytes, one behind the other */
export function encodeRawFrame (head: RawHead, records: readonly RecordBytes[], seal: (plaintext: Buffer) => Uint8Array): Buffer {
  const sealed = seal(joined(records))
  const inletBytes = Buffer.byteLength(head.source.inlet)
  const frame = Buffer.allocUnsafe(FIXED_BYTES + inletBytes + 4 * records.length + sealed.length)
  frame[0] = FORMAT
  frame[1] = CONTENT_CODE[head.content]
  frame.writeUInt32BE(head.schemaId, 2)
  frame.writeUIntBE(head.receivedAt, 6, 6)
  frame.writeUIntBE(head.source.number, 12, 6)
  frame[18] = inletBytes
  let at = 19 + frame.write(head.source.inlet, 19)
  at = frame.writeUInt32BE(records.length, at)
  for (const { start, end } of records) at = frame.writeUInt32BE(end - start, at)
  frame.set(sealed, at)
  return frame
}

/** @throws ServiceError fault INTERNAL when the bytes are no such record: only `publish-groups.ts` fills the topic */
export function decodeRawFrame (bytes: Uint8Array): RawFrame {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (frame.length < FIXED_BYTES || frame[0] !== FORMAT) {
    throw new ServiceError('fault', 'INTERNAL', 'a record of the raw topic has no known format')
  }
  let at = 19 + frame[18]!
  const inlet = frame.toString('utf8', 19, at)
  const count = frame.readUInt32BE(at)
  const lengths = Array.from({ length: count }, () => { at += 4; return frame.readUInt32BE(at) })
  return {
    content: frame[1] === CONTENT_CODE.avro ? 'avro' : 'json',
    schemaId: frame.readUInt32BE(2),
    receivedAt: epochMs(frame.readUIntBE(6, 6)),
    source: { inlet, number: frame.readUIntBE(12, 6) },
    lengths,
    sealed: frame.subarray(at + 4)
  }
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
