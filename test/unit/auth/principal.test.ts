import fc from 'fast-check'
import { expect, test } from 'vitest'
import { mayInteract, mayUse, type Principal } from '../../../src/auth/principal.ts'
import { type Letter, parseScopes } from '../../../src/auth/scope.ts'
import type { Visibility } from '../../../src/fhir/words/search-words.ts'

const LETTERS: readonly Letter[] = ['c', 'r', 'u', 'd', 's']

function principal (list: string, context: { patient?: string, fhirUser?: string } = {}): Principal {
  const { scopes } = parseScopes(list)
  return {
    subject: 'issuer|subject',
    clientId: 'client',
    grants: scopes.filter(scope => scope.kind === 'grant'),
    extensions: scopes.filter(scope => scope.kind === 'extension').map(({ name }) => name),
    ...context
  }
}

test('each letter alone allows its own interaction and no other', () => {
  for (const granted of LETTERS) {
    for (const asked of LETTERS) expect(mayInteract(principal(`system/Observation.${granted}`), 'Observation', asked).length).toBe(granted === asked ? 1 : 0)
  }
})

test('a grant reaches its own type only, a wildcard every type', () => {
  expect(mayInteract(principal('system/Observation.rs'), 'Patient', 'r')).toEqual([])
  expect(mayInteract(principal('system/*.rs'), 'Patient', 'r')).toEqual([{ context: 'system', filters: [] }])
})

test('two grants on one type are both given, each with its own filter', () => {
  const caller = principal('patient/Observation.rs?category=laboratory system/Observation.r?status=final', { patient: 'p1' })
  const reaches: Visibility = mayInteract(caller, 'Observation', 'r')
  expect(reaches).toEqual([
    { context: 'patient', patientId: 'p1', filters: [{ parameter: 'category', anyOf: [{ code: 'laboratory' }] }] },
    { context: 'system', filters: [{ parameter: 'status', anyOf: [{ code: 'final' }] }] }
  ])
})

test('adding a grant never removes a way', () => {
  const scope = fc.tuple(fc.constantFrom('patient', 'user', 'system'), fc.constantFrom('Patient', 'Observation', '*'), fc.constantFrom('r', 's', 'rs', 'cruds', 'read'))
    .map(([context, type, letters]) => `${context}/${type}.${letters}`)
  fc.assert(fc.property(fc.array(scope), scope, (scopes, added) => {
    const context = { patient: 'p1', fhirUser: 'Practitioner/d1' }
    const before = mayInteract(principal(scopes.join(' '), context), 'Observation', 'r')
    const after = mayInteract(principal([...scopes, added].join(' '), context), 'Observation', 'r')
    expect(after.slice(0, before.length)).toEqual(before)
  }))
})

test('patient/ without a patient opens nothing', () => {
  expect(mayInteract(principal('patient/*.cruds'), 'Observation', 'r')).toEqual([])
})

test('user/ without fhirUser opens nothing', () => {
  expect(mayInteract(principal('user/*.cruds', { patient: 'p1' }), 'Observation', 'r')).toEqual([])
})

test('user/ of a practitioner reaches everybody, of a patient the own compartment, of others nothing', () => {
  const reach = (fhirUser: string) => mayInteract(principal('user/Observation.rs', { fhirUser }), 'Observation', 's')
  expect(reach('Practitioner/d1')).toEqual([{ context: 'user', filters: [] }])
  expect(reach('PractitionerRole/d1')).toEqual([{ context: 'user', filters: [] }])
  expect(reach('Patient/p1')).toEqual([{ context: 'user', patientId: 'p1', filters: [] }])
  for (const other of ['RelatedPerson/r1', 'Person/x', 'Patient', '', 'Practitioners/d1']) expect(reach(other)).toEqual([])
})

test('devices are read and searched in a patient compartment, never written', () => {
  const caller = principal('patient/*.cruds', { patient: 'p1' })
  for (const type of ['Device', 'DeviceMetric', 'Practitioner', 'Organization', 'Location', 'Consent']) {
    expect(LETTERS.filter(letter => mayInteract(caller, type, letter).length > 0)).toEqual(['r', 's'])
  }
})

test('a patient compartment never holds Subscriptions, nor types without a rule', () => {
  const caller = principal('patient/*.cruds patient/Subscription.cruds patient/Condition.rs', { patient: 'p1' })
  for (const letter of LETTERS) {
    for (const type of ['Subscription', 'Condition', 'Encounter', 'Group', 'constructor']) expect(mayInteract(caller, type, letter)).toEqual([])
  }
})

test('AuditEvent is read only where the scope names it', () => {
  expect(mayInteract(principal('patient/*.rs', { patient: 'p1' }), 'AuditEvent', 'r')).toEqual([])
  expect(mayInteract(principal('patient/AuditEvent.cruds', { patient: 'p1' }), 'AuditEvent', 'r')).toHaveLength(1)
  expect(mayInteract(principal('patient/AuditEvent.cruds', { patient: 'p1' }), 'AuditEvent', 'u')).toEqual([])
})

test('telemetry scopes open no FHIR type, and FHIR scopes no telemetry', () => {
  const sensor = principal('__telemetry.write')
  expect(mayUse(sensor, '__telemetry.write')).toBe(true)
  expect(mayUse(sensor, '__telemetry.read')).toBe(false)
  expect(mayInteract(sensor, 'Observation', 'r')).toEqual([])
  expect(mayUse(principal('system/*.cruds'), '__telemetry.write')).toBe(false)
})
