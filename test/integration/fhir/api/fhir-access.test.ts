/** The attack cases 59-75 of smart.md §10 that concern what this server has, by their numbers. */

import type { Bundle } from '@medplum/fhirtypes'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EpochMs, epochMs } from '../../../../src/model/units.ts'
import { bundleOf, type Caller, type FhirApi, fhirApi, refusal } from '../../../support/fhir-api.ts'
import { association, create, patient, reader } from '../../../support/linkage-fixtures.ts'
import { testWard, T0, type Ward, windowOf } from '../../../support/views.ts'

let now: EpochMs = epochMs(T0 + 3_600_000)
let ward: Ward
let api: FhirApi
let annasWindow = ''
let bertsWindow = ''

const ANNA: Caller = { scope: 'patient/*.cruds', patient: 'pat-anna' }

beforeAll(async () => {
  ward = await testWard()
  api = await fhirApi(ward, { now: () => now })
  const anna = await ward.admit('anna')
  const bert = await ward.admit('bert')
  // Carl wore his device until an hour before now.
  const carl = await ward.admit('carl', { end: new Date(T0).toISOString() })
  await ward.commit([0, 1, 2].flatMap(minute => [windowOf(ward.mappings, anna, minute), windowOf(ward.mappings, bert, minute), windowOf(ward.mappings, bert, minute, { metric: 'spo2' })]))
  await ward.commit([windowOf(ward.mappings, carl, -3)])
  annasWindow = bundleOf(await api.ask({ url: '/Observation?patient=pat-anna&code=tissue-po2' })).entry![0]!.resource!.id!
  bertsWindow = bundleOf(await api.ask({ url: '/Observation?patient=pat-bert&code=tissue-po2' })).entry![0]!.resource!.id!
})
afterAll(async () => {
  await api?.close()
  await ward?.drop()
})

function idsOf (bundle: Bundle): (string | undefined)[] { return (bundle.entry ?? []).map(entry => entry.resource?.id).sort() }
function subjectsOf (bundle: Bundle): Set<unknown> { return new Set((bundle.entry ?? []).map(entry => (entry.resource as { subject?: { reference?: string } } | undefined)?.subject?.reference)) }

test('59, 60, 61: each letter opens its own interaction only', async () => {
  const only = (letters: string): Caller => ({ scope: `system/Patient.${letters}` })
  expect(refusal(await api.ask({ url: '/Patient/pat-anna' }, only('s')))).toBe('403 forbidden')
  expect(refusal(await api.ask({ url: '/Patient?_id=pat-anna' }, only('r')))).toBe('403 forbidden')
  expect(refusal(await api.ask({ method: 'POST', url: '/Patient/_search', body: '_id=pat-anna' }, only('r')))).toBe('403 forbidden')
  expect(refusal(await api.ask({ method: 'POST', url: '/Patient', body: patient('x') }, only('u')))).toBe('403 forbidden')
  expect(refusal(await api.ask({ method: 'PUT', url: '/Patient/pat-anna', body: patient('pat-anna') }, only('c')))).toBe('403 forbidden')
  expect(refusal(await api.ask({ url: '/Patient/pat-anna/_history' }, only('s')))).toBe('403 forbidden')
  expect((await api.ask({ url: '/Patient/pat-anna/_history' }, only('r'))).statusCode).toBe(200)
})

test('a refusal names the scope that would have sufficed and nothing of the token', async () => {
  const answer = await api.ask({ url: '/Patient/pat-anna' }, { scope: 'system/Device.r' })
  expect(answer.headers['www-authenticate']).toContain('error="insufficient_scope"')
  expect(answer.headers['www-authenticate']).toContain('Patient.r')
  expect(answer.body).not.toContain('tester')
})

