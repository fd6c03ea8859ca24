import type { BundleEntry } from '@medplum/fhirtypes'
import { expect, test } from 'vitest'
import { parseBundle, parseEntry } from '../../../../src/fhir/api/bundle-entry.ts'

const entry = (method: string, url: string, more: object = {}): BundleEntry => ({ request: { method: method as 'GET', url }, ...more })
const resource = { resourceType: 'Patient' as const }

function read (method: string, url: string, more: object = {}) { return parseEntry(entry(method, url, more), false).interaction }

test('each address is one interaction', () => {
  expect(read('GET', 'Patient/a')).toMatchObject({ code: 'read', type: 'Patient', id: 'a' })
  expect(read('GET', 'Patient/a/_history/3')).toMatchObject({ code: 'vread', id: 'a', versionId: '3' })
  expect(read('GET', 'Patient/a/_history')).toMatchObject({ code: 'history-instance', id: 'a' })
  expect(read('GET', 'Observation?patient=a')).toMatchObject({ code: 'search-type', type: 'Observation', query: 'patient=a' })
  expect(read('POST', 'Patient', { resource })).toMatchObject({ code: 'create', resource })
  expect(read('PUT', 'Patient/a', { resource })).toMatchObject({ code: 'update', id: 'a' })
})

test('conditions are taken where they have a meaning', () => {
  const conditional = parseEntry({ fullUrl: 'urn:uuid:x', resource, request: { method: 'POST', url: 'Patient', ifNoneExist: 'identifier=a|b', ifMatch: 'W/"1"' } }, false)
  expect(conditional).toMatchObject({ fullUrl: 'urn:uuid:x', interaction: { ifNoneExist: 'identifier=a|b' } })
  expect(parseEntry({ resource, request: { method: 'PUT', url: 'Patient/a', ifMatch: 'W/"1"', ifNoneExist: 'x' } }, false).interaction).not.toHaveProperty('ifNoneExist')
})

test('addresses that leave the base or name no interaction are refused', () => {
  for (const url of ['', '/', '/Patient', '//h/Patient', 'https://h/Patient/a', '..', '../Patient/a', 'Patient/..', 'Patient/.', 'Patient/%2e%2e', 'Patient/a/b', 'Patient/a/', 'patient/a', 'Patient/a/_history/', `Patient/${'a'.repeat(65)}`, 'Patient/a#b']) {
    expect(() => read('GET', url), url).toThrow(expect.objectContaining({ code: 'FHIR_INVALID' }))
  }
  expect(() => read('GET', 'Medication/a')).toThrow(expect.objectContaining({ code: 'FHIR_NOT_FOUND' }))
})

test('what a type does not have is refused with what to do', () => {
  expect(() => read('POST', 'Observation', { resource: { resourceType: 'Observation' } })).toThrow(/POST \/ingest\/telemetry/)
  expect(() => read('PUT', 'Observation/a', { resource: { resourceType: 'Observation' } })).toThrow(expect.objectContaining({ code: 'FHIR_UNSUPPORTED' }))
  for (const [method, url] of [['DELETE', 'Patient/a'], ['PATCH', 'Patient/a'], ['PUT', 'Patient?identifier=x'], ['DELETE', 'Patient?identifier=x']] as const) {
    expect(() => read(method, url, { resource }), `${method} ${url}`).toThrow(expect.objectContaining({ code: 'FHIR_UNSUPPORTED' }))
  }
  for (const [method, url] of [['POST', 'Patient/a'], ['PUT', 'Patient'], ['HEAD', 'Patient/a'], ['PUT', 'Patient/a/_history/1']] as const) {
    expect(() => read(method, url, { resource }), `${method} ${url}`).toThrow(expect.objectContaining({ code: 'FHIR_INVALID' }))
  }
})

test('an entry without request, or that writes nothing, is refused', () => {
  for (const wrong of [null, {}, { resource }, { request: {} }, { request: { method: 'GET' } }, entry('POST', 'Patient')]) {
    expect(() => parseEntry(wrong as BundleEntry, false)).toThrow(expect.objectContaining({ code: 'FHIR_INVALID' }))
  }
})

test('only transactions and batches within the limit are taken', () => {
  for (const body of [null, [], 'x', {}, { resourceType: 'Patient' }, { resourceType: 'Bundle' }, { resourceType: 'Bundle', type: 'collection' }, { resourceType: 'Bundle', type: 'batch', entry: {} }]) {
    expect(() => parseBundle(body, 2)).toThrow(expect.objectContaining({ code: 'FHIR_INVALID' }))
  }
  expect(() => parseBundle({ resourceType: 'Bundle', type: 'batch', entry: [{}, {}, {}] }, 2)).toThrow(expect.objectContaining({ code: 'INPUT_TOO_LARGE' }))
})
