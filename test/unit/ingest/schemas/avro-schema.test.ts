import avro from 'avsc'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeAvroRecords } from '../../../../src/ingest/decode/avro.ts'
import { CONTENT_LIMITS } from '../../../../src/ingest/decode/content.ts'
import { type BodyLimits, decodeBody } from '../../../../src/ingest/decode/decode-body.ts'
import { FIXED_SCHEMAS } from '../../../../src/ingest/decode/fixed-readers.ts'
import { TISSUE_OXYGEN_V1, TISSUE_OXYGEN_V2 } from '../../../../src/ingest/decode/fixed-schemas.ts'
import { DECODE_LIMITS, type DecodedBody, type DecodedRecord } from '../../../../src/ingest/decode/record.ts'
import { compileSchema } from '../../../../src/ingest/schemas/compile-schema.ts'
import { SCHEMA_BYTES_MAX } from '../../../../src/ingest/schemas/compiled-schema.ts'
import { compiledOf } from '../../../support/evolution.ts'
import { registered } from '../../../support/registered-schemas.ts'
import { container, framed, sentV1, sentV2, TAKEN_AT, V1_TYPE, V2_TYPE } from '../../../support/telemetry.ts'

const LIMITS: BodyLimits = { ...DECODE_LIMITS, ...CONTENT_LIMITS }
const PO2 = { 'oxbow.metric': 'tissue-po2', 'oxbow.kind': 'tissue-po2', 'oxbow.unit': 'mm[Hg]' }
const STO2 = { 'oxbow.metric': 'tissue-sto2', 'oxbow.kind': 'tissue-sto2', 'oxbow.unit': '%' }

const PATCH = {
  type: 'record',
  name: 'Patch',
  namespace: 'com.example',
  fields: [
    { name: 'rssi', type: ['int', 'null'], 'oxbow.ignore': true },
    { name: 'serial', type: 'string', 'oxbow.field': 'deviceId' },
    { name: 'at', aliases: ['timestamp_utc'], type: { type: 'long', logicalType: 'timestamp-millis' } },
    { name: 'po2', type: 'float', ...PO2 },
    { name: 'sto2', type: ['double', 'null'], ...STO2 },
    { name: 'spo2', type: ['null', 'double'], default: null },
    { name: 'site', 'oxbow.ignore': true, type: { type: 'record', name: 'Site', fields: [{ name: 'codes', type: { type: 'array', items: 'string' } }, { name: 'side', type: { type: 'enum', name: 'Side', symbols: ['L', 'R'] } }] } },
    { name: 'other', 'oxbow.ignore': true, type: ['null', 'Site', { type: 'map', values: 'bytes' }] },
    { name: 'counter', 'oxbow.field': 'sequence', type: 'long' }
  ]
} as const
const PATCH_TYPE = avro.Type.forSchema(PATCH as unknown as avro.Schema, { wrapUnions: true })

function decodeWith (bytes: Buffer, schema: object, contentType = 'application/avro'): { records: readonly DecodedRecord[], rejected: readonly { reason: string, field: string | undefined }[] } {
  const decoded = decodeBody({ bytes, contentType, contentEncoding: '' }, 'avro', LIMITS, registered({ 101: { type: 'AVRO', text: JSON.stringify(schema) } })) as DecodedBody
  if (decoded.unreadable !== undefined) throw new Error(`${decoded.unreadable}: ${decoded.detail}`)
  return decoded
}

const SENT = {
  rssi: { int: -60 }, serial: 'p-1', at: TAKEN_AT, po2: 40.5, sto2: { double: 66 }, spo2: null, site: { codes: ['a', 'b'], side: 'R' },
  other: { map: { x: Buffer.from('y') } }, counter: 12
}