test('conditional create and conditional references need the letter s on the type they search', async () => {
  const body = patient('x', [{ system: 'urn:oid:1.2.3', value: 'conditional' }])
  const headers = { 'if-none-exist': 'identifier=urn:oid:1.2.3|conditional' }
  expect(refusal(await api.ask({ method: 'POST', url: '/Patient', body, headers }, { scope: 'system/Patient.c' }))).toBe('403 forbidden')
  expect((await api.ask({ method: 'POST', url: '/Patient', body, headers }, { scope: 'system/Patient.cs' })).statusCode).toBe(201)
  const worn = { ...association('x', 'dev-carl', 'x', '2026-02-12T00:00:00Z'), subject: { reference: 'Patient?identifier=urn:oid:1.2.3|conditional' } }
  expect(refusal(await api.ask({ method: 'POST', url: '/DeviceUseStatement', body: worn }, { scope: 'system/DeviceUseStatement.c system/Device.r system/Patient.r' }))).toBe('403 forbidden')
})

test('62: another patient answers like nobody', async () => {
  const other = await api.ask({ url: '/Patient/pat-bert' }, ANNA)
  const nobody = await api.ask({ url: '/Patient/nobody' }, ANNA)
  expect(refusal(other)).toBe('404 not-found')
  expect(other.body).toBe(nobody.body)
  expect((await api.ask({ url: '/Patient/pat-anna' }, ANNA)).statusCode).toBe(200)
})

test('63: a search for others gives own rows only', async () => {
  const own = idsOf(bundleOf(await api.ask({ url: '/Observation' }, ANNA)))
  expect(own.length).toBeGreaterThan(0)
  expect(subjectsOf(bundleOf(await api.ask({ url: '/Observation' }, ANNA)))).toEqual(new Set(['Patient/pat-anna']))
  for (const query of ['subject=Patient/pat-bert', 'patient=pat-bert', 'subject=Device/dev-bert', 'device=Device/dev-bert', `_id=${bertsWindow}`, `derived-from=${bertsWindow}`]) {
    expect([query, bundleOf(await api.ask({ url: `/Observation?${query}` }, ANNA)).entry]).toEqual([query, undefined])
  }
  expect(idsOf(bundleOf(await api.ask({ url: '/Observation?patient=pat-anna,pat-bert' }, ANNA)))).toEqual(own)
  expect(refusal(await api.ask({ url: '/Observation?subject:identifier=x' }, ANNA))).toBe('400 invalid')
})

test('64, 65: chains and includes are refused', async () => {
  for (const query of ['subject:Patient.name=Smith', 'device.patient.birthdate=2000', '_include=Observation:subject', '_include=*', '_revinclude=Provenance:target', '_include:iterate=Observation:device', '_filter=x', '_list=x', '_query=x', '_contained=true']) {
    expect([query, refusal(await api.ask({ url: `/Observation?${query}` }, ANNA))]).toEqual([query, '400 invalid'])
  }
})

test('66: totals count what the caller may see', async () => {
  const all = bundleOf(await api.ask({ url: '/Observation?code=tissue-po2&_total=accurate' })).total!
  const own = bundleOf(await api.ask({ url: '/Observation?code=tissue-po2&_total=accurate' }, ANNA)).total!
  expect(own).toBe(3)
  expect(all).toBeGreaterThan(own)
  for (const query of ['_summary=count', '_count=0']) {
    const counted = bundleOf(await api.ask({ url: `/Observation?code=tissue-po2&${query}` }, ANNA))
    expect([counted.total, counted.entry]).toEqual([own, undefined])
  }
  expect(bundleOf(await api.ask({ url: '/Patient?_total=accurate' }, ANNA)).total).toBe(1)
})

test('67: a parameter that differs between URL and body is refused', async () => {
  expect(refusal(await api.ask({ method: 'POST', url: '/Observation/_search?patient=pat-anna', body: 'patient=pat-bert' }, ANNA))).toBe('400 invalid')
  const same = bundleOf(await api.ask({ method: 'POST', url: '/Observation/_search?patient=pat-anna', body: 'patient=pat-anna&code=tissue-po2' }, ANNA))
  expect(same.entry).toHaveLength(3)
})

