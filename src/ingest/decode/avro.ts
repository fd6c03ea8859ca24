/** Avro bodies → records: an object container file, or 0x00, 4-byte schema id and records back to back, or these records alone. A cut keeps
 *  the records before it. */

import { inflateRawSync } from 'node:zlib'
import { ServiceError } from '../../model/errors.ts'
import { epochMs } from '../../model/units.ts'
import { AvroCursor } from './avro-cursor.ts'
import { fingerprint } from './canonical-form.ts'
import { tooLarge } from './content.ts'
import { type DecodedBody, type DecodedRecord, type DecodeLimits, type RejectedRecord, type SentChannel, TEXT_MAX } from './record.ts'
import { faultOf, rejectionOf } from './record-fault.ts'
import { type AvroReader, type SchemaAnswer, type SchemaName, UNKNOWN_FORM } from './schemas.ts'

const MAGIC = Buffer.from('Obj\x01', 'latin1')
const SYNC_LENGTH = 16
const FRAME_LENGTH = 5
const CHARACTER_BYTES_MAX = 4

interface Sink { records: DecodedRecord[], rejected: RejectedRecord[], next: number, limits: DecodeLimits }

const NO_FORM: DecodedBody = { unreadable: 'malformed', detail: 'the body is neither an Avro object container file nor 0x00, a 4-byte schema id and records' }

const OTHER_TYPE: DecodedBody = { unreadable: 'malformed', detail: 'the schema of this id is not one of Avro' }

function isContainer (body: Buffer): boolean { return body.length >= MAGIC.length && MAGIC.equals(body.subarray(0, MAGIC.length)) }

function isFramed (body: Buffer): boolean { return body.length >= FRAME_LENGTH && body[0] === 0 }

/** What the body says of its schema; `undefined` when it says nothing that can be read. */
export function avroSchemaOf (body: Buffer): SchemaName | undefined {
  if (isContainer(body)) return formOf(readMetadata(new AvroCursor(body, MAGIC.length)).schema)
  return isFramed(body) ? { id: body.readUInt32BE(1) } : undefined
}

/** @param answer to `avroSchemaOf`. @throws ServiceError INPUT_ENCODING for a codec other than null and deflate, INPUT_TOO_LARGE over a limit */
export function decodeAvro (body: Buffer, answer: SchemaAnswer | undefined, limits: DecodeLimits, inflatedMax: number): DecodedBody {
  if (isContainer(body)) return decodeContainer(body, answer, limits, inflatedMax)
  if (answer === undefined || !isFramed(body)) return NO_FORM
  return decodeFrom(body, FRAME_LENGTH, answer, limits)
}

/** Records of a schema that is named beside them; also one as it was cut from its body, for re-submission. */
export function decodeAvroRecords (bytes: Buffer, answer: SchemaAnswer, limits: DecodeLimits): DecodedBody { return decodeFrom(bytes, 0, answer, limits) }

function decodeFrom (bytes: Buffer, from: number, answer: SchemaAnswer, limits: DecodeLimits): DecodedBody {
  if (answer.unreadable !== undefined) return answer
  if (answer.reader.type !== 'AVRO') return OTHER_TYPE
  const sink: Sink = { records: [], rejected: [], next: 0, limits }
  readRecords(bytes, from, answer.reader, Number.POSITIVE_INFINITY, sink)
  return sink
}

