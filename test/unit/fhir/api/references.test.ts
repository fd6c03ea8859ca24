import type { DeviceUseStatement, Patient } from '@medplum/fhirtypes'
import { expect, test } from 'vitest'
import type { Caller } from '../../../../src/fhir/api/interaction.ts'
import { VISIBLE_ALL, type Visibility } from '../../../../src/fhir/words/search-words.ts'
import { assertReferences, mapReferences, referencesOf, storedTarget } from '../../../../src/fhir/api/references.ts'
import type { ResourceReader } from '../../../../src/fhir/resources/resource-store.ts'
import { epochMs } from '../../../../src/model/units.ts'

const BASE = 'https://h/fhir'
const statement: DeviceUseStatement = {
  resourceType: 'DeviceUseStatement', status: 'active', subject: { reference: 'Patient/p' }, device: { reference: `${BASE}/Device/d/_history/2` },
  extension: [{ url: 'https://e/x', valueReference: { reference: 'Patient/q' } }], note: [{ text: 'reference: Patient/z' }]
}

function caller (visibleTo: Visibility): Caller { return { name: 'x', now: epochMs(0), access: () => visibleTo } }

function holding (...names: string[]): ResourceReader {
  const asked = (name: string) => Promise.resolve(names.includes(name) ? ({} as never) : undefined)
  return { read: (type, id) => asked(`${type}/${id}`), vread: (type, id, version) => asked(`${type}/${id}/${version}`), history: async () => [], search: async () => ({ versions: [], asOf: epochMs(0) }) }
}

test('references are found and replaced wherever they stand, and nothing else is', () => {
  expect(referencesOf(statement).sort()).toEqual(['Patient/p', 'Patient/q', `${BASE}/Device/d/_history/2`].sort())
  const mapped = mapReferences(statement, () => 'Patient/new')
  expect(mapped.extension?.[0]?.valueReference?.reference).toBe('Patient/new')
  expect(mapped.note?.[0]?.text).toBe('reference: Patient/z')
  expect(statement.subject.reference).toBe('Patient/p')
})

test('only references to stored types on this server are ours to check', () => {
  expect(storedTarget('Patient/p', BASE)).toEqual({ type: 'Patient', id: 'p' })
  expect(storedTarget(`${BASE}/Device/d/_history/2`, BASE)).toEqual({ type: 'Device', id: 'd', versionId: '2' })
  for (const other of ['#x', 'urn:uuid:x', 'https://elsewhere/fhir/Patient/p', 'Practitioner/x', 'Observation/x', 'Patient', 'Patient?identifier=x']) expect([other, storedTarget(other, BASE)]).toEqual([other, undefined])
})

test('what is there and visible may be named', async () => {
  await assertReferences(statement, new Set(), caller(VISIBLE_ALL), holding('Patient/p', 'Patient/q', 'Device/d/2'), BASE)
})

test('what the same transaction writes needs no check, nor does the resource itself', async () => {
  await assertReferences(statement, new Set(['Patient/p', 'Patient/q', 'Device/d']), caller(VISIBLE_ALL), holding(), BASE)
  const self: Patient = { resourceType: 'Patient', id: 'p', link: [{ other: { reference: 'Patient/p' }, type: 'seealso' }] }
  await assertReferences(self, new Set(), caller(VISIBLE_ALL), holding(), BASE)
})

test('who sees all is told that it is missing, who does not is refused either way', async () => {
  await expect(assertReferences(statement, new Set(), caller(VISIBLE_ALL), holding(), BASE)).rejects.toMatchObject({ code: 'FHIR_BUSINESS_RULE' })
  await expect(assertReferences(statement, new Set(), caller([{ patientId: 'p', filters: [] }]), holding(), BASE)).rejects.toMatchObject({ code: 'SCOPE_INSUFFICIENT' })
})
