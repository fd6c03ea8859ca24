import { create, toBinary } from '@bufbuild/protobuf'
import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type, FieldOptionsSchema, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { expect, test } from 'vitest'
import { CONTENT_LIMITS } from '../../../../src/ingest/decode/content.ts'
import { type BodyLimits, decodeBody } from '../../../../src/ingest/decode/decode-body.ts'
import { encodeMessageIndexes } from '../../../../src/ingest/decode/message-index.ts'
import { decodeProtobuf, decodeProtobufRecord } from '../../../../src/ingest/decode/protobuf.ts'
import { DECODE_LIMITS, type DecodedBody } from '../../../../src/ingest/decode/record.ts'
import { compileSchema } from '../../../../src/ingest/schemas/compile-schema.ts'
import { readProtoDescriptor } from '../../../../src/ingest/schemas/proto-descriptor.ts'
import { parseProtoText } from '../../../../src/ingest/schemas/proto-text.ts'
import { registered } from '../../../support/registered-schemas.ts'
import { TAKEN_AT } from '../../../support/telemetry.ts'

const LIMITS: BodyLimits = { ...DECODE_LIMITS, ...CONTENT_LIMITS }

const PATCH = `
  syntax = "proto3";
  package acme.v1;
  import "google/protobuf/descriptor.proto";
  extend google.protobuf.FieldOptions { string oxbow = 51234; }
  message Site { string name = 1; }
  message Readings {
    message Patch {
      string serial = 1 [(oxbow) = "field=deviceId"];
      sint64 timestamp_utc = 2;
      optional float po2 = 3 [(oxbow) = "metric=tissue-po2 kind=tissue-po2 unit=mm[Hg]"];
      optional double sto2 = 4 [(acme.v1.oxbow) = "metric=tissue-sto2 kind=tissue-sto2 unit=%", deprecated = true];
      uint32 sequence = 5;
      repeated Channel channels = 6;
      optional int32 battery_mv = 7;
      string firmware_version = 8;
      map<string, Site> sites = 9 [(oxbow) = "ignore"];
      repeated double noise = 10 [(oxbow) = "ignore"];
      string patient_id = 11;
      message Channel { string metric = 1; string kind = 2; string unit = 3; double value = 4; }
    }
  }
`
const TYPE = protobuf.parse(PATCH, new protobuf.Root(), { keepCase: true }).root.lookupType('acme.v1.Readings.Patch')
const SCHEMAS = registered({ 101: { type: 'PROTOBUF', text: PATCH } })

function encode (fields: object): Buffer { return Buffer.from(TYPE.encode(TYPE.create(fields)).finish()) }
function framed (indexes: readonly number[], ...payload: Uint8Array[]): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(101, 1)
  return Buffer.concat([head, encodeMessageIndexes(indexes), ...payload])
}
function delimited (fields: object): Buffer { return Buffer.from(TYPE.encodeDelimited(TYPE.create(fields)).finish()) }
function decode (bytes: Buffer, kind: 'protobuf' | 'protobuf-delimited' = 'protobuf', schemaId?: number): DecodedBody {
  return decodeBody({ bytes, contentType: '', contentEncoding: '', schemaId }, kind, LIMITS, SCHEMAS) as DecodedBody
}
function read (body: DecodedBody) {
  if (body.unreadable !== undefined) throw new Error(`${body.unreadable}: ${body.detail}`)
  return body
}

const SENT = { serial: 'p-1', timestamp_utc: TAKEN_AT, po2: 40.5, sequence: 3, battery_mv: 3_700, firmware_version: '1.2', sites: { arm: { name: 'left' } }, noise: [1, 2] }

