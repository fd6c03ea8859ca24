/** Changes a device maker makes to a schema, in every format, and what becomes of each: for the matrix of docs/schemas.md. */

import { compatibilityProblems, type Mode } from '../../src/ingest/schemas/compatibility.ts'
import { compileSchema } from '../../src/ingest/schemas/compile-schema.ts'
import type { CompiledSchema, SchemaText, SchemaType } from '../../src/ingest/schemas/compiled-schema.ts'
import { mappingProblems } from '../../src/ingest/schemas/mapping-check.ts'
import type { DeviceModels } from '../../src/model/device-model.ts'

export interface Change { name: string, schemas: Readonly<Partial<Record<SchemaType, string>>> }

interface AvroField { name: string, type: unknown, [property: string]: unknown }

const channel = (metric: string, kind: string, unit: string) => ({ 'oxbow.metric': metric, 'oxbow.kind': kind, 'oxbow.unit': unit })

const AVRO_FIELDS: readonly AvroField[] = [
  { name: 'deviceId', type: 'string' },
  { name: 'timestamp_utc', type: 'long' },
  { name: 'sequence', type: 'int' },
  { name: 'po2', type: 'double', ...channel('tissue-po2', 'tissue-po2', 'mm[Hg]') },
  { name: 'o2hb', type: ['null', 'double'], default: null, ...channel('o2hb-relative', 'o2hb-relative', '1') },
  { name: 'battery_mv', type: 'int' }
]

function avro (fields: readonly AvroField[]): string { return JSON.stringify({ type: 'record', name: 'Patch', namespace: 'com.example', fields }) }

/** With the field changed; `undefined` leaves a property out. */
function avroWith (name: string, change: Readonly<Record<string, unknown>>): string {
  return avro(AVRO_FIELDS.map(field => field.name === name ? { ...field, ...change } : field))
}

interface ProtoLine { number: number, type: string, name: string, annotation?: string }

const PROTO_LINES: readonly ProtoLine[] = [
  { number: 1, type: 'string', name: 'device_id' },
  { number: 2, type: 'int64', name: 'timestamp_utc' },
  { number: 3, type: 'int32', name: 'sequence' },
  { number: 4, type: 'optional double', name: 'po2', annotation: 'metric=tissue-po2 kind=tissue-po2 unit=mm[Hg]' },
  { number: 5, type: 'optional double', name: 'o2hb', annotation: 'metric=o2hb-relative kind=o2hb-relative unit=1' },
  { number: 6, type: 'optional int32', name: 'battery_mv' }
]

function proto (lines: readonly ProtoLine[]): string {
  const fields = lines.map(({ number, type, name, annotation }) => `  ${type} ${name} = ${number}${annotation === undefined ? '' : ` [(oxbow) = "${annotation}"]`};`)
  return `syntax = "proto3";\npackage com.example;\nmessage Patch {\n${fields.join('\n')}\n}\n`
}

function protoWith (name: string, change: Partial<ProtoLine>): string { return proto(PROTO_LINES.map(line => line.name === name ? { ...line, ...change } : line)) }

const PROTO_STO2: ProtoLine = { number: 7, type: 'optional double', name: 'sto2', annotation: 'metric=tissue-sto2 kind=tissue-sto2 unit=%' }

interface Property { type: string | string[], [word: string]: unknown }

const x = (metric: string, kind: string, unit: string) => ({ 'x-oxbow-metric': metric, 'x-oxbow-kind': kind, 'x-oxbow-unit': unit })

const PROPERTIES: Readonly<Record<string, Property>> = {
  deviceId: { type: 'string' },
  timestamp_utc: { type: 'integer' },
  sequence: { type: 'integer' },
  po2: { type: 'number', ...x('tissue-po2', 'tissue-po2', 'mm[Hg]') },
  o2hb: { type: ['integer', 'null'], ...x('o2hb-relative', 'o2hb-relative', '1') },
  battery_mv: { type: 'integer' }
}
const REQUIRED = ['deviceId', 'timestamp_utc', 'sequence', 'po2', 'battery_mv']

