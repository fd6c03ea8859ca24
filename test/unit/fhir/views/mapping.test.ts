import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createMappings, loadMappings, mappingProblems, mappingVersionOf } from '../../../../src/fhir/views/mapping.ts'
import type { MappingFile } from '../../../../src/fhir/views/mapping-schema.ts'
import { MAPPINGS, MODEL } from '../../../support/example-views.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'

const files = loadMappings(MAPPINGS).all().map(({ file }) => file)
const po2 = files.find(file => file.name === 'tissue-po2')!
const LOINC = { system: 'http://loinc.org', code: '2708-6' }

function withCode (file: MappingFile, coding: { system: string, code: string }): MappingFile {
  return { ...file, views: { ...file.views, sampled: { ...file.views.sampled!, code: { coding: [coding] } } } }
}

test('every row that the stream writes for a model has a mapping of its own name', () => {
  const mappings = loadMappings(MAPPINGS)
  const rows = ['tissue-po2', 'spo2-samples', 'spo2', 'signal-quality-index', 'panel', 'battery-voltage']
  expect(rows.map(metric => mappingVersionOf(mappings, metric, MODEL))).toEqual(rows.map(row => `${row}@1`))
})

test('two channels of one kind share its mapping', () => {
  const channels = [{ ...MODEL.channels[0]!, metric: 'smo2', kind: 'tissue-sto2' as const }, { ...MODEL.channels[1]!, metric: 'oxi' }]
  const of = (metric: string) => mappingVersionOf(loadMappings(MAPPINGS), metric, { ...MODEL, channels })
  expect([of('smo2'), of('oxi'), of('oxi-samples')]).toEqual(['tissue-sto2@1', 'spo2@1', 'spo2-samples@1'])
})

test('a row without a mapping is a broken mapping folder', () => {
  expect(() => createMappings([po2]).current('panel')).toThrow(expect.objectContaining({ code: 'MAPPING_INVALID' }))
})

test('codes outside the allow-list are refused, with the field', () => {
  expect(mappingProblems(withCode(po2, { system: 'http://loinc.org', code: '99999-9' }))).toEqual([expect.stringMatching(/^\/views\/sampled\/code\/coding\/0 .*99999-9/)])
  expect(mappingProblems(withCode(po2, { system: 'urn:iso:std:iso:11073:10101', code: '160116' }))).toHaveLength(1)
})

test('tissue oxygen never carries a code of arterial saturation or the vital-signs category', () => {
  expect(mappingProblems(withCode(po2, LOINC))).toEqual([expect.stringContaining('arterial saturation')])
  const vital = { ...po2.views.sampled!, category: { system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' } }
  expect(mappingProblems({ ...po2, views: { sampled: vital } })).toEqual([expect.stringContaining('vital sign')])
  expect(mappingProblems(files.find(file => file.name === 'spo2')!)).toEqual([])
})

test('mmHg and torr are texts, never units', () => {
  expect(mappingProblems({ ...po2, unit: 'mmHg' })).toEqual([expect.stringMatching(/^\/unit mmHg/)])
  expect(mappingProblems({ ...po2, unitText: { torr: 'torr' } })).toEqual([expect.stringContaining('/unitText/torr')])
})

test('all problems of all files are told at once, by file and field', () => {
  const folder = temporaryFolder('mappings')
  try {
    writeFileSync(join(folder, 'a.json'), '{')
    writeFileSync(join(folder, 'b.json'), JSON.stringify({ ...po2, version: 0, device: 'sensor' }))
    writeFileSync(join(folder, 'c.example.json'), 'not a mapping')
    expect(() => loadMappings(folder)).toThrow(/a\.json: is no JSON.*b\.json: \/version.*b\.json: \/device/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('two files for one row, or of one name and version, are refused', () => {
  expect(() => createMappings([po2, { ...po2, name: 'other' }])).toThrow(/two mappings cover row tissue-po2/)
  expect(() => createMappings([po2, { ...po2, row: 'other' }])).toThrow(/two mappings are named tissue-po2@1/)
})

test('an old version stays beside the one in use', () => {
  const mappings = createMappings([{ ...po2, version: 2 }])
  mappings.add([po2])
  expect(mappings.current('tissue-po2').version).toBe('tissue-po2@2')
  expect(mappings.pinned('tissue-po2@1').file).toEqual(po2)
  expect(() => mappings.pinned('tissue-po2@3')).toThrow(expect.objectContaining({ code: 'MAPPING_INVALID' }))
})

describe('each mapping file has its golden example beside it', () => {
  const names = readdirSync(MAPPINGS).filter(name => name.endsWith('.json'))
  for (const file of files) {
    test(file.name, () => { expect(names).toContain(`${file.name}.example.json`) })
  }
  test('none belongs to a mapping that is gone', () => {
    const known = new Set(files.flatMap(file => [`${file.name}.json`, `${file.name}.example.json`]))
    expect(names.filter(name => !known.has(name))).toEqual([])
    expect(JSON.parse(readFileSync(join(MAPPINGS, 'tissue-po2.example.json'), 'utf8'))).toBeTypeOf('object')
  })
})