test('a framed message is read by what its fields are, and its bytes are its own', () => {
  const bytes = framed([1, 0], encode(SENT))
  const { records, rejected } = read(decode(bytes))
  expect(rejected).toEqual([])
  expect(records).toMatchObject([{
    index: 0, content: 'protobuf', schemaId: 101, deviceId: 'p-1', patientId: undefined, takenAt: TAKEN_AT, sequence: 3, battery: 3_700, firmware: '1.2', spo2: undefined,
    channels: [{ metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', value: 40.5 }]
  }])
  const [record] = records
  const own = record!.source.subarray(record!.start, record!.end)
  expect(own).toEqual(encode(SENT))
  expect(read(decodeProtobufRecord(Buffer.from(own), SCHEMAS.kept(101) as never, LIMITS)).records).toMatchObject([{ deviceId: 'p-1', sequence: 3 }])
})

test('a body of many messages, each behind its length, is read to its end; a cut keeps those before it', () => {
  const many = [1, 2, 3].map(sequence => delimited({ ...SENT, sequence }))
  expect(read(decode(framed([1, 0], ...many), 'protobuf-delimited')).records.map(({ index, sequence }) => [index, sequence])).toEqual([[0, 1], [1, 2], [2, 3]])
  const cut = read(decode(framed([1, 0], ...many).subarray(0, -4), 'protobuf-delimited'))
  expect([cut.records.length, cut.rejected]).toEqual([2, [expect.objectContaining({ index: 2, reason: 'malformed', content: 'protobuf', schemaId: 101 })]])
  expect(read(decode(Buffer.concat(many), 'protobuf-delimited', 101)).records).toHaveLength(3)
  expect(() => decodeProtobuf(framed([1, 0], ...many), SCHEMAS.named({ id: 101 }) as never, { ...LIMITS, recordsMax: 2 }, { isDelimited: true, isBare: false })).toThrowError(expect.objectContaining({ code: 'INPUT_TOO_LARGE' }))
})

test('absent is absent, zero is zero, and what is not finite stays for the check to quarantine that field alone', () => {
  const channels = (fields: object) => read(decode(framed([1, 0], encode({ ...SENT, po2: undefined, ...fields })))).records[0]?.channels
  expect(channels({})).toBeUndefined()
  expect(channels({ po2: 0, sto2: Number.NaN })).toEqual([expect.objectContaining({ value: 0 }), expect.objectContaining({ metric: 'tissue-sto2', value: Number.NaN })])
  expect(channels({ sto2: Number.NEGATIVE_INFINITY })![0]!.value).toBe(Number.NEGATIVE_INFINITY)
  const channel = { metric: 'm', kind: 'k', unit: 'u' }
  expect(channels({ channels: [channel, { ...channel, value: 2 }] })).toEqual([{ ...channel, value: 0 }, { ...channel, value: 2 }])
})

test('a message that names another message, an unknown field or a field twice is malformed', () => {
  expect(decode(framed([0], encode(SENT)))).toMatchObject({ unreadable: 'malformed', detail: expect.stringContaining('message indexes') })
  const reasonOf = (...bytes: Uint8Array[]) => read(decode(framed([1, 0], ...bytes))).rejected.map(({ reason, field, deviceId }) => [reason, field, deviceId])
  expect(reasonOf(encode(SENT), Buffer.from([0x60, 1]))).toEqual([['malformed', 'unknown_field', 'p-1']])
  expect(reasonOf(encode(SENT), Buffer.from([0x28, 4]))).toEqual([['duplicate-key', undefined, 'p-1']])
  // po2 is no varint.
  expect(reasonOf(encode({ ...SENT, po2: undefined }), Buffer.from([0x18, 4]))).toEqual([['malformed', 'unknown_field', 'p-1']])
  expect(reasonOf(encode({ ...SENT, serial: '' }))).toEqual([['malformed', 'deviceId', undefined]])
  expect(reasonOf(encode({ ...SENT, timestamp_utc: 0 }))).toEqual([])
  expect(reasonOf(encode({ serial: 'p-1', po2: 1 }))).toEqual([['malformed', 'timestamp_utc', 'p-1']])
  expect(reasonOf(encode({ serial: 'p-1', timestamp_utc: TAKEN_AT }))).toEqual([['malformed', 'no_value', 'p-1']])
  expect(reasonOf(encode(SENT).subarray(0, -1))).toEqual([['malformed', undefined, undefined]])
  expect(reasonOf(encode({ ...SENT, channels: [{ metric: 'x'.repeat(70), kind: 'k', unit: 'u', value: 1 }] }))).toEqual([['malformed', 'channels[1]', 'p-1']])
})

test('an unknown id and a body without a frame have their answers', () => {
  const other = framed([1, 0], encode(SENT))
  other[4] = 9
  expect(decode(other)).toMatchObject({ unreadable: 'schema-unknown' })
  for (const bytes of [Buffer.from([0]), Buffer.from('{}'), framed([1, 0]).subarray(0, 5), Buffer.from([0, 0, 0, 0, 101, 0x80])]) expect(decode(bytes)).toMatchObject({ unreadable: 'malformed' })
  expect(decodeProtobuf(framed([0]), SCHEMAS.named({ id: 1 }) as never, LIMITS, { isDelimited: false, isBare: false })).toMatchObject({ unreadable: 'malformed', detail: expect.stringContaining('not one of Protobuf') })
})

test('bytes that are no message never break the reader', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom<'protobuf' | 'protobuf-delimited'>('protobuf', 'protobuf-delimited'), (bytes, kind) => {
    const decoded = decode(framed([1, 0], bytes), kind)
    if (decoded.unreadable !== undefined) throw new Error(decoded.detail)
    for (const { start, end, source } of [...decoded.records, ...decoded.rejected]) expect(start <= end && end <= source.length).toBe(true)
  }))
})