/** Properties that are `undefined` are left out. */
function json (change: Readonly<Record<string, Property | undefined>>, required: readonly string[] = REQUIRED): string {
  return JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', type: 'object', additionalProperties: false, properties: { ...PROPERTIES, ...change }, required })
}
const jsonWith = (name: string, change: Readonly<Record<string, unknown>>) => json({ [name]: { ...PROPERTIES[name]!, ...change } })

const STO2 = channel('tissue-sto2', 'tissue-sto2', '%')

export const BASE: Readonly<Partial<Record<SchemaType, string>>> = { AVRO: avro(AVRO_FIELDS), PROTOBUF: proto(PROTO_LINES), JSON: json({}) }

export const CHANGES: readonly Change[] = [
  { name: 'add an optional channel', schemas: { AVRO: avro([...AVRO_FIELDS, { name: 'sto2', type: ['null', 'double'], default: null, ...STO2 }]), PROTOBUF: proto([...PROTO_LINES, PROTO_STO2]),
    JSON: json({ sto2: { type: 'number', ...x('tissue-sto2', 'tissue-sto2', '%') } }) } },
  { name: 'add a required channel', schemas: { AVRO: avro([...AVRO_FIELDS, { name: 'sto2', type: 'double', ...STO2 }]),
    JSON: json({ sto2: { type: 'number', ...x('tissue-sto2', 'tissue-sto2', '%') } }, [...REQUIRED, 'sto2']) } },
  { name: 'add a channel that no model has', schemas: { AVRO: avro([...AVRO_FIELDS, { name: 'deep', type: ['null', 'double'], default: null, ...channel('tissue-po2-deep', 'tissue-po2', 'mm[Hg]') }]), PROTOBUF: proto([...PROTO_LINES, { ...PROTO_STO2, annotation: 'metric=tissue-po2-deep kind=tissue-po2 unit=mm[Hg]' }]),
    JSON: json({ deep: { type: 'number', ...x('tissue-po2-deep', 'tissue-po2', 'mm[Hg]') } }) } },
  { name: 'add a field that says nothing', schemas: { AVRO: avro([...AVRO_FIELDS, { name: 'rssi', type: ['null', 'int'], default: null }]), PROTOBUF: proto([...PROTO_LINES, { number: 7, type: 'int32', name: 'rssi' }]),
    JSON: json({ rssi: { type: 'integer' } }) } },
  { name: 'add a field to be ignored', schemas: { AVRO: avro([...AVRO_FIELDS, { name: 'rssi', type: ['null', 'int'], default: null, 'oxbow.ignore': true }]), PROTOBUF: proto([...PROTO_LINES, { number: 7, type: 'int32', name: 'rssi', annotation: 'ignore' }]),
    JSON: json({ rssi: { type: 'integer', 'x-oxbow-ignore': true } }) } },
  { name: 'rename a field, with its old name as alias', schemas: { AVRO: avroWith('po2', { name: 'tissue_po2', aliases: ['po2'] }) } },
  { name: 'rename a field', schemas: { AVRO: avroWith('po2', { name: 'tissue_po2' }), PROTOBUF: protoWith('po2', { name: 'tissue_po2' }),
    JSON: json({ po2: undefined, tissue_po2: PROPERTIES['po2'] }, REQUIRED.map(name => name === 'po2' ? 'tissue_po2' : name)) } },
  { name: 'widen int to long', schemas: { AVRO: avroWith('sequence', { type: 'long' }), PROTOBUF: protoWith('sequence', { type: 'int64' }) } },
  { name: 'narrow double to float', schemas: { AVRO: avroWith('po2', { type: 'float' }), PROTOBUF: protoWith('po2', { type: 'optional float' }) } },
  { name: 'make a channel optional', schemas: { AVRO: avroWith('po2', { type: ['null', 'double'], default: null }),
    JSON: json({}, REQUIRED.filter(name => name !== 'po2')) } },
  { name: 'remove a default', schemas: { AVRO: avroWith('o2hb', { default: undefined }) } },
  { name: 'change a unit', schemas: { AVRO: avroWith('o2hb', { 'oxbow.unit': 'umol/L' }), PROTOBUF: protoWith('o2hb', { annotation: 'metric=o2hb-relative kind=o2hb-relative unit=umol/L' }),
    JSON: jsonWith('o2hb', x('o2hb-relative', 'o2hb-relative', 'umol/L')) } },
  { name: 'change a unit to one that the kind does not have', schemas: { AVRO: avroWith('po2', { 'oxbow.unit': 'kPa' }), PROTOBUF: protoWith('po2', { annotation: 'metric=tissue-po2 kind=tissue-po2 unit=kPa' }),
    JSON: jsonWith('po2', x('tissue-po2', 'tissue-po2', 'kPa')) } },
  { name: 'change a kind', schemas: { AVRO: avroWith('o2hb', { 'oxbow.kind': 'hhb-relative' }), PROTOBUF: protoWith('o2hb', { annotation: 'metric=o2hb-relative kind=hhb-relative unit=1' }),
    JSON: jsonWith('o2hb', x('o2hb-relative', 'hhb-relative', '1')) } },
  { name: 'change the name of a metric', schemas: { AVRO: avroWith('po2', { 'oxbow.metric': 'tissue-po2-surface' }), PROTOBUF: protoWith('po2', { annotation: 'metric=tissue-po2-surface kind=tissue-po2 unit=mm[Hg]' }),
    JSON: jsonWith('po2', x('tissue-po2-surface', 'tissue-po2', 'mm[Hg]')) } },
  { name: 'remove a channel', schemas: { AVRO: avro(AVRO_FIELDS.filter(({ name }) => name !== 'o2hb')), PROTOBUF: proto(PROTO_LINES.filter(({ name }) => name !== 'o2hb')),
    JSON: json({ o2hb: undefined }) } },
  { name: 'remove the sequence', schemas: { AVRO: avro(AVRO_FIELDS.filter(({ name }) => name !== 'sequence')), PROTOBUF: proto(PROTO_LINES.filter(({ name }) => name !== 'sequence')),
    JSON: json({ sequence: undefined }, REQUIRED.filter(name => name !== 'sequence')) } },
  { name: 'widen integer to number', schemas: { JSON: jsonWith('o2hb', { type: ['number', 'null'] }) } },
  { name: 'narrow the limits', schemas: { JSON: jsonWith('po2', { maximum: 160 }) } },
  { name: 'open it to other members', schemas: { JSON: json({}).replace('"additionalProperties":false', '"additionalProperties":true') } },
  { name: 'take away optional', schemas: { PROTOBUF: protoWith('po2', { type: 'double' }) } },
  { name: 'give a field another number', schemas: { PROTOBUF: protoWith('po2', { number: 9 }) } },
  { name: 'give the message another name', schemas: { PROTOBUF: proto(PROTO_LINES).replace('message Patch', 'message Strap') } },
  { name: 'make a number a text', schemas: { AVRO: avroWith('po2', { type: 'string' }), PROTOBUF: protoWith('po2', { type: 'optional string' }),
    JSON: jsonWith('po2', { type: 'string' }) } }
]