function decodeContainer (body: Buffer, answer: SchemaAnswer = UNKNOWN_FORM, limits: DecodeLimits, inflatedMax: number): DecodedBody {
  const cursor = new AvroCursor(body, MAGIC.length)
  const { codec } = readMetadata(cursor)
  const sync = cursor.fixed(SYNC_LENGTH)
  if (cursor.failed) return { unreadable: 'malformed', detail: 'the header of the Avro container file is cut short or not valid' }
  if (codec !== 'null' && codec !== 'deflate') {
    throw new ServiceError('unsupported', 'INPUT_ENCODING', 'Avro container files are read with codec null or deflate')
  }
  if (answer.unreadable !== undefined) return answer
  const { reader } = answer
  if (reader.type !== 'AVRO') return OTHER_TYPE
  const sink: Sink = { records: [], rejected: [], next: 0, limits }
  let inflatedLeft = inflatedMax
  while (cursor.position < body.length) {
    const blockStart = cursor.position
    const count = cursor.long()
    const data = cursor.raw()
    const mark = cursor.fixed(SYNC_LENGTH)
    const isWhole = !cursor.failed && count >= 0 && mark.equals(sync)
    const records = isWhole ? inflate(data, codec, inflatedLeft) : codec === 'null' ? cutBlock(body, blockStart) : undefined
    inflatedLeft -= records?.length ?? 0
    const isRead = records !== undefined && readRecords(records, 0, reader, isWhole ? count : Number.POSITIVE_INFINITY, sink)
    if (isRead && isWhole) continue
    if (isRead || records === undefined) rejectRest(body, isRead ? body.length : blockStart, body.length, reader.id, sink)
    break
  }
  return sink
}

function readMetadata (cursor: AvroCursor): { schema: Buffer, codec: string } {
  let schema: Buffer = Buffer.alloc(0)
  let codec = 'null'
  for (let count = cursor.blockCount(); count !== 0; count = cursor.blockCount()) {
    for (let left = count; left > 0 && !cursor.failed; left--) {
      const key = cursor.raw().toString('latin1')
      const value = cursor.raw()
      if (key === 'avro.schema') schema = value
      else if (key === 'avro.codec') codec = value.toString('latin1')
    }
  }
  return { schema, codec }
}

function formOf (schema: Buffer): SchemaName | undefined {
  try {
    return { form: fingerprint(JSON.parse(schema.toString('utf8'))) }
  } catch {
    return undefined
  }
}

/** `undefined` when the block cannot be inflated. @throws ServiceError INPUT_TOO_LARGE when it would grow over the limit */
function inflate (data: Buffer, codec: string, inflatedMax: number): Buffer | undefined {
  if (codec === 'null') return data
  try {
    return inflateRawSync(data, { maxOutputLength: Math.max(1, inflatedMax) })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') return undefined
    throw tooLarge('the body is larger than ingest.inflatedMax when decompressed')
  }
}

/** What is left of the records of a block whose end is missing; `undefined` when not even its head is there. */
function cutBlock (body: Buffer, blockStart: number): Buffer | undefined {
  const cursor = new AvroCursor(body, blockStart)
  const count = cursor.long()
  const size = cursor.long()
  if (cursor.failed || !(count > 0) || !(size + SYNC_LENGTH > body.length - cursor.position)) return undefined
  return body.subarray(cursor.position, Math.min(cursor.position + size, body.length))
}

/** Reads until `count` records or the end of the bytes. What follows a record that breaks off is one malformed record: gives false. */
function readRecords (bytes: Buffer, from: number, { id, read }: AvroReader, count: number, sink: Sink): boolean {
  const cursor = new AvroCursor(bytes, from)
  for (let left = count; left > 0; left--) {
    const start = cursor.position
    if (start === bytes.length) return count === Number.POSITIVE_INFINITY || rejectRest(bytes, start, start, id, sink)
    assertCount(sink)
    // The two schemas of the product by their names, so that the compiler sees what it calls.
    const record = id === 1 ? readV1(cursor) : id === 2 ? readV2(cursor) : read(cursor)
    if (cursor.failed) return rejectRest(bytes, start, bytes.length, id, sink)
    record.index = sink.next++
    record.start = start
    record.end = cursor.position
    const fault = cursor.position - start > sink.limits.recordBytesMax ? 'record-too-large' : faultOf(record)
    if (fault === undefined) sink.records.push(record)
    else sink.rejected.push(rejectionOf(record, fault))
  }
  return cursor.position === bytes.length || rejectRest(bytes, cursor.position, bytes.length, id, sink)
}