/** As protoc would describe PATCH without its map: the text and its descriptor must say the same. */
function descriptor (): Uint8Array {
  const field = (name: string, number: number, type: Type, more: object = {}) => ({ name, number, type, label: Label.OPTIONAL, ...more })
  const annotated = (text: string) => {
    const options = create(FieldOptionsSchema)
    options.$unknown = [{ no: 51_234, wireType: 2, data: Buffer.concat([Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)]) }]
    return { options }
  }
  const file = create(FileDescriptorProtoSchema, {
    name: 'patch.proto', package: 'acme.v1', syntax: 'proto3', dependency: ['google/protobuf/descriptor.proto'],
    extension: [field('oxbow', 51_234, Type.STRING, { extendee: '.google.protobuf.FieldOptions' })],
    messageType: [
      { name: 'Site', field: [field('name', 1, Type.STRING)] },
      { name: 'Patch',
        field: [
          field('serial', 1, Type.STRING, annotated('field=deviceId')), field('timestamp_utc', 2, Type.SINT64),
          field('po2', 3, Type.DOUBLE, { proto3Optional: true, oneofIndex: 0, ...annotated('metric=tissue-po2 kind=tissue-po2 unit=mm[Hg]') }),
          field('left', 4, Type.MESSAGE, { typeName: '.acme.v1.Site', oneofIndex: 1, ...annotated('ignore') }),
          field('sites', 5, Type.MESSAGE, { typeName: '.acme.v1.Patch.SitesEntry', label: Label.REPEATED, ...annotated('ignore') }),
          field('codes', 6, Type.INT32, { label: Label.REPEATED, ...annotated('ignore') })
        ],
        oneofDecl: [{ name: '_po2' }, { name: 'side' }],
        nestedType: [{ name: 'SitesEntry', options: { mapEntry: true }, field: [field('key', 1, Type.STRING), field('value', 2, Type.MESSAGE, { typeName: '.acme.v1.Site' })] }] }
    ]
  })
  return toBinary(FileDescriptorProtoSchema, file)
}

