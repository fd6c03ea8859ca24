/** JSON bodies (one object, an array, or NDJSON) → records. Parsed once per body; a byte scan gives each record's own bytes. */

import { isUtf8 } from 'node:buffer'
import { ServiceError } from '../../model/errors.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import { type Spans, scanBody, scanLines, skipSpace } from './json-scan.ts'
import {
  type DecodedBody, type DecodedRecord, type DecodeLimits, isFirmwareText, isIdentifierText, type RejectedRecord, type SentChannel, TEXT_MAX
} from './record.ts'
import type { JsonFields, JsonKnown, JsonRead, JsonReading, SchemaAnswer, SchemaName } from './schemas.ts'

type Fields = Readonly<Record<string, unknown>>

/** A calendar time without zone: said apart, because a zone is all it lacks. */
const LOCAL_TIME = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?$/

/** What is at fault where it is no field of ours. */
const UNKNOWN_FIELD = 'unknown_field'
const NO_VALUE = 'no_value'

const UNREADABLE: DecodedBody = { unreadable: 'malformed', detail: 'the body is not valid JSON in UTF-8 without a byte order mark' }

const FRAME_LENGTH = 5
const OPEN_OBJECT = 0x7b
const OPEN_LIST = 0x5b

/** What a framed body says of its schema: `0x00`, which no JSON begins with, and 4 bytes. JSON must follow: UTF-16 may begin so too. */
export function jsonSchemaOf (body: Buffer): SchemaName | undefined {
  if (body[0] !== 0 || body.length <= FRAME_LENGTH) return undefined
  const first = body[skipSpace(body, FRAME_LENGTH, body.length)]
  return first === OPEN_OBJECT || first === OPEN_LIST ? { id: body.readUInt32BE(1) } : undefined
}

/** A body in a registered schema. @param isBare it carries no frame: its schema was named beside it */
export function decodeJsonBySchema (body: Buffer, answer: SchemaAnswer, limits: DecodeLimits, { isLines, isBare }: { isLines: boolean, isBare: boolean }): DecodedBody {
  if (answer.unreadable !== undefined) return answer
  if (answer.reader.type !== 'JSON') return { unreadable: 'malformed', detail: 'the schema of this id is not one of JSON' }
  const json = isBare ? body : body.subarray(FRAME_LENGTH)
  return isLines ? decodeNdjson(json, limits, answer.reader.read) : decodeJson(json, limits, answer.reader.read)
}

/** A record of schema v2 without any value is read too: it was stored before. */
export const readStored: JsonRead = (value, members) => readRecord(value, members, true)

/** `application/json`: one object or one array of objects. @param bySchema absent: by the schemas of the product */
export function decodeJson (body: Buffer, limits: DecodeLimits, bySchema?: JsonRead): DecodedBody {
  const spans = scanBody(body, limits.recordsMax)
  assertCount(spans, limits)
  if (spans.depths.some(depth => depth > limits.depthMax)) {
    return { unreadable: 'malformed', detail: `the body nests deeper than ${limits.depthMax}` }
  }
  const parsed = isUtf8(body) ? parse(body) : undefined
  if (parsed === undefined) return UNREADABLE
  const values: readonly unknown[] = Array.isArray(parsed) ? parsed : [parsed]
  if (typeof parsed !== 'object' || parsed === null || values.length !== spans.starts.length) {
    return { unreadable: 'malformed', detail: 'the body is neither a JSON object nor an array of objects' }
  }
  return readAll(body, spans, values, limits, bySchema)
}

/** `application/x-ndjson`: one object per line; a bad line is one malformed record. */
export function decodeNdjson (body: Buffer, limits: DecodeLimits, bySchema?: JsonRead): DecodedBody {
  const { spans, regular } = scanLines(body, limits.recordsMax)
  assertCount(spans, limits)
  if (spans.starts.length === 0) return { unreadable: 'malformed', detail: 'the body holds no line' }
  if (regular && isUtf8(body) && !spans.depths.some(depth => depth > limits.depthMax)) {
    const text = body.toString('utf8').trimEnd()
    const values = parse(`[${text.replaceAll('\n', ',')}]`)
    if (Array.isArray(values) && values.length === spans.starts.length) return readAll(body, spans, values, limits, bySchema)
  }
  const values = spans.starts.map((start, index) => {
    const line = body.subarray(start, spans.ends[index])
    return spans.depths[index]! > limits.depthMax || !isUtf8(line) ? undefined : parse(line)
  })
  return readAll(body, spans, values, limits, bySchema)
}

