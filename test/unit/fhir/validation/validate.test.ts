import { expect, test } from 'vitest'
import type { Finding } from '../../../../src/fhir/validation/finding.ts'
import { profilesOf, validateForWrite } from '../../../../src/fhir/validation/validate.ts'
import { CANONICAL } from '../../../../src/model/identifier.ts'
import { example, EXAMPLES_MISSING } from '../../../support/example-views.ts'
import { ASSOCIATION, changed, FURTHER, LISTED, OF_PROFILES, PATIENT, RIGHT } from '../../../support/fhir-mistakes.ts'
import { GOLDEN, golden, type Json, METRICS, readmeBundle } from '../../../support/valid-resources.ts'

const LIMITS = { findingsMax: 50 }
const PROFILE = `${CANONICAL}/StructureDefinition/`

function errorsOf (resource: unknown): readonly Finding[] { return validateForWrite(resource, LIMITS).filter(finding => finding.severity === 'error') }

for (const name of GOLDEN) test(`every view of ${name} is valid`, () => { expect(golden(name).flatMap(view => validateForWrite(view, LIMITS))).toEqual([]) })

test('what the README sends and what a registered model brings is valid', () => {
  expect(validateForWrite(readmeBundle(), LIMITS)).toEqual([])
  expect(METRICS.flatMap(metric => validateForWrite(metric, LIMITS))).toEqual([])
})

const EXAMPLES = [
  '01-device-reader', '02-devicemetric-tissue-po2', '03-device-association', '04-observation-sampled-window', '05-observation-panel', '06-observation-spo2',
  '07-observation-battery', '08-derived-rolling-mean', '09-derived-rate', '10-derived-deficit', '11-provenance', '12-device-pipeline', '19-bundle-transaction', '24-devicemetric-spo2'
]

test.skipIf(EXAMPLES_MISSING !== undefined && process.env['OXBOW_REQUIRE'] !== 'all')(`the design's examples are valid${EXAMPLES_MISSING === undefined ? '' : ` (${EXAMPLES_MISSING})`}`, () => {
  for (const name of EXAMPLES) expect([name, errorsOf(example(name))]).toEqual([name, []])
})

for (const [what, resource, expression, code] of [...LISTED, ...FURTHER]) {
  test(`found: ${what}`, () => {
    expect(errorsOf(resource)).toContainEqual(expect.objectContaining({ expression, code }))
  })
}

for (const [what, resource, expression, code, profile] of OF_PROFILES) {
  test(`found by its profile: ${what}`, () => {
    const found = errorsOf(resource)
    expect(found).toContainEqual(expect.objectContaining({ expression, code, profile: expect.stringMatching(new RegExp(`/${profile}$`)) as string }))
    expect(found.every(finding => finding.profile !== undefined)).toBe(true)
  })
}

for (const [what, resource] of RIGHT) test(`right: ${what}`, () => { expect(validateForWrite(JSON.parse(JSON.stringify(resource)), LIMITS)).toEqual([]) })

test('an unknown profile is said and refuses nothing', () => {
  expect(validateForWrite(changed(PATIENT, 'meta', { profile: ['http://a.example/StructureDefinition/x'] }), LIMITS)).toEqual([
    { severity: 'information', code: 'informational', message: expect.any(String) as string, expression: 'Patient.meta.profile[0]' }
  ])
})

test('what is no resource, or none that can be checked, is refused', () => {
  for (const value of [null, undefined, 7, 'Patient', [], [PATIENT], {}, { resourceType: 7 }, { resourceType: 'Basic' }, { resourceType: 'HumanName' }, { resourceType: '__proto__' }, { resourceType: 'constructor' }]) {
    expect(errorsOf(value)).toHaveLength(1)
  }
})

test('findings are counted up to the limit, and a deep nest ends', () => {
  const names = Array.from({ length: 100 }, () => ({ family: 7 }))
  expect(validateForWrite({ ...PATIENT, name: names }, { findingsMax: 5 })).toHaveLength(5)
  let extension: Json = { url: 'x', valueString: 'y' }
  for (let depth = 0; depth < 5_000; depth++) extension = { url: 'x', extension: [extension] }
  expect(errorsOf({ ...PATIENT, extension: [extension] })).toContainEqual(expect.objectContaining({ code: 'too-long' }))
})

test('no finding repeats what was sent', () => {
  const secret = 'Mustermann-4711'
  const resources = [{ ...PATIENT, [secret]: secret }, changed(PATIENT, 'gender', secret), changed(PATIENT, 'birthDate', secret), changed(ASSOCIATION, 'subject.reference', secret), { resourceType: secret },
    changed(PATIENT, 'meta', { profile: [`http://a.example/${secret}`] }), { ...PATIENT, name: [{ given: secret }] }]
  for (const resource of resources) {
    const found = validateForWrite(resource, LIMITS)
    expect(found.length).toBeGreaterThan(0)
    expect(JSON.stringify(found)).not.toContain(secret)
  }
})

test('the profiles of a type are named by their URL', () => {
  expect(profilesOf('DeviceMetric')).toEqual([`${PROFILE}tissue-oxygen-metric-channel`])
  expect(profilesOf('Observation')).toContain('http://hl7.org/fhir/StructureDefinition/oxygensat')
  expect(profilesOf('Patient')).toEqual([])
})