function assertCount ({ next, limits }: Sink): void {
  if (next < limits.recordsMax) return
  throw new ServiceError('incorrect', 'INPUT_TOO_LARGE', `a body holds at most ${limits.recordsMax} records: send several requests`)
}

function rejectRest (source: Buffer, start: number, end: number, schemaId: number, sink: Sink): false {
  sink.rejected.push({
    index: sink.next++, source, start, end, content: 'avro', schemaId, reason: 'malformed', field: undefined, deviceId: undefined, takenAt: undefined
  })
  return false
}

/** Reads what the wire holds; `faultOf` judges it, so that a bad value does not stop the records behind it. */
function readV1 (cursor: AvroCursor): DecodedRecord {
  const deviceId = cursor.text(0, TEXT_MAX.deviceId * CHARACTER_BYTES_MAX)
  const patientId = cursor.isPresent() ? cursor.text(1, TEXT_MAX.patientId * CHARACTER_BYTES_MAX) ?? '' : undefined
  const takenAt = cursor.long()
  const spo2 = cursor.double()
  const tissueO2 = cursor.double()
  const battery = cursor.long()
  const firmware = cursor.text(2, TEXT_MAX.firmware) ?? '\0'
  const quality = cursor.long()
  return {
    index: 0, source: cursor.bytes, start: 0, end: 0, content: 'avro', schemaId: 1, deviceId: deviceId ?? '', patientId,
    takenAt: epochMs(takenAt), sequence: 0, channels: undefined, spo2, tissueO2, battery, quality, firmware
  }
}

function readV2 (cursor: AvroCursor): DecodedRecord {
  const deviceId = cursor.text(0, TEXT_MAX.deviceId * CHARACTER_BYTES_MAX)
  const patientId = cursor.isPresent() ? cursor.text(1, TEXT_MAX.patientId * CHARACTER_BYTES_MAX) ?? '' : undefined
  const takenAt = cursor.long()
  const sequence = cursor.isPresent() ? cursor.long() : 0
  const channels = readChannels(cursor)
  const battery = cursor.isPresent() ? cursor.long() : undefined
  const firmware = cursor.isPresent() ? cursor.text(2, TEXT_MAX.firmware) ?? '\0' : undefined
  const quality = cursor.isPresent() ? cursor.long() : undefined
  return {
    index: 0, source: cursor.bytes, start: 0, end: 0, content: 'avro', schemaId: 2, deviceId: deviceId ?? '', patientId,
    takenAt: epochMs(takenAt), sequence, channels, spo2: undefined, tissueO2: undefined, battery, quality, firmware
  }
}

const TEXT_SLOTS_BEFORE_CHANNELS = 3

/** More channels than the limit are read past, and `faultOf` sees that there were too many. */
function readChannels (cursor: AvroCursor): SentChannel[] {
  const channels: SentChannel[] = []
  for (let count = cursor.blockCount(); count !== 0; count = cursor.blockCount()) {
    for (let left = count; left > 0 && !cursor.failed; left--) {
      const slot = TEXT_SLOTS_BEFORE_CHANNELS + 3 * Math.min(channels.length, TEXT_MAX.channels)
      const metric = cursor.text(slot, TEXT_MAX.channelText)
      const kind = cursor.text(slot + 1, TEXT_MAX.channelText)
      const unit = cursor.text(slot + 2, TEXT_MAX.channelText)
      const value = cursor.double()
      if (channels.length <= TEXT_MAX.channels) channels.push({ metric: metric ?? '\0', kind: kind ?? '\0', unit: unit ?? '\0', value })
    }
  }
  return channels
}

/** Of the schemas that the product brings. */
export const FIXED_READERS: ReadonlyMap<number, AvroReader> = new Map([[1, { type: 'AVRO', id: 1, read: readV1 }], [2, { type: 'AVRO', id: 2, read: readV2 }]])