/** `undefined` when it is no JSON. */
function parse (json: Buffer | string): unknown {
  try {
    return JSON.parse(typeof json === 'string' ? json : json.toString('utf8'))
  } catch {
    return undefined
  }
}

function assertCount (spans: Spans, limits: DecodeLimits): void {
  if (spans.starts.length <= limits.recordsMax) return
  throw new ServiceError('incorrect', 'INPUT_TOO_LARGE', `a body holds at most ${limits.recordsMax} records: send several requests`)
}

function readAll (source: Buffer, spans: Spans, values: readonly unknown[], limits: DecodeLimits, bySchema: JsonRead | undefined): DecodedBody {
  const records: DecodedRecord[] = []
  const rejected: RejectedRecord[] = []
  for (let index = 0; index < values.length; index++) {
    const start = spans.starts[index]!
    const end = spans.ends[index]!
    const value = values[index]
    const read = end - start > limits.recordBytesMax ? TOO_LARGE : bySchema === undefined ? readRecord(value, spans.members[index]!, false) : bySchema(value, spans.members[index]!)
    if (read.reason === undefined) {
      const f = read.fields
      records.push({
        index, source, start, end, content: 'json', schemaId: f.schemaId, deviceId: f.deviceId, patientId: f.patientId, takenAt: f.takenAt,
        sequence: f.sequence, channels: f.channels, spo2: f.spo2, tissueO2: f.tissueO2, battery: f.battery, quality: f.quality, firmware: f.firmware
      })
    } else {
      rejected.push({ index, source, start, end, content: 'json', reason: read.reason, field: read.field, ...read.known ?? whatIsKnown(value) })
    }
  }
  return { records, rejected }
}

const TOO_LARGE: JsonReading = { reason: 'record-too-large', field: undefined }

function malformed (field?: string): JsonReading { return { reason: 'malformed', field } }

/** Device, time and schema of a record that is refused, so that it can be found again. */
function whatIsKnown (value: unknown): JsonKnown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { schemaId: 0, deviceId: undefined, takenAt: undefined }
  const record = value as Fields
  const deviceId = record['deviceId']
  const time = record['timestamp_utc']
  return {
    schemaId: record['channels'] === undefined ? 1 : 2,
    deviceId: isIdentifierText(deviceId, TEXT_MAX.deviceId) ? deviceId : undefined,
    takenAt: Number.isSafeInteger(time) ? epochMs(time as number) : undefined
  }
}

/** Fields that are null are absent; one that the schema does not have makes the record malformed, so that nothing misspelled is lost in silence. */
function readRecord (value: unknown, members: number, mayBeEmpty: boolean): JsonReading {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return malformed()
  const record = value as Fields
  const deviceId = record['deviceId']
  const patientId = record['patientId']
  const firmware = record['firmware_version']
  const time = record['timestamp_utc']
  if (!isIdentifierText(deviceId, TEXT_MAX.deviceId)) return malformed('deviceId')
  if (patientId !== undefined && patientId !== null && !isIdentifierText(patientId, TEXT_MAX.patientId)) return malformed('patientId')
  if (!Number.isSafeInteger(time)) return noTime(time)
  if (firmware !== undefined && firmware !== null && !isFirmwareText(firmware)) return malformed('firmware_version')
  const rest = record['channels'] === undefined ? readV1(record) : readV2(record)
  if (typeof rest === 'string') return malformed(rest)
  // As many members as there are known fields: none is unknown, none stands there twice. Only otherwise is it found out which.
  if (rest.memberCount !== members) {
    if (hasUnknownField(record, rest)) return malformed(UNKNOWN_FIELD)
    if (countMembers(record) !== members) return { reason: 'duplicate-key', field: undefined }
  }
  const fields: JsonFields = {
    schemaId: rest.channels === undefined ? 1 : 2,
    deviceId,
    patientId: patientId as string | undefined ?? undefined,
    takenAt: time as EpochMs,
    sequence: rest.sequence,
    channels: rest.channels,
    spo2: rest.spo2,
    tissueO2: rest.tissueO2,
    battery: wholeNumber(record['battery_mv']),
    quality: wholeNumber(record['signal_quality']),
    firmware: firmware as string | undefined ?? undefined
  }
  return hasValue(fields) || (mayBeEmpty && fields.channels !== undefined) ? { reason: undefined, fields } : malformed(NO_VALUE)
}