test('68, 72: compartment searches, $everything, $export, $lastn and system history are not there', async () => {
  for (const url of ['/Patient/pat-bert/Observation', '/Patient/pat-bert/$everything', '/_history', '/Observation/_history', '/?_type=Patient', '/$export', '/Group/x/$export', '/Observation/$lastn', '/$graphql']) {
    expect([url, (await api.ask({ url }, ANNA)).statusCode]).toEqual([url, 404])
  }
})

test('69: a batch answers entries singly, a transaction is refused whole and writes nothing', async () => {
  const entry = [
    { resource: patient('x', [{ system: 'urn:oid:1.2.3', value: 'case-69' }]), request: { method: 'POST', url: 'Patient' } },
    { request: { method: 'GET', url: 'Device/dev-anna' } }
  ]
  const caller: Caller = { scope: 'system/Patient.crus' }
  const batch = bundleOf(await api.ask({ method: 'POST', url: '', body: { resourceType: 'Bundle', type: 'batch', entry: [entry[1], { request: { method: 'GET', url: 'Patient/pat-anna' } }] } }, caller))
  expect(batch.entry?.map(one => one.response?.status)).toEqual(['403', '200 OK'])
  expect(refusal(await api.ask({ method: 'POST', url: '', body: { resourceType: 'Bundle', type: 'transaction', entry } }, caller))).toBe('403 forbidden')
  expect(bundleOf(await api.ask({ url: '/Patient?identifier=urn:oid:1.2.3|case-69&_total=accurate' })).total).toBe(0)
})

test('addresses of entries are relative and name one interaction', async () => {
  for (const url of ['https://elsewhere.example/fhir/Patient/1', '//Patient/1', 'Patient/..', '../Patient/1', 'Patient/%2e%2e/Device', 'Patient/pat-anna/Observation', '/Patient/pat-anna', '', 'Bundle', 'metadata']) {
    const answer = bundleOf(await api.ask({ method: 'POST', url: '', body: { resourceType: 'Bundle', type: 'batch', entry: [{ request: { method: 'GET', url } }] } }))
    expect([url, answer.entry?.[0]?.response?.status]).toEqual([url, url === 'Bundle' ? '404' : '400'])
  }
})

test('70: nothing is written for another patient', async () => {
  expect(refusal(await api.ask({ method: 'PUT', url: '/Patient/pat-bert', body: patient('pat-bert') }, ANNA))).toBe('404 not-found')
  expect(refusal(await api.ask({ method: 'POST', url: '/Patient', body: patient('x') }, ANNA))).toBe('403 forbidden')
  expect(refusal(await api.ask({ method: 'POST', url: '/Device', body: reader('x', 'annas-own') }, ANNA))).toBe('403 forbidden')
  // A reference to what may not be read, and to what does not exist, are refused alike.
  const linked = (other: string) => ({ ...patient('pat-anna'), link: [{ other: { reference: `Patient/${other}` }, type: 'seealso' }] })
  const hidden = await api.ask({ method: 'PUT', url: '/Patient/pat-anna', body: linked('pat-bert') }, ANNA)
  const absent = await api.ask({ method: 'PUT', url: '/Patient/pat-anna', body: linked('nobody') }, ANNA)
  expect(refusal(hidden)).toBe('403 forbidden')
  expect(absent.body).toBe(hidden.body)
})