export function compiledOf (schema: SchemaText): CompiledSchema {
  const compilation = compileSchema(schema)
  if (compilation.problems !== undefined) throw new Error(compilation.problems.join('; '))
  return compilation.compiled
}

/** What registering it behind the base answers. */
export function outcomeOf (type: SchemaType, text: string, mode: Mode, models: DeviceModels): string {
  const base = compiledOf({ type, text: BASE[type]! })
  const compilation = compileSchema({ type, text })
  if (compilation.problems !== undefined) return 'refused: 42201'
  const { compiled } = compilation
  const reasons = [
    ...compatibilityProblems(compiled, [{ version: 1, compiled: base }], mode).length > 0 ? ['wire'] : [],
    ...mappingProblems(compiled, base, models).length > 0 ? ['mapping'] : []
  ]
  return reasons.length === 0 ? 'accepted' : `refused: 409 ${reasons.join(', ')}`
}

const SHOWN_MODES: readonly Mode[] = ['BACKWARD', 'FORWARD', 'FULL']

/** The table of a format as docs/schemas.md shows it. */
export function matrixOf (type: SchemaType, models: DeviceModels): string {
  const rows = CHANGES.flatMap(({ name, schemas }) => {
    const text = schemas[type]
    return text === undefined ? [] : [`| ${name} | ${SHOWN_MODES.map(mode => outcomeOf(type, text, mode, models)).join(' | ')} |`]
  })
  return [`| change | ${SHOWN_MODES.join(' | ')} |`, '|---|---|---|---|', ...rows].join('\n')
}
