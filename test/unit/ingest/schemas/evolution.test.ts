import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { loadDeviceModels } from '../../../../src/config/device-models.ts'
import { MODELS_FOLDER } from '../../../../src/config/product.ts'
import { compatibilityProblems } from '../../../../src/ingest/schemas/compatibility.ts'
import { SCHEMA_TYPES } from '../../../../src/ingest/schemas/compile-schema.ts'
import { mappingProblems } from '../../../../src/ingest/schemas/mapping-check.ts'
import { BASE, CHANGES, compiledOf, matrixOf } from '../../../support/evolution.ts'

const PAGE = readFileSync('docs/schemas.md', 'utf8')
const models = await loadDeviceModels(MODELS_FOLDER)

test.each(SCHEMA_TYPES)('the evolution matrix of %s in docs/schemas.md is what registering answers', type => {
  expect(PAGE).toContain(`\n${matrixOf(type, models)}\n`)
})

test.each(SCHEMA_TYPES)('a schema of %s may follow itself in every mode', type => {
  const base = compiledOf({ type, text: BASE[type]! })
  expect([compatibilityProblems(base, [{ version: 1, compiled: base }], 'FULL_TRANSITIVE'), mappingProblems(base, base, models)]).toEqual([[], []])
})

test('the transitive modes compare with every version, the others with the last', () => {
  const of = (name: string) => compiledOf({ type: 'AVRO', text: CHANGES.find(change => change.name === name)!.schemas.AVRO! })
  const base = compiledOf({ type: 'AVRO', text: BASE.AVRO! })
  const withChannel = of('add an optional channel')
  const withoutDefault = of('add a required channel')
  const earlier = [{ version: 1, compiled: base }, { version: 2, compiled: withChannel }]
  // An optional field is read as one that must be there by nobody.
  expect(compatibilityProblems(withoutDefault, earlier, 'BACKWARD')).toHaveLength(1)
  expect(compatibilityProblems(withoutDefault, [{ version: 1, compiled: base }, { version: 2, compiled: withoutDefault }], 'BACKWARD')).toEqual([])
  expect(compatibilityProblems(withoutDefault, [{ version: 1, compiled: base }, { version: 2, compiled: withoutDefault }], 'BACKWARD_TRANSITIVE')).toEqual([
    expect.stringMatching(/^it cannot read data of version 1: /)
  ])
})