test('a patient token writes no association, not even of the own device: whose readings are whose is decided by staff', async () => {
  const mine = association('x', 'dev-anna', 'pat-anna', '2020-01-01T00:00:00Z', '2026-01-01T00:00:00Z')
  const own = association('assoc-anna', 'dev-anna', 'pat-anna', '2020-01-01T00:00:00Z')
  const berts = association('assoc-bert', 'dev-anna', 'pat-bert', '2026-03-01T00:00:00Z', '2026-03-02T00:00:00Z')
  const post = { method: 'POST', url: '/DeviceUseStatement' } as const
  const put = (id: string, body: object) => ({ method: 'PUT', url: `/DeviceUseStatement/${id}`, body: { ...body, id } }) as const
  const tx = (entry: object) => ({ method: 'POST', url: '', body: { resourceType: 'Bundle', type: 'transaction', entry: [entry] } }) as const
  for (const asking of [
    { ...post, body: mine }, { ...post, body: { ...mine, subject: berts.subject } },
    put('assoc-anna', own), put('assoc-anna', berts), put('assoc-bert', own), put('assoc-bert', berts), put('assoc-none', own),
    tx({ resource: mine, request: { method: 'POST', url: 'DeviceUseStatement' } }), tx({ resource: own, request: { method: 'PUT', url: 'DeviceUseStatement/assoc-anna' } })
  ]) expect([asking, refusal(await api.ask(asking, ANNA))]).toEqual([asking, '403 forbidden'])
  for (const id of ['assoc-anna', 'assoc-bert']) expect(bundleOf(await api.ask({ url: `/DeviceUseStatement/${id}/_history` })).entry).toHaveLength(1)
  expect((await api.ask({ ...post, body: mine }, { scope: 'patient/*.cruds system/DeviceUseStatement.c', patient: 'pat-anna' })).statusCode).toBe(201)
})

test('an id that a hidden resource has is answered like an absent one', async () => {
  const named: Caller = { scope: 'system/Device.cu?type=urn:types|reader' }
  const own = { ...reader('dev-bert', 'reader-own'), type: { coding: [{ system: 'urn:types', code: 'reader' }] } }
  expect(refusal(await api.ask({ method: 'PUT', url: '/Device/dev-bert', body: own }, named))).toBe('404 not-found')
})

test('a condition answers alike whether what it names is hidden or absent', async () => {
  const named = (value: string) => [{ system: 'urn:oid:1.2.3', value }]
  await api.ask({ method: 'POST', url: '/Patient', body: patient('x', named('hidden-mrn')) })
  await api.ask({ method: 'PUT', url: '/Device/dev-hidden', body: { ...reader('dev-hidden', 'reader-hidden'), identifier: named('hidden-mrn') } })
  const tx = (resource: object, url: string, more = {}) => ({ method: 'POST', url: '', body: { resourceType: 'Bundle', type: 'transaction', entry: [{ resource, request: { method: 'POST', url, ...more } }] } }) as const
  const staff: Caller = { scope: 'patient/*.rs system/DeviceUseStatement.c', patient: 'pat-anna' }
  const readers: Caller = { scope: 'system/Device.cs?type=urn:types|reader' }
  const typed = { ...reader('x', 'reader-own'), type: { coding: [{ system: 'urn:types', code: 'reader' }] } }
  const attempts: [number, Caller, (value: string) => Parameters<FhirApi['ask']>[0]][] = [
    [412, staff, value => ({ method: 'POST', url: '/DeviceUseStatement', body: { ...association('x', 'dev-anna', 'x', '2026-02-12T00:00:00Z'), subject: { reference: `Patient?identifier=urn:oid:1.2.3|${value}` } } })],
    [412, staff, value => ({ method: 'POST', url: '/DeviceUseStatement', body: { ...association('x', 'x', 'pat-anna', '2026-02-12T00:00:00Z'), device: { reference: `Device?identifier=urn:oid:1.2.3|${value}` } } })],
    [412, staff, value => tx({ ...association('x', 'dev-anna', 'x', '2026-02-12T00:00:00Z'), subject: { reference: `Patient?identifier=urn:oid:1.2.3|${value}` } }, 'DeviceUseStatement')],
    [412, ANNA, value => ({ method: 'PUT', url: '/Patient/pat-anna', body: { ...patient('pat-anna'), link: [{ other: { reference: `Patient?identifier=urn:oid:1.2.3|${value}` }, type: 'seealso' }] } })],
    [403, ANNA, value => ({ method: 'POST', url: '/Patient', body: patient('y', named(value)), headers: { 'if-none-exist': `identifier=urn:oid:1.2.3|${value}` } })],
    [403, ANNA, value => tx(patient('y', named(value)), 'Patient', { ifNoneExist: `identifier=urn:oid:1.2.3|${value}` })],
    [403, readers, value => ({ method: 'POST', url: '/Device', body: typed, headers: { 'if-none-exist': `identifier=urn:oid:1.2.3|${value}` } })]
  ]
  for (const [place, [status, caller, attempt]] of attempts.entries()) {
    const hidden = await api.ask(attempt('hidden-mrn'), caller)
    const absent = await api.ask(attempt('nobodys-mrn'), caller)
    expect([place, hidden.statusCode, hidden.body]).toEqual([place, absent.statusCode, absent.body])
    expect([place, hidden.statusCode]).toEqual([place, status])
  }
})