test('a registered schema is read by what its fields are, whatever they are called', () => {
  const bytes = framed(101, [PATCH_TYPE.toBuffer(SENT), PATCH_TYPE.toBuffer({ ...SENT, rssi: null, sto2: null, spo2: { double: 97 }, other: { 'com.example.Site': { codes: [], side: 'L' } } })])
  const { records, rejected } = decodeWith(bytes, PATCH)
  expect(rejected).toEqual([])
  expect(records).toMatchObject([
    {
      index: 0, content: 'avro', schemaId: 101, deviceId: 'p-1', patientId: undefined, takenAt: TAKEN_AT, sequence: 12, spo2: undefined, tissueO2: undefined,
      channels: [{ metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', value: 40.5 }, { metric: 'tissue-sto2', kind: 'tissue-sto2', unit: '%', value: 66 }]
    },
    { index: 1, spo2: 97, channels: [{ metric: 'tissue-po2', value: 40.5 }] }
  ])
  expect(records.map(({ source, start, end }) => PATCH_TYPE.fromBuffer(source.subarray(start, end)).serial)).toEqual(['p-1', 'p-1'])
})

test('container files of a registered schema are read, with and without its annotations', async () => {
  const flat = { ...PATCH, fields: PATCH.fields.filter(({ name }) => ['serial', 'at', 'po2'].includes(name)) }
  const flatBare = { ...flat, fields: flat.fields.map(({ name, type }) => ({ name, type })) }
  for (const schema of [flat, flatBare]) {
    const { records } = decodeWith(await container(schema, [{ serial: 'p-1', at: TAKEN_AT, po2: 1.5 }]), flat)
    expect(records).toMatchObject([{ schemaId: 101, deviceId: 'p-1', channels: [{ metric: 'tissue-po2', value: 1.5 }] }])
  }
  const other = await container({ ...flat, name: 'Other' }, [{ serial: 'p-1', at: TAKEN_AT, po2: 1.5 }])
  expect(() => decodeWith(other, flat)).toThrow('schema-unknown')
})

test('what is not finite stays what it is, for the check to quarantine that field alone', () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const { records } = decodeWith(framed(101, [PATCH_TYPE.toBuffer({ ...SENT, sto2: { double: value } })]), PATCH)
    expect(records[0]!.channels!.map(channel => channel.value)).toEqual([40.5, value])
  }
})

test('a record without any value, a bad text and a cut are malformed; the records before them stay', () => {
  const schema = { type: 'record', name: 'R', fields: [{ name: 'deviceId', type: 'string' }, { name: 'timestamp_utc', type: 'long' }, { name: 'po2', type: ['null', 'double'], ...PO2 }] }
  const type = avro.Type.forSchema(schema as avro.Schema, { wrapUnions: true })
  const good = type.toBuffer({ deviceId: 'd', timestamp_utc: TAKEN_AT, po2: { double: 3 } })
  const empty = type.toBuffer({ deviceId: 'd', timestamp_utc: TAKEN_AT, po2: null })
  const nameless = type.toBuffer({ deviceId: '', timestamp_utc: TAKEN_AT, po2: { double: 3 } })
  const { records, rejected } = decodeWith(framed(101, [good, empty, nameless, good.subarray(0, -3)]), schema)
  expect(records.map(({ index }) => index)).toEqual([0])
  expect(rejected).toMatchObject([{ index: 1, reason: 'malformed', field: 'no_value' }, { index: 2, field: 'deviceId' }, { index: 3, reason: 'malformed', field: undefined }])
})

// The library's own writer is exact only below 2^52.
const whole = fc.integer({ min: -(2 ** 52), max: 2 ** 52 })

test('the compiled reader of a schema of the product reads what the one written by hand reads', () => {
  const readers = ([[1, TISSUE_OXYGEN_V1], [2, TISSUE_OXYGEN_V2]] as const).map(([id, schema]) => compiledOf({ type: 'AVRO', text: JSON.stringify(schema) }).reader(id))
  const body = fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes))
  const v1 = fc.record({ timestamp_utc: whole, spo2: fc.double(), patientId: fc.option(fc.string({ maxLength: 5 })) }).map(change => V1_TYPE.toBuffer(sentV1(change)))
  const v2 = fc.record({ timestamp_utc: whole, sequence: fc.option(whole), battery_mv: fc.option(fc.integer()) }).map(change => V2_TYPE.toBuffer(sentV2(change)))
  fc.assert(fc.property(fc.oneof(body, fc.array(v1).map(Buffer.concat), fc.array(v2).map(Buffer.concat)), bytes => {
    for (const reader of readers) {
      const byHand = decodeAvroRecords(bytes, FIXED_SCHEMAS.kept(reader.id) as never, LIMITS)
      // Under another id the compiled one is called.
      const compiled = decodeAvroRecords(bytes, { reader: { ...reader, id: reader.id + 100 } } as never, LIMITS)
      if (compiled.unreadable !== undefined) throw new Error(compiled.detail)
      for (const rejected of compiled.rejected) if (rejected.schemaId > 100) rejected.schemaId -= 100
      expect(compiled).toEqual(byHand)
    }
  }))
})

const fields = (...more: object[]) => JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'deviceId', type: 'string' }, { name: 'timestamp_utc', type: 'long' }, ...more] })
const problemsOf = (text: string) => compileSchema({ type: 'AVRO', text }).problems ?? []