test('a descriptor in base64 says what the text says', () => {
  const text = `syntax = "proto3"; package acme.v1; import "google/protobuf/descriptor.proto"; extend google.protobuf.FieldOptions { string oxbow = 51234; }
    message Site { string name = 1; }
    message Patch {
      string serial = 1 [(oxbow) = "field=deviceId"]; sint64 timestamp_utc = 2;
      optional double po2 = 3 [(oxbow) = "metric=tissue-po2 kind=tissue-po2 unit=mm[Hg]"];
      oneof side { Site left = 4 [(oxbow) = "ignore"]; }
      map<string, Site> sites = 5 [(oxbow) = "ignore"];
      repeated int32 codes = 6 [(oxbow) = "ignore"];
    }`
  expect(readProtoDescriptor(descriptor())).toEqual(parseProtoText(text))
  const compiled = compileSchema({ type: 'PROTOBUF', text: Buffer.from(descriptor()).toString('base64') })
  expect(compiled.problems).toBeUndefined()
})

const proto = (fields: string, syntax = 'proto3') => `syntax = "${syntax}"; message R { string device_id = 1; int64 timestamp_utc = 2; ${fields} }`
const PO2 = '[(oxbow) = "metric=tissue-po2 kind=tissue-po2 unit=mm[Hg]"]'

test.each([
  ['message R {', 'it is no .proto file: '],
  ['AAAA', 'it is neither the text of a .proto file nor a FileDescriptorProto in base64'],
  ['', 'exactly one message must be a reading'],
  ['syntax = "proto3"; message A { string device_id = 1; } message B { string device_id = 1; }', 'here are 2'],
  ['syntax = "proto3"; import "google/protobuf/timestamp.proto"; message R { string device_id = 1; }', 'it imports google/protobuf/timestamp.proto'],
  ['edition = "2023"; message R { string device_id = 1; }', 'its syntax must be proto2 or proto3'],
  [proto('Other x = 3;'), 'it names a type Other, which it does not define'],
  [proto('double po2 = 3;'), 'field po2 is no field of ours, and does not say what it is: give it the option (oxbow)'],
  [proto(`double po2 = 3 ${PO2};`), 'field po2 must be declared optional: a zero and a value that is absent look the same otherwise'],
  [proto('int32 battery_mv = 3;'), 'field battery_mv must be declared optional'],
  [proto(`optional string po2 = 3 ${PO2};`), 'field po2 must be one number'],
  [proto(`repeated double po2 = 3 ${PO2};`), 'field po2 must be declared optional'],
  [proto('optional double spo2 = 3; optional double po2 = 4 [(oxbow) = "metrik=x"];'), 'field po2 names a field of ours that there is not'],
  [proto('repeated string channels = 3;'), 'field channels must be repeated messages'],
  [proto('message C { string metric = 1; } repeated C channels = 3;'), 'field channels lacks kind, unit, value in its messages'],
  [proto('message C { string metric = 1; string kind = 2; string unit = 3; double value = 4; int32 x = 5; } repeated C channels = 3;'), 'field x is no part of a channel'],
  ['syntax = "proto3"; message Out { map<string, int32> m = 1; message R { string device_id = 1; int64 timestamp_utc = 2; optional double spo2 = 3; } }', 'Out.R stands inside a message with a map'],
  ['syntax = "proto3"; message R { string device_id = 1; double timestamp_utc = 2; optional double spo2 = 3; }', 'field timestamp_utc must be one whole number'],
  ['syntax = "proto3"; message R { string device_id = 1; optional double spo2 = 3; }', 'no field is timestamp_utc']
])('%#: a schema that cannot be read as readings is refused in words', (text, problem) => {
  expect(compileSchema({ type: 'PROTOBUF', text }).problems).toEqual(expect.arrayContaining([expect.stringContaining(problem)]))
})

test('in proto2 every field has presence', () => {
  expect(compileSchema({ type: 'PROTOBUF', text: `message R { required string device_id = 1; required int64 timestamp_utc = 2; optional double spo2 = 3; }` }).problems).toBeUndefined()
})