function noTime (time: unknown): JsonReading {
  const lacksZone = typeof time === 'string' && LOCAL_TIME.test(time)
  return lacksZone ? { reason: 'time-zone-missing', field: 'timestamp_utc' } : malformed('timestamp_utc')
}

/** The fields in which the versions differ, and how many fields and members a record with these should have. */
interface Values extends Pick<DecodedRecord, 'sequence' | 'channels' | 'spo2' | 'tissueO2'> { fieldCount: number, memberCount: number }

function hasValue ({ spo2, tissueO2, channels, battery, quality }: JsonFields): boolean {
  return spo2 !== undefined || tissueO2 !== undefined || (channels?.length ?? 0) > 0 || battery !== undefined || quality !== undefined
}

/** Own fields present among those that every version has. */
function commonCount (record: Fields): number {
  return 2 + (record['patientId'] === undefined ? 0 : 1) + (record['battery_mv'] === undefined ? 0 : 1) +
    (record['firmware_version'] === undefined ? 0 : 1) + (record['signal_quality'] === undefined ? 0 : 1)
}

function readV1 (record: Fields): Values {
  const spo2 = record['spo2']
  const tissueO2 = record['local_tissue_o2']
  const fieldCount = commonCount(record) + (spo2 === undefined ? 0 : 1) + (tissueO2 === undefined ? 0 : 1)
  return { fieldCount, memberCount: fieldCount, sequence: 0, channels: undefined, spo2: number(spo2), tissueO2: number(tissueO2) }
}

/** A string names the field that is wrong. */
function readV2 (record: Fields): Values | string {
  const channels = record['channels']
  const sequence = record['sequence'] ?? 0
  if (!Number.isSafeInteger(sequence) || sequence as number < 0) return 'sequence'
  if (!Array.isArray(channels) || channels.length > TEXT_MAX.channels) return 'channels'
  const fieldCount = commonCount(record) + 1 + (record['sequence'] === undefined ? 0 : 1)
  for (let position = 0; position < channels.length; position++) {
    const channel = channels[position] as Fields | null
    if (!isChannel(channel)) return `channels[${position}]`
    if (typeof channel.value !== 'number') channel.value = Number.NaN
  }
  const memberCount = fieldCount + CHANNEL_FIELDS * channels.length
  return { fieldCount, memberCount, sequence: sequence as number, channels: channels as SentChannel[], spo2: undefined, tissueO2: undefined }
}

const CHANNEL_FIELDS = 4

function hasUnknownField (record: Fields, { fieldCount, channels }: Values): boolean {
  return Object.keys(record).length !== fieldCount || (channels ?? []).some(channel => Object.keys(channel).length !== CHANNEL_FIELDS)
}

export function isChannel (channel: Fields | null): channel is Fields & { value: unknown } {
  if (typeof channel !== 'object' || channel === null) return false
  const value = channel['value']
  if (value === undefined || (typeof value === 'object' && value !== null)) return false
  return isChannelText(channel['metric']) && isChannelText(channel['kind']) && isChannelText(channel['unit'])
}

function isChannelText (text: unknown): boolean { return typeof text === 'string' && text.length <= TEXT_MAX.channelText }

/** Absent when missing or null; NaN when it is no number. */
function number (value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  return typeof value === 'number' ? value : Number.NaN
}

function wholeNumber (value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  return Number.isSafeInteger(value) ? value as number : Number.NaN
}

/** Members of all objects in a parsed value; its depth was bounded by the scan. */
export function countMembers (value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const values = Object.values(value)
  let count = Array.isArray(value) ? 0 : values.length
  for (const inner of values) count += countMembers(inner)
  return count
}