test.each([
  ['{', 'the schema is not JSON'],
  ['"string"', 'the schema is no record'],
  ['{"type": "record", "name": "R", "fields": [{"name": "a", "type": "strin"}]}', 'the schema is no Avro schema: undefined type name: strin'],
  ['{"type": "enum", "name": "E", "symbols": ["A"]}', 'the schema is no record'],
  [fields(), 'no field is measured'],
  [fields({ name: 'rssi', type: 'int' }), 'field rssi is no field of ours, and does not say what it is: name the channel by "oxbow.metric"'],
  [fields({ name: 'note', type: 'string' }), 'field note is no field of ours'],
  [fields({ name: 'x', type: 'double', ...PO2, 'oxbow.unit': 'kPa' }), 'field x is a channel of kind tissue-po2, whose unit must be mm[Hg] (UCUM)'],
  [fields({ name: 'x', type: 'double', ...PO2, 'oxbow.kind': 'po2' }), 'field x is a channel without a known kind: one of tissue-po2, '],
  [fields({ name: 'x', type: 'double', 'oxbow.kind': 'tissue-po2', 'oxbow.unit': 'mm[Hg]' }), 'field x is a channel without a metric'],
  [fields({ name: 'x', type: 'double', 'oxbow.field': 'spO2' }), 'field x names a field of ours that there is not: one of deviceId, '],
  [fields({ name: 'x', type: 'double', ...PO2 }, { name: 'y', type: 'double', ...PO2 }), 'two fields are the channel tissue-po2'],
  [fields({ name: 'x', type: 'string', 'oxbow.field': 'deviceId' }, { name: 'spo2', type: 'double' }), 'two fields are deviceId'],
  [fields({ name: 'x', type: 'string', ...PO2 }), 'field x must be an int, long, float or double'],
  [fields({ name: 'x', type: ['null', 'int', 'double'], ...PO2 }), 'field x is a union other than of null and one type'],
  [fields({ name: 'battery_mv', type: 'double' }), 'field battery_mv must be an int or long'],
  [fields({ name: 'channels', type: { type: 'array', items: 'double' } }), 'field channels must be an array of records with metric, kind, unit and value'],
  [fields({ name: 'channels', type: { type: 'array', items: { type: 'record', name: 'C', fields: [{ name: 'metric', type: 'string' }, { name: 'value', type: 'double' }] } } }), 'field channels lacks kind, unit in its items'],
  [fields({ name: 'spo2', type: 'double' }, { name: 'next', type: ['null', 'R'], 'oxbow.ignore': true }), 'field next refers to a type that stands nowhere before it, or to itself'],
  [fields({ name: 'spo2', type: 'double' }, { name: 'n', type: { type: 'array', items: 'null' }, 'oxbow.ignore': true }), 'field n is a list whose items may have no bytes'],
  [JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'deviceId', type: ['null', 'string'] }, { name: 'timestamp_utc', type: 'long' }, { name: 'spo2', type: 'double' }] }), 'field deviceId must not be optional'],
  [JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'deviceId', type: 'string' }, { name: 'timestamp_utc', type: { type: 'long', logicalType: 'timestamp-micros' } }, { name: 'spo2', type: 'double' }] }), 'field timestamp_utc must be in ms'],
  [JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'spo2', type: 'double' }] }), 'no field is deviceId'],
  [`"${'x'.repeat(SCHEMA_BYTES_MAX)}"`, 'the schema is larger than 131072 bytes']
])('%#: a schema that cannot be read as readings is refused in words', (text, problem) => {
  expect(problemsOf(text)).toEqual(expect.arrayContaining([expect.stringContaining(problem)]))
})

test('every field that says nothing is named at once', () => {
  expect(problemsOf(fields({ name: 'a', type: 'int' }, { name: 'b', type: 'int' }, { name: 'spo2', type: 'double' }))).toHaveLength(2)
})

test('a schema that would grow without end when it is read is refused', () => {
  let type: unknown = { type: 'record', name: 'N0', fields: [] }
  for (let depth = 1; depth < 14; depth++) type = { type: 'record', name: `N${depth}`, fields: [{ name: 'a', type }, { name: 'b', type: `N${depth - 1}` }] }
  expect(problemsOf(fields({ name: 'spo2', type: 'double' }, { name: 'x', type, 'oxbow.ignore': true }))).toEqual([expect.stringMatching(/field x has more than 1000 fields/)])
  let deep: unknown = 'int'
  for (let depth = 0; depth < 40; depth++) deep = { type: 'array', items: deep }
  expect(problemsOf(fields({ name: 'spo2', type: 'double' }, { name: 'x', type: deep, 'oxbow.ignore': true }))).not.toEqual([])
})

test('bytes that are no record of the schema never break the reader', () => {
  const schemas = registered({ 101: { type: 'AVRO', text: JSON.stringify(PATCH) } })
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
    const decoded = decodeAvroRecords(Buffer.from(bytes), schemas.kept(101) as never, LIMITS)
    if (decoded.unreadable !== undefined) throw new Error(decoded.detail)
    const spans = [...decoded.records, ...decoded.rejected].sort((a, b) => a.index - b.index)
    expect(spans.reduce((at, { start, end }) => { expect(start).toBe(at); return end }, 0)).toBe(bytes.length)
  }))
})
