import { expect, test } from 'vitest'
import { loadDeviceModels } from '../../../../src/config/device-models.ts'
import { MODELS_FOLDER } from '../../../../src/config/product.ts'
import { TISSUE_OXYGEN_V1, TISSUE_OXYGEN_V2 } from '../../../../src/ingest/decode/fixed-schemas.ts'
import { mappingProblems } from '../../../../src/ingest/schemas/mapping-check.ts'
import { compiledOf } from '../../../support/evolution.ts'
import { MODELS } from '../../../support/ingest-door.ts'

const shipped = await loadDeviceModels(MODELS_FOLDER)

interface Field { name: string, type: unknown, [property: string]: unknown }
const channel = (name: string, metric: string, kind: string, unit: string): Field => ({ name, type: 'double', 'oxbow.metric': metric, 'oxbow.kind': kind, 'oxbow.unit': unit })
const PO2 = channel('po2', 'tissue-po2', 'tissue-po2', 'mm[Hg]')
const O2HB = channel('o2hb', 'o2hb-relative', 'o2hb-relative', '1')
const schema = (...fields: Field[]) => compiledOf({ type: 'AVRO', text: JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'deviceId', type: 'string' }, { name: 'timestamp_utc', type: 'long' }, ...fields] }) })
const problems = (before: readonly Field[], after: readonly Field[]) => mappingProblems(schema(...after), schema(...before), shipped)

test('a schema that delivers the same may follow, whatever else changes', () => {
  expect(problems([PO2, O2HB], [O2HB, { ...PO2, name: 'other', type: ['null', 'float'] }, channel('sto2', 'tissue-sto2', 'tissue-sto2', '%')])).toEqual([])
})

test('seeded break 1: a channel is gone', () => {
  expect(problems([PO2, O2HB], [PO2])).toEqual(['channel o2hb-relative (o2hb-relative, 1) would no longer be delivered; Train.Red/FYER has it mapped'])
})

test('seeded break 2: the unit is another', () => {
  expect(problems([PO2, O2HB], [PO2, { ...O2HB, 'oxbow.unit': 'umol/L' }])).toEqual([
    'channel o2hb-relative (o2hb-relative, umol/L): the device models have it as o2hb-relative, 1',
    'channel o2hb-relative (o2hb-relative, 1) would no longer be delivered; Train.Red/FYER has it mapped'
  ])
})

test('seeded break 3: the field delivers another metric', () => {
  expect(problems([PO2], [{ ...PO2, 'oxbow.metric': 'tissue-po2-deep' }])).toEqual([
    'channel tissue-po2 (tissue-po2, mm[Hg]) would no longer be delivered; Example Sensors Inc./TO2-READER-2, Oxbow/SIMULATOR-1 has it mapped'
  ])
})

test('what identifies a reading, proves where it came from or tells its quality must stay', () => {
  const roles = ['patient_id', 'sequence', 'battery_mv', 'firmware_version', 'signal_quality'].map((name): Field => ({ name, type: /patient|firmware/.test(name) ? 'string' : 'int' }))
  expect(problems([PO2, ...roles], [PO2])).toEqual(['patientId', 'sequence', 'battery_mv', 'firmware_version', 'signal_quality'].map(name => `${name} would no longer be delivered`))
})

test('the two values whose channel the model states count as that channel', () => {
  const v1 = [{ name: 'spo2', type: 'double' }, { name: 'local_tissue_o2', type: 'double' }]
  expect(mappingProblems(schema(...v1, PO2), schema(...v1), MODELS)).toEqual([])
  expect(mappingProblems(schema(channel('s', 'spo2', 'spo2', '%'), PO2), schema(...v1), MODELS)).toEqual([])
  expect(mappingProblems(schema(PO2), schema(...v1), MODELS)).toEqual(['channel spo2 (spo2, %) would no longer be delivered; Example Sensors Inc./TO2-READER-2 has it mapped'])
  // Of a model whose local_tissue_o2 is an index, a pO2 is no replacement.
  expect(mappingProblems(schema(channel('s', 'spo2', 'spo2', '%'), PO2), schema(...v1), shipped).join()).toContain('tissue-o2-relative-index')
})

test('a list of channels may hold any, and is replaced by nothing', () => {
  const [v1, v2] = [TISSUE_OXYGEN_V1, TISSUE_OXYGEN_V2].map(text => compiledOf({ type: 'AVRO', text: JSON.stringify(text) }))
  expect(mappingProblems(v2!, v1, shipped)).toEqual([])
  expect(mappingProblems(v1!, v2, shipped)).toEqual(['sequence would no longer be delivered', 'channels, the list that may hold any channel, would no longer be delivered'])
})

test('a first version is held only against what the models say of its metrics', () => {
  expect(mappingProblems(schema(PO2), undefined, shipped)).toEqual([])
  expect(mappingProblems(schema(channel('x', 'my-own', 'tissue-sto2', '%')), undefined, shipped)).toEqual([])
  expect(mappingProblems(schema(channel('x', 'tissue-sto2', 'tissue-po2', 'mm[Hg]')), undefined, shipped)).toEqual([
    'channel tissue-sto2 (tissue-po2, mm[Hg]): the device models have it as tissue-sto2, %'
  ])
})