test('a hidden match is not counted beside a visible one', async () => {
  const shared = [{ system: 'urn:oid:1.2.3', value: 'shared-mrn' }]
  expect((await api.ask({ method: 'PUT', url: '/Patient/pat-anna', body: patient('pat-anna', shared) })).statusCode).toBe(200)
  for (let count = 0; count < 3; count++) await api.ask({ method: 'POST', url: '/Patient', body: patient('x', shared) })
  const answer = await api.ask({ method: 'POST', url: '/Patient', body: patient('y', shared), headers: { 'if-none-exist': 'identifier=urn:oid:1.2.3|shared-mrn' } }, ANNA)
  expect([answer.statusCode, answer.json()]).toMatchObject([200, { id: 'pat-anna' }])
})

test('71, 72: nothing is deleted', async () => {
  expect(refusal(await api.ask({ method: 'DELETE', url: '/Patient?identifier=x' }, ANNA))).toBe('405 not-supported')
  expect(refusal(await api.ask({ method: 'DELETE', url: '/Patient/pat-bert' }, ANNA))).toBe('405 not-supported')
})

test('73: a device is visible while the patient wears it, and no longer', async () => {
  expect(idsOf(bundleOf(await api.ask({ url: '/Device' }, ANNA)))).toEqual(['dev-anna'])
  expect((await api.ask({ url: '/Device/dev-anna' }, ANNA)).statusCode).toBe(200)
  expect(refusal(await api.ask({ url: '/Device/dev-bert' }, ANNA))).toBe('404 not-found')
  expect(bundleOf(await api.ask({ url: '/DeviceMetric?_total=accurate' }, ANNA)).total).toBe(2)
  const carl: Caller = { scope: 'patient/*.rs', patient: 'pat-carl' }
  expect(refusal(await api.ask({ url: '/Device/dev-carl' }, carl))).toBe('404 not-found')
  expect(bundleOf(await api.ask({ url: '/DeviceMetric' }, carl)).entry).toBeUndefined()
  expect(bundleOf(await api.ask({ url: '/Observation' }, carl)).entry?.length).toBeGreaterThan(0)
  expect((await api.ask({ url: '/Subscription' }, ANNA)).statusCode).toBe(404)
})

test('73: when a device passes to another patient, each sees the own time only', async () => {
  const start = new Date(T0 + 600_000).toISOString()
  await api.ask({ method: 'PUT', url: '/DeviceUseStatement/assoc-bert', body: { ...association('assoc-bert', 'dev-bert', 'pat-bert', '2026-02-10T00:00:00.000Z', start), status: 'completed' } })
  await create(ward.repository, patient('pat-dora'), now)
  await create(ward.repository, association('assoc-dora', 'dev-bert', 'pat-dora', start), now)
  const dora: Caller = { scope: 'patient/*.rs', patient: 'pat-dora' }
  expect((await api.ask({ url: '/Device/dev-bert' }, dora)).statusCode).toBe(200)
  expect(refusal(await api.ask({ url: '/Device/dev-bert' }, { scope: 'patient/*.rs', patient: 'pat-bert' }))).toBe('404 not-found')
  expect(bundleOf(await api.ask({ url: '/Observation?device=Device/dev-bert' }, dora)).entry).toBeUndefined()
  expect((await api.ask({ url: `/Observation/${bertsWindow}` }, { scope: 'patient/*.rs', patient: 'pat-bert' })).statusCode).toBe(200)
  now = epochMs(now + 1)
})

