import avro from 'avsc'
import { expect, test } from 'vitest'
import { canonicalForm } from '../../../../src/ingest/decode/canonical-form.ts'
import { SCHEMAS, schemaIdByForm, schemaIdOf, schemaName } from '../../../../src/ingest/decode/fixed-schemas.ts'

test('ids 1 and 2 are the two versions of TissueOxygen', () => {
  expect(SCHEMAS.map(({ id, subject, version }) => [id, subject, version])).toEqual([[1, 'TissueOxygen', 1], [2, 'TissueOxygen', 2]])
  expect([schemaIdOf(1), schemaIdOf(2), schemaIdOf(0), schemaIdOf(3)]).toEqual([1, 2, undefined, undefined])
})

test('a schema is known by its canonical form: documentation, defaults, aliases and order of attributes do not matter', () => {
  for (const { id, schema } of SCHEMAS) {
    const { fields, ...rest } = schema as { fields: object[] }
    const dressed = { doc: 'x', fields: fields.map(field => ({ doc: 'y', aliases: ['z'], ...field })), ...rest, aliases: ['Q'] }
    expect(schemaIdByForm(dressed)).toBe(id)
    expect(schemaIdByForm({ ...rest, fields: fields.toReversed() })).toBeUndefined()
  }
})

test('another name, or no schema at all, is not known', () => {
  expect(schemaIdByForm({ ...SCHEMAS[0]!.schema, name: 'Other' })).toBeUndefined()
  for (const none of [undefined, null, 5, 'string', {}, { type: 'record' }, { type: 'record', name: 'X', fields: {} }, []]) expect(schemaIdByForm(none)).toBeUndefined()
  let deep: unknown = 'int'
  for (let i = 0; i < 100; i++) deep = { type: 'array', items: deep }
  expect(schemaIdByForm(deep)).toBeUndefined()
})

test('the canonical form follows the rules of the Avro specification', () => {
  expect(canonicalForm({ type: 'string' })).toBe('"string"')
  expect(canonicalForm({ type: 'record', name: 'R', namespace: 'a.b', fields: [{ name: 'x', type: { type: 'int' }, default: 1 }, { name: 'n', type: ['null', 'R'] }] }))
    .toBe('{"name":"a.b.R","type":"record","fields":[{"name":"x","type":"int"},{"name":"n","type":["null","a.b.R"]}]}')
  expect(canonicalForm({ type: 'enum', name: 'E', symbols: ['A', 'B'], doc: 'x' })).toBe('{"name":"E","type":"enum","symbols":["A","B"]}')
  expect(canonicalForm({ type: 'fixed', name: 'F', size: 16 })).toBe('{"name":"F","type":"fixed","size":16}')
  expect(canonicalForm({ type: 'map', values: 'long' })).toBe('{"type":"map","values":"long"}')
  for (const { schema } of SCHEMAS) {
    expect(JSON.parse(canonicalForm(schema))).toEqual(JSON.parse(JSON.stringify(avro.Type.forSchema(schema as avro.Schema, { wrapUnions: false }).schema())))
  }
})

test('a schema has a name for provenance', () => {
  expect([schemaName(1), schemaName(2), schemaName(9)]).toEqual(['TissueOxygen.v1', 'TissueOxygen.v2', 'schema-9'])
})
