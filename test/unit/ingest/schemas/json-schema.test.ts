import { expect, test } from 'vitest'
import { CONTENT_LIMITS } from '../../../../src/ingest/decode/content.ts'
import { type BodyLimits, decodeBody } from '../../../../src/ingest/decode/decode-body.ts'
import { DECODE_LIMITS, type DecodedBody } from '../../../../src/ingest/decode/record.ts'
import { compileSchema } from '../../../../src/ingest/schemas/compile-schema.ts'
import { registered } from '../../../support/registered-schemas.ts'
import { framed, TAKEN_AT } from '../../../support/telemetry.ts'

const LIMITS: BodyLimits = { ...DECODE_LIMITS, ...CONTENT_LIMITS }
const channel = (metric: string, kind: string, unit: string) => ({ 'x-oxbow-metric': metric, 'x-oxbow-kind': kind, 'x-oxbow-unit': unit })
const closed = (properties: object, required: readonly string[], more: object = {}) => JSON.stringify({ type: 'object', additionalProperties: false, properties, required, ...more })

const CHANNELS = {
  type: 'array',
  items: { type: 'object', additionalProperties: false, required: ['metric', 'kind', 'unit', 'value'], properties: { metric: { type: 'string' }, kind: { type: 'string' }, unit: { type: 'string' }, value: { type: 'number' } } }
}
const RING = closed({
  serial: { type: 'string', 'x-oxbow-field': 'deviceId', maxLength: 10 },
  at: { type: 'integer', 'x-oxbow-field': 'timestamp_utc', description: 'ms' },
  po2: { type: 'number', maximum: 200, ...channel('tissue-po2', 'tissue-po2', 'mm[Hg]') },
  toString: { type: ['integer', 'null'], ...channel('tissue-sto2', 'tissue-sto2', '%') },
  spo2: { type: ['number', 'null'] },
  channels: CHANNELS,
  sequence: { type: 'integer' },
  battery_mv: { type: 'integer' },
  patientId: { type: ['string', 'null'] },
  firmware_version: { type: 'string' },
  nested: { 'x-oxbow-ignore': true, type: 'object', properties: { a: { pattern: '(a+)+' } } }
}, ['serial', 'at'], { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Ring' })
const SCHEMAS = registered({ 101: { type: 'JSON', text: RING }, 102: { type: 'PROTOBUF', text: 'message R { required string device_id = 1; required int64 timestamp_utc = 2; optional double spo2 = 3; }' } })

function decode (bytes: Buffer | string, schemaId: number | undefined = 101, kind: 'json' | 'ndjson' = 'json'): DecodedBody {
  return decodeBody({ bytes: Buffer.from(bytes), contentType: '', contentEncoding: '', schemaId }, kind, LIMITS, SCHEMAS) as DecodedBody
}
function read (body: DecodedBody) {
  if (body.unreadable !== undefined) throw new Error(`${body.unreadable}: ${body.detail}`)
  return body
}
const SENT = { serial: 'r-1', at: TAKEN_AT, po2: 41.5 }
const one = (change: object) => read(decode(JSON.stringify({ ...SENT, ...change })))

test('objects are read by what their properties are, and their bytes are their own', () => {
  const text = `[${JSON.stringify({ ...SENT, toString: 66, sequence: 4, nested: { a: [1, { b: 2 }] }, patientId: 'p' })}, ${JSON.stringify({ ...SENT, po2: undefined, spo2: 97, toString: null })}]`
  const { records, rejected } = read(decode(text))
  expect(rejected).toEqual([])
  expect(records).toMatchObject([
    { index: 0, content: 'json', schemaId: 101, deviceId: 'r-1', patientId: 'p', takenAt: TAKEN_AT, sequence: 4, channels: [{ metric: 'tissue-po2', value: 41.5 }, { metric: 'tissue-sto2', kind: 'tissue-sto2', unit: '%', value: 66 }] },
    { index: 1, spo2: 97, channels: undefined, sequence: 0 }
  ])
  expect(JSON.parse(records[1]!.source.subarray(records[1]!.start, records[1]!.end).toString())).toMatchObject({ spo2: 97 })
})

test('lines, a frame and a header name the same schema', () => {
  const line = JSON.stringify(SENT)
  expect(read(decode(`${line}\n{"x":\n${line}\n`, 101, 'ndjson'))).toMatchObject({ records: [{ index: 0, schemaId: 101 }, { index: 2 }], rejected: [{ index: 1, reason: 'malformed', schemaId: 101 }] })
  expect(read(decodeBody({ bytes: framed(101, [Buffer.from(line)]), contentType: '', contentEncoding: '' }, 'json', LIMITS, SCHEMAS) as DecodedBody).records).toMatchObject([{ deviceId: 'r-1', schemaId: 101 }])
  expect(decodeBody({ bytes: framed(9, [Buffer.from(line)]), contentType: '', contentEncoding: '' }, 'json', LIMITS, SCHEMAS)).toMatchObject({ unreadable: 'schema-unknown' })
  expect(decode(line, 102)).toMatchObject({ unreadable: 'malformed', detail: 'the schema of this id is not one of JSON' })
  // UTF-16 begins with 0x00 as well.
  expect(decodeBody({ bytes: Buffer.from(line, 'utf16le').swap16(), contentType: '', contentEncoding: '' }, 'json', LIMITS, SCHEMAS)).toMatchObject({ unreadable: 'malformed' })
})

test('what the schema does not allow makes the record malformed, by a name of ours', () => {
  const fault = (change: object) => one(change).rejected.map(({ reason, field, deviceId, takenAt }) => [reason, field, deviceId, takenAt])
  expect(fault({ other: 1 })).toEqual([['malformed', 'unknown_field', 'r-1', TAKEN_AT]])
  expect(fault({ serial: 'longer than ten' })).toEqual([['malformed', 'deviceId', undefined, TAKEN_AT]])
  expect(fault({ serial: undefined })).toEqual([['malformed', 'deviceId', undefined, TAKEN_AT]])
  expect(fault({ at: '2026' })).toEqual([['malformed', 'timestamp_utc', 'r-1', undefined]])
  expect(fault({ po2: 201 })).toEqual([['malformed', 'channels', 'r-1', TAKEN_AT]])
  expect(fault({ po2: null })).toEqual([['malformed', 'channels', 'r-1', TAKEN_AT]])
  expect(fault({ sequence: -1 })).toEqual([['malformed', 'sequence', 'r-1', TAKEN_AT]])
  expect(fault({ po2: undefined })).toEqual([['malformed', 'no_value', 'r-1', TAKEN_AT]])
  expect(fault({ channels: [{ metric: 'm', kind: 'k', unit: 'u' }] })).toEqual([['malformed', 'channels[0]', 'r-1', TAKEN_AT]])
  expect(fault({ channels: [{ metric: 'm', kind: 'k', unit: 'u', value: 1, more: 1 }] })).toEqual([['malformed', 'channels[0]', 'r-1', TAKEN_AT]])
  expect(read(decode(`{"serial":"r-1","at":${TAKEN_AT},"po2":1,"po2":2}`)).rejected.map(({ reason }) => reason)).toEqual(['duplicate-key'])
  expect(read(decode(`{"serial":"r-1","at":${TAKEN_AT},"po2":1,"nested":{"a":1,"a":2}}`)).rejected.map(({ reason }) => reason)).toEqual(['duplicate-key'])
  expect(read(decode('[1, null, [], "x"]')).rejected).toHaveLength(4)
  expect(fault({ __proto__: undefined })).toEqual([])
})

test('a channel that is no number, or no whole one where the schema says so, fails alone', () => {
  expect(one({ po2: 'x', toString: 1.5, channels: [{ metric: 'm', kind: 'k', unit: 'u', value: 'y' }] }).records[0]!.channels!.map(({ metric, value }) => [metric, value])).toEqual([
    ['m', Number.NaN], ['tissue-po2', Number.NaN], ['tissue-sto2', Number.NaN]
  ])
})

const ring = (change: object, required: readonly string[] = ['deviceId', 'timestamp_utc']) => closed({ deviceId: { type: 'string' }, timestamp_utc: { type: 'integer' }, spo2: { type: 'number' }, ...change }, required)

test.each([
  ['{', 'the schema is not JSON'],
  ['[]', 'the schema is no JSON object'],
  ['{"type": "array"}', 'the schema must be of type object'],
  [JSON.stringify({ type: 'object', properties: {} }), 'the schema must say "additionalProperties": false'],
  [closed({}, [], { $ref: '#/definitions/x' }), 'the schema says $ref, which is not taken here'],
  [ring({ x: { type: 'number' } }), 'property x is no field of ours, and does not say what it is: name the channel by "x-oxbow-metric"'],
  [ring({ spo2: { type: 'number', pattern: '.*' } }), 'property spo2 says pattern, which is not taken here'],
  [ring({ spo2: { type: 'string' } }), 'property spo2 must be of type number'],
  [ring({ spo2: { type: ['number', 'string'] } }), 'property spo2 must be of one type'],
  [ring({ battery_mv: { type: 'number' } }), 'property battery_mv must be of type integer'],
  [ring({}, ['deviceId']), 'property timestamp_utc (timestamp_utc) must be required, and not null'],
  [ring({ deviceId: { type: ['string', 'null'] } }), 'property deviceId (deviceId) must be required, and not null'],
  [ring({}, ['deviceId', 'timestamp_utc', 'gone']), 'gone is required and no property'],
  [ring({ channels: { type: 'array' } }), 'an item of channels is no JSON object'],
  [ring({ channels: { type: 'array', items: { ...CHANNELS.items, additionalProperties: true } } }), 'an item of channels must say "additionalProperties": false'],
  [ring({ channels: { type: 'array', items: { ...CHANNELS.items, required: ['metric'] } } }), 'an item of channels must be an object that requires metric, kind and unit'],
  [ring({ channels: { type: 'array', items: { ...CHANNELS.items, properties: { ...CHANNELS.items.properties, value: { type: 'number', minimum: 0 } } } } }), 'value of an item of channels says minimum'],
  [ring({ spo2: { type: 'number', maximum: '100' } }), 'property spo2 says maximum and no number'],
  [closed({ spo2: { type: 'number' } }, []), 'no field is deviceId']
])('%#: a schema that cannot be read as readings is refused in words', (text, problem) => {
  expect(compileSchema({ type: 'JSON', text }).problems).toEqual(expect.arrayContaining([expect.stringContaining(problem)]))
})