test('74: a scope whose context is missing opens nothing', async () => {
  for (const caller of [{ scope: 'patient/*.cruds' }, { scope: 'user/*.cruds' }, { scope: '' }, { scope: '__telemetry.write' }]) {
    expect([caller, refusal(await api.ask({ url: '/Observation?patient=pat-anna' }, caller))]).toEqual([caller, '403 forbidden'])
    expect([caller, refusal(await api.ask({ url: '/Patient/pat-anna' }, caller))]).toEqual([caller, '403 forbidden'])
  }
  expect((await api.ask({ url: '/Patient/pat-anna' }, { scope: 'user/*.rs', fhirUser: 'Practitioner/p1' })).statusCode).toBe(200)
})

test('75: absent and hidden Observations answer with the same body', async () => {
  const hidden = await api.ask({ url: `/Observation/${bertsWindow}` }, ANNA)
  const absent = await api.ask({ url: '/Observation/6997cdea-13ed-58aa-b1de-4ab49a7a7d95' }, ANNA)
  expect(refusal(hidden)).toBe('404 not-found')
  expect(hidden.body).toBe(absent.body)
  expect((await api.ask({ url: `/Observation/${bertsWindow}/_history/1` }, ANNA)).body).toBe(hidden.body)
  expect((await api.ask({ url: `/Observation/${bertsWindow}/_history` }, ANNA)).body).toBe(hidden.body)
  expect((await api.ask({ url: `/Observation/${annasWindow}` }, ANNA)).statusCode).toBe(200)
})

test('a granular scope is a filter of its grant', async () => {
  const vitals: Caller = { scope: 'system/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs' }
  const found = bundleOf(await api.ask({ url: '/Observation?patient=pat-bert' }, vitals))
  expect(found.entry?.length).toBe(3)
  expect(refusal(await api.ask({ url: `/Observation/${annasWindow}` }, vitals))).toBe('404 not-found')
  expect((await api.ask({ url: `/Observation/${found.entry![0]!.resource!.id}` }, vitals)).statusCode).toBe(200)
})

test('a granular scope means a code in its system', async () => {
  const count = async (filter: string) => bundleOf(await api.ask({ url: '/Observation?patient=pat-anna' }, { scope: `system/Observation.rs?${filter}` })).entry?.length ?? 0
  const { device } = (await api.ask({ url: `/Observation/${annasWindow}` })).json() as { device: { reference: string } }
  for (const filter of ['status=final', 'status=http://hl7.org/fhir/observation-status|final', 'status=http://other|x,final', `device=${device.reference}`]) expect([filter, await count(filter) > 0]).toEqual([filter, true])
  for (const filter of ['status=http://other|final', 'status=|final', 'status=amended', `device=http://other|${device.reference}`]) expect([filter, await count(filter)]).toEqual([filter, 0])
})

test('without a token nothing but metadata is answered', async () => {
  expect((await api.app.inject({ url: '/fhir/metadata' })).statusCode).toBe(200)
  for (const url of ['/fhir/Patient', '/fhir/Patient/pat-anna', '/fhir/Observation', '/fhir/Observation/x/_history/1']) {
    const answer = await api.app.inject({ url })
    expect([url, refusal(answer), answer.headers['www-authenticate']]).toEqual([url, '401 login', 'Bearer realm="fhir"'])
  }
  expect(refusal(await api.app.inject({ method: 'POST', url: '/fhir', payload: {} }))).toBe('401 login')
})
