import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Grant, parseScope, parseScopes, printScope } from '../../../src/auth/scope.ts'

const lettersOf = (text: string) => (parseScope(text) as Grant | undefined)?.letters

const context = fc.constantFrom('patient', 'user', 'system')
const type = fc.constantFrom('Patient', 'Observation', 'Device', 'DeviceUseStatement', 'Condition', '*')
const v2 = fc.subarray(['c', 'r', 'u', 'd', 's'], { minLength: 1 }).map(letters => letters.join(''))
const permission = fc.oneof(v2, fc.constantFrom('read', 'write', '*'))
const value = fc.stringMatching(/^[A-Za-z0-9:/.|-]{1,20}$/).filter(text => !/^\|?$|\|.*\|/.test(text))
const observationQuery = fc.subarray(['category', 'code', 'device', 'status'], { minLength: 1 })
  .chain(names => fc.tuple(...names.map(name => value.map(text => `${name}=${text}`)))).map(pairs => pairs.join('&'))
const grantText = fc.oneof(
  fc.tuple(context, type, permission).map(([ctx, name, letters]) => `${ctx}/${name}.${letters}`),
  fc.tuple(context, permission, observationQuery).map(([ctx, letters, query]) => `${ctx}/Observation.${letters}?${query}`)
)

test('every text of the grammar is printed as it was read', () => {
  fc.assert(fc.property(grantText, text => {
    const scope = parseScope(text)
    expect(scope).toBeDefined()
    expect(printScope(scope!)).toBe(text)
    expect(parseScope(printScope(scope!))).toEqual(scope)
  }))
})

test('no text outside the grammar yields a grant', () => {
  const GRAMMAR = /^(patient|user|system)\/([A-Z][A-Za-z]+|\*)\.(read|write|\*|(?=[cruds])c?r?u?d?s?)(?:\?(.+))?$/
  const near = fc.tuple(fc.constantFrom('patient', 'user', 'system', 'Patient', ''), fc.constantFrom('/', '.', ''), type, fc.constantFrom('.', '/', ''), fc.string({ maxLength: 6 })).map(parts => parts.join(''))
  fc.assert(fc.property(fc.oneof(fc.string(), near), text => {
    const scope = parseScope(text)
    if (scope?.kind === 'grant') expect(text).toMatch(GRAMMAR)
  }))
})

test.each(['c', 'r', 'u', 'd', 's', 'rs', 'cud', 'cruds', 'cs'])('letters %s mean themselves', letters => {
  expect(lettersOf(`system/Observation.${letters}`)).toBe(letters)
})

test.each([['read', 'rs'], ['write', 'cud'], ['*', 'cruds']])('%s of v1 means %s and keeps its spelling', (v1, letters) => {
  expect(lettersOf(`patient/Observation.${v1}`)).toBe(letters)
  expect(printScope(parseScope(`patient/Observation.${v1}`)!)).toBe(`patient/Observation.${v1}`)
})

test.each([
  'patient/Observation.dus', 'patient/Observation.rw', 'patient/Observation.sr', 'patient/Observation.rr', 'patient/Observation.', '.', 'Observation.rs', 'patient/observation.rs',
  'patient/*', 'patient/Observation', 'patient/Unknown.rs', 'patient/Resource.rs', 'patient/DomainResource.rs', 'patient/SubscriptionStatus.r', 'Patient/Observation.rs',
  'patient/Observation.READ', 'patient/Observation.rs?', 'pätient/Observation.rs', 'patient/Observation.rs\n', '\u0000', '__telemetry.admin', '__telemetry', 'launch/', 'launch/Patient'
])('%j is no scope', text => {
  expect(parseScope(text)).toBeUndefined()
})

test.each([
  'patient/Observation.rs?subject=x', 'patient/Observation.rs?_id=x', 'patient/Observation.rs?_filter=x', 'patient/Observation.rs?code:in=x', 'patient/Observation.rs?device.type=x',
  'patient/Observation.rs?category=a&category=b', 'patient/Observation.rs?category=', 'patient/Observation.rs?category', 'patient/Observation.rs?category=a&', 'patient/Observation.rs?=a',
  'patient/Observation.rs?category=%', 'patient/Observation.rs?category=a||b', 'patient/Observation.rs?category=|', 'patient/Observation.rs?category=a,', 'patient/Observation.rs?CATEGORY=a',
  'patient/*.rs?category=a', 'patient/Patient.rs?gender=male', 'patient/Device.rs?status=active', 'patient/Condition.rs?code=x'
])('%s is refused, not widened', text => {
  expect(parseScope(text)).toBeUndefined()
})

test('granular parameters are read as FHIR tokens', () => {
  const grant = parseScope('patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory,|own,vital-signs,urn:x|&status=final') as Grant
  expect(grant.filters).toEqual([
    { parameter: 'category', anyOf: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'laboratory' }, { system: '', code: 'own' }, { code: 'vital-signs' }, { system: 'urn:x' }] },
    { parameter: 'status', anyOf: [{ code: 'final' }] }
  ])
})

test('escaped separators belong to the value', () => {
  const grant = parseScope('user/Observation.rs?code=a\\,b%7Cc\\|d') as Grant
  expect(grant.filters).toEqual([{ parameter: 'code', anyOf: [{ system: 'a,b', code: 'c|d' }] }])
})

test('a reference stays whole', () => {
  expect((parseScope('user/Observation.rs?device=Device/a,DeviceMetric/b') as Grant).filters).toEqual([{ parameter: 'device', anyOf: [{ code: 'Device/a' }, { code: 'DeviceMetric/b' }] }])
})

test('launch, identity and refresh scopes open nothing', () => {
  for (const name of ['openid', 'fhirUser', 'profile', 'offline_access', 'online_access', 'launch', 'launch/patient', 'launch/encounter', 'launch/imagingstudy?role=https://a.example/b']) {
    expect(parseScope(name)).toEqual({ kind: 'context', name })
  }
})

test('the scope URI means its last part', () => {
  expect(parseScope('http://smarthealthit.org/fhir/scopes/patient/Observation.read')).toEqual(parseScope('patient/Observation.read'))
})

test('a list keeps its order and names what it drops', () => {
  const { scopes, dropped } = parseScopes(' __telemetry.write  patient/Observation.sr system/*.rs openid x ')
  expect(scopes.map(printScope)).toEqual(['__telemetry.write', 'system/*.rs', 'openid'])
  expect(dropped).toEqual(['patient/Observation.sr', 'x'])
})

test('twenty thousand characters of scopes are read in their length', () => {
  const { scopes, dropped } = parseScopes('patient/Observation.rs?category=a,'.repeat(600) + ' system/*.rs')
  expect(scopes.map(printScope)).toEqual(['system/*.rs'])
  expect(dropped.length).toBe(1)
})
