/** Avro bodies → records: an object container file, or 0x00, 4-byte schema id and records back to back. A cut keeps the records before it. */

import { inflateRawSync } from 'node:zlib'
import { ServiceError } from '../../model/errors.ts'
import { epochMs } from '../../model/units.ts'
import { schemaIdByForm, schemaIdOf } from './schema-registry.ts'
import { AvroCursor } from './avro-cursor.ts'
import { tooLarge } from './content.ts'
import {
  type DecodedBody, type DecodedRecord, type DecodeLimits, isFirmwareText, isIdentifierText, type RejectedRecord, type SentChannel, TEXT_MAX
} from './record.ts'

const MAGIC = Buffer.from('Obj\x01', 'latin1')
const SYNC_LENGTH = 16
const FRAME_LENGTH = 5
const CHARACTER_BYTES_MAX = 4

interface Sink { records: DecodedRecord[], rejected: RejectedRecord[], next: number, limits: DecodeLimits }

/** `application/avro`. @throws ServiceError INPUT_ENCODING for a codec other than null and deflate, INPUT_TOO_LARGE over a limit */
export function decodeAvro (body: Buffer, limits: DecodeLimits, inflatedMax: number): DecodedBody {
  if (body.length >= MAGIC.length && MAGIC.equals(body.subarray(0, MAGIC.length))) return decodeContainer(body, limits, inflatedMax)
  if (body.length < FRAME_LENGTH || body[0] !== 0) {
    return { unreadable: 'malformed', detail: 'the body is neither an Avro object container file nor 0x00, a 4-byte schema id and records' }
  }
  const schemaId = schemaIdOf(body.readUInt32BE(1))
  if (schemaId === undefined) return { unreadable: 'schema-unknown', detail: 'the schema id is not registered' }
  const sink: Sink = { records: [], rejected: [], next: 0, limits }
  readRecords(body, FRAME_LENGTH, schemaId, Number.POSITIVE_INFINITY, sink)
  return sink
}

/** One record of a schema as it was cut from its body; for re-submission. */
export function decodeAvroRecord (bytes: Buffer, schemaId: 1 | 2, limits: DecodeLimits): DecodedBody {
  const sink: Sink = { records: [], rejected: [], next: 0, limits }
  readRecords(bytes, 0, schemaId, Number.POSITIVE_INFINITY, sink)
  return sink
}

function decodeContainer (body: Buffer, limits: DecodeLimits, inflatedMax: number): DecodedBody {
  const cursor = new AvroCursor(body, MAGIC.length)
  const { schema, codec } = readMetadata(cursor)
  const sync = cursor.fixed(SYNC_LENGTH)
  if (cursor.failed) return { unreadable: 'malformed', detail: 'the header of the Avro container file is cut short or not valid' }
  if (codec !== 'null' && codec !== 'deflate') {
    throw new ServiceError('unsupported', 'INPUT_ENCODING', 'Avro container files are read with codec null or deflate')
  }
  const schemaId = schemaIdByForm(parse(schema))
  if (schemaId === undefined) return { unreadable: 'schema-unknown', detail: 'the schema of the container file is not registered' }
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
    const isRead = records !== undefined && readRecords(records, 0, schemaId, isWhole ? count : Number.POSITIVE_INFINITY, sink)
    if (isRead && isWhole) continue
    if (isRead || records === undefined) rejectRest(body, isRead ? body.length : blockStart, body.length, schemaId, sink)
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

function parse (schema: Buffer): unknown {
  try {
    return JSON.parse(schema.toString('utf8'))
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
function readRecords (bytes: Buffer, from: number, schemaId: 1 | 2, count: number, sink: Sink): boolean {
  const cursor = new AvroCursor(bytes, from)
  for (let left = count; left > 0; left--) {
    const start = cursor.position
    if (start === bytes.length) return count === Number.POSITIVE_INFINITY || rejectRest(bytes, start, start, schemaId, sink)
    assertCount(sink)
    const record = schemaId === 1 ? readV1(cursor) : readV2(cursor)
    if (cursor.failed) return rejectRest(bytes, start, bytes.length, schemaId, sink)
    record.index = sink.next++
    record.start = start
    record.end = cursor.position
    const fault = cursor.position - start > sink.limits.recordBytesMax ? 'record-too-large' : faultOf(record)
    if (fault === undefined) sink.records.push(record)
    else sink.rejected.push(rejection(record, fault))
  }
  return cursor.position === bytes.length || rejectRest(bytes, cursor.position, bytes.length, schemaId, sink)
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

function rejection (record: DecodedRecord, fault: string): RejectedRecord {
  const { index, source, start, end, schemaId, deviceId, takenAt } = record
  return {
    index, source, start, end, content: 'avro', schemaId,
    reason: fault === 'record-too-large' ? fault : 'malformed',
    field: fault === 'record-too-large' ? undefined : fault,
    deviceId: isIdentifierText(deviceId, TEXT_MAX.deviceId) ? deviceId : undefined,
    takenAt: Number.isSafeInteger(takenAt) ? takenAt : undefined
  }
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

/** Name of the field that makes the record malformed; `undefined` for a good record. */
function faultOf (record: DecodedRecord): string | undefined {
  if (!isIdentifierText(record.deviceId, TEXT_MAX.deviceId)) return 'deviceId'
  if (record.patientId !== undefined && !isIdentifierText(record.patientId, TEXT_MAX.patientId)) return 'patientId'
  if (!Number.isSafeInteger(record.takenAt)) return 'timestamp_utc'
  if (!Number.isSafeInteger(record.sequence) || record.sequence < 0) return 'sequence'
  if (record.firmware !== undefined && !isFirmwareText(record.firmware)) return 'firmware_version'
  const { channels } = record
  if (channels === undefined) return undefined
  if (channels.length > TEXT_MAX.channels) return 'channels'
  for (let position = 0; position < channels.length; position++) {
    const { metric, kind, unit } = channels[position]!
    if (metric === '\0' || kind === '\0' || unit === '\0') return `channels[${position}]`
  }
  return channels.length === 0 && record.battery === undefined && record.quality === undefined ? 'channels' : undefined
}
