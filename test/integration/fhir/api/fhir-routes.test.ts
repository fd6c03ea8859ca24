import type { Bundle, DeviceMetric, OperationOutcome, Patient } from '@medplum/fhirtypes'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import { bundleOf, type FhirApi, fhirApi, refusal } from '../../../support/fhir-api.ts'
import { association, create, patient, reader, testRepository } from '../../../support/linkage-fixtures.ts'
import { testWard, T0, type Ward, windowOf } from '../../../support/views.ts'

const NOW = epochMs(T0 + 3_600_000)
let ward: Ward
let api: FhirApi

beforeAll(async () => {
  ward = await testWard()
  api = await fhirApi(ward, { now: () => NOW })
  const sid = await ward.admit('anna')
  const other = await ward.admit('bert')
  await ward.commit([0, 1, 2, 3, 4].flatMap(minute => [windowOf(ward.mappings, sid, minute), windowOf(ward.mappings, other, minute)]))
})
afterAll(async () => {
  await api?.close()
  await ward?.drop()
})

test('a Patient is created, read, changed and remembered', async () => {
  const created = await api.ask({ method: 'POST', url: '/Patient', body: { resourceType: 'Patient', gender: 'female' } })
  expect(created.statusCode).toBe(201)
  expect(created.headers['content-type']).toBe('application/fhir+json; charset=utf-8')
  expect(created.headers.etag).toBe('W/"1"')
  const { id } = created.json() as Patient
  expect(created.headers.location).toMatch(new RegExp(`/fhir/Patient/${id}/_history/1$`))
  const read = await api.ask({ url: `/Patient/${id}` })
  expect(read.json()).toEqual(created.json())
  expect((await api.ask({ url: `/Patient/${id}`, headers: { 'if-none-match': 'W/"1"' } })).statusCode).toBe(304)
  const changed = await api.ask({ method: 'PUT', url: `/Patient/${id}`, body: { resourceType: 'Patient', id, gender: 'male' }, headers: { 'if-match': 'W/"1"' } })
  expect([changed.statusCode, changed.headers.etag]).toEqual([200, 'W/"2"'])
  const late = await api.ask({ method: 'PUT', url: `/Patient/${id}`, body: { resourceType: 'Patient', id }, headers: { 'if-match': 'W/"1"' } })
  expect(refusal(late)).toBe('412 conflict')
  expect((await api.ask({ url: `/Patient/${id}/_history/1` })).json()).toMatchObject({ gender: 'female' })
  expect(bundleOf(await api.ask({ url: `/Patient/${id}/_history` })).entry?.map(entry => entry.resource?.meta?.versionId)).toEqual(['2', '1'])
})

test('If-None-Exist creates once', async () => {
  const body = { resourceType: 'Patient', identifier: [{ system: 'urn:oid:1.2.3', value: 'once' }] }
  const ask = () => api.ask({ method: 'POST', url: '/Patient', body, headers: { 'if-none-exist': 'identifier=urn:oid:1.2.3|once' } })
  const [first, second] = [await ask(), await ask()]
  expect([first.statusCode, second.statusCode]).toEqual([201, 200])
  expect(second.json()).toEqual(first.json())
  const other = await api.ask({ method: 'POST', url: '/Patient', body, headers: { 'if-none-exist': 'name=x' } })
  expect(refusal(other)).toBe('400 invalid')
})

test('Prefer decides what a write gives back', async () => {
  const ask = (prefer: string) => api.ask({ method: 'POST', url: '/Patient', body: { resourceType: 'Patient' }, headers: { prefer } })
  expect((await ask('return=minimal')).body).toBe('')
  expect((await ask('return=OperationOutcome')).json()).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ severity: 'information' }] })
  expect((await ask('return=representation')).json()).toMatchObject({ resourceType: 'Patient' })
})

const URN = (digit: number) => `urn:uuid:00000000-0000-4000-8000-00000000000${digit}`

function ward3 (suffix: string): Bundle {
  return {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      { fullUrl: URN(3), resource: { ...association('x', 'x', 'x', '2026-02-10T00:00:00Z'), subject: { reference: URN(1) }, device: { reference: URN(2) } }, request: { method: 'POST', url: 'DeviceUseStatement' } },
      { fullUrl: URN(1), resource: patient('x', [{ system: 'urn:oid:1.2.3', value: suffix }]), request: { method: 'POST', url: 'Patient', ifNoneExist: `identifier=urn:oid:1.2.3|${suffix}` } },
      { fullUrl: URN(2), resource: reader('x', `telemetry-${suffix}`), request: { method: 'POST', url: 'Device' } },
      { request: { method: 'GET', url: `Patient?identifier=urn:oid:1.2.3|${suffix}` } }
    ]
  }
}

test('a transaction resolves urn:uuid references in any order and answers each entry', async () => {
  const answer = await api.ask({ method: 'POST', url: '', body: ward3('t1') })
  expect(answer.statusCode).toBe(200)
  const entries = bundleOf(answer).entry ?? []
  expect(entries.map(entry => entry.response?.status)).toEqual(['201 Created', '201 Created', '201 Created', '200 OK'])
  expect(entries[0]?.response).toMatchObject({ location: expect.stringMatching(/^DeviceUseStatement\/[0-9a-f-]{36}\/_history\/1$/), etag: 'W/"1"' })
  expect((entries[3]!.resource as Bundle).entry).toHaveLength(1)
  const [, patientId] = entries[1]!.response!.location!.split('/')
  const [, deviceId] = entries[2]!.response!.location!.split('/')
  const stored = bundleOf(await api.ask({ url: `/DeviceUseStatement?patient=${patientId}` })).entry?.[0]?.resource
  expect(stored).toMatchObject({ subject: { reference: `Patient/${patientId}` }, device: { reference: `Device/${deviceId}` } })
  const metrics = bundleOf(await api.ask({ url: `/DeviceMetric?source=Device/${deviceId}` })).entry ?? []
  expect(metrics.map(entry => (entry.resource as DeviceMetric).identifier?.[0]?.value).sort()).toEqual(['telemetry-t1/spo2', 'telemetry-t1/tissue-po2'])
})

test('one refused entry refuses the whole transaction', async () => {
  const bundle = ward3('t2')
  bundle.entry!.push({ resource: { ...association('y', 'nobody', 'nobody', '2026-02-10T00:00:00Z') }, request: { method: 'POST', url: 'DeviceUseStatement' } })
  expect(refusal(await api.ask({ method: 'POST', url: '', body: bundle }))).toBe('422 business-rule')
  expect(bundleOf(await api.ask({ url: '/Patient?identifier=urn:oid:1.2.3|t2&_total=accurate' })).total).toBe(0)
})

test('a batch answers each entry on its own', async () => {
  const answer = await api.ask({
    method: 'POST',
    url: '',
    body: {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [
        { request: { method: 'GET', url: 'Patient/pat-anna' } },
        { request: { method: 'GET', url: 'Patient/nobody' } },
        { request: { method: 'GET', url: 'https://elsewhere.example/Patient/1' } },
        { request: { method: 'DELETE', url: 'Patient/pat-anna' } },
        { resource: { resourceType: 'Patient' }, request: { method: 'POST', url: 'Patient' } },
        { resource: { resourceType: 'Patient' } }
      ]
    }
  })
  expect(bundleOf(answer).entry?.map(entry => entry.response?.status)).toEqual(['200 OK', '404', '400', '405', '201 Created', '400'])
})

test('a conditional reference becomes the one Patient it matches', async () => {
  await api.ask({ method: 'POST', url: '/Patient', body: patient('p', [{ system: 'urn:oid:1.2.3', value: 'cond' }]) })
  const bundle = (value: string) => ({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      { fullUrl: URN(2), resource: reader('x', `telemetry-${value}`), request: { method: 'POST', url: 'Device' } },
      { resource: { ...association('x', 'x', 'x', '2026-02-10T00:00:00Z'), subject: { reference: `Patient?identifier=urn:oid:1.2.3|${value}` }, device: { reference: URN(2) } }, request: { method: 'POST', url: 'DeviceUseStatement' } }
    ]
  })
  expect((await api.ask({ method: 'POST', url: '', body: bundle('cond') })).statusCode).toBe(200)
  expect(refusal(await api.ask({ method: 'POST', url: '', body: bundle('absent') }))).toBe('412 multiple-matches')
})

test('Observations are searched, paged and read', async () => {
  const all = bundleOf(await api.ask({ url: '/Observation?patient=pat-anna&code=tissue-po2&_total=accurate' }))
  expect([all.total, all.entry?.length]).toEqual([5, 5])
  const seen: (string | undefined)[] = []
  let url: string | undefined = '/Observation?patient=Patient/pat-anna&code=tissue-po2&_count=2&_sort=date'
  for (let page = 0; url !== undefined && page < 5; page++) {
    const bundle: Bundle = bundleOf(await api.ask({ url }))
    seen.push(...bundle.entry!.map(entry => entry.resource?.id))
    url = bundle.link?.find(link => link.relation === 'next')?.url?.split('/fhir')[1]
  }
  expect(seen).toHaveLength(5)
  expect(new Set(seen)).toEqual(new Set(all.entry!.map(entry => entry.resource?.id)))
  const read = await api.ask({ url: `/Observation/${seen[0]}` })
  expect([read.statusCode, read.headers.etag]).toEqual([200, 'W/"1"'])
  expect((await api.ask({ url: `/Observation/${seen[0]}/_history/1` })).body).toBe(read.body)
  expect(bundleOf(await api.ask({ url: `/Observation/${seen[0]}/_history` })).entry).toHaveLength(1)
})

test('after the clock was set back a search shows on its pages what is readable by id, and nothing newer than its first page', async () => {
  const later = epochMs(NOW + 7_200_000)
  const sid = await ward.admit('clock')
  const commit = (minute: number, wish = {}) => ward.commit([windowOf(ward.mappings, sid, minute, { metric: 'spo2', issued: epochMs(later + minute), ...wish })])
  for (let minute = 0; minute < 5; minute++) await commit(minute)
  await commit(2, { revision: 2, status: 'amended', issued: T0 })
  let known = 5
  for (const order of ['date', '-date', '_lastUpdated', '-_lastUpdated']) {
    const seen: (string | undefined)[] = []
    let url = `/Observation?patient=pat-clock&_sort=${order}&_count=2`
    while (url !== '') {
      const bundle = bundleOf(await api.ask({ url }))
      if (seen.length === 0) await commit(known)
      seen.push(...(bundle.entry ?? []).map(entry => entry.resource?.id))
      url = bundle.link?.find(link => link.relation === 'next')?.url.replace(/^.*\/fhir/, '') ?? ''
    }
    expect([order, seen.length, new Set(seen).size]).toEqual([order, known, known])
    for (const id of seen) expect((await api.ask({ url: `/Observation/${id}` })).statusCode).toBe(200)
    expect(bundleOf(await api.ask({ url: `/Observation?_id=${seen.join(',')}` })).entry).toHaveLength(known)
    known++
  }
  for (const id of ['clock-a', 'clock-b', 'clock-c']) await create(ward.repository, patient(id), later)
  const first = bundleOf(await api.ask({ url: '/Patient?_id=clock-a,clock-b,clock-c,clock-d&_count=2&_total=accurate' }))
  expect([first.total, first.entry?.length]).toEqual([3, 2])
  await create(ward.repository, patient('clock-d'), epochMs(later + 1))
  expect(bundleOf(await api.ask({ url: first.link!.find(link => link.relation === 'next')!.url.replace(/^.*\/fhir/, '') })).entry).toHaveLength(1)
})

test('a page link works only for the search and the caller it was given to', async () => {
  const first = bundleOf(await api.ask({ url: '/Observation?patient=pat-anna&_count=2' }))
  const next = first.link!.find(link => link.relation === 'next')!.url!.split('/fhir')[1]!
  expect((await api.ask({ url: next })).statusCode).toBe(200)
  expect(refusal(await api.ask({ url: next.replace('pat-anna', 'pat-bert') }))).toBe('400 invalid')
  expect(refusal(await api.ask({ url: next }, { subject: 'somebody else' }))).toBe('400 invalid')
  expect(refusal(await api.ask({ url: next }, { scope: 'patient/*.rs', patient: 'pat-anna' }))).toBe('400 invalid')
  expect(refusal(await api.ask({ url: next.replace(/_page=./, '_page=A') }))).toBe('400 invalid')
})

test('unknown parameters are refused, or ignored and named when the client is lenient', async () => {
  expect(refusal(await api.ask({ url: '/Observation?patient=pat-anna&colour=red' }))).toBe('400 invalid')
  const lenient = bundleOf(await api.ask({ url: '/Observation?patient=pat-anna&colour=red', headers: { prefer: 'handling=lenient' } }))
  expect(lenient.link?.[0]?.url).not.toContain('colour')
  expect(lenient.entry?.at(-1)).toMatchObject({ search: { mode: 'outcome' }, resource: { issue: [{ severity: 'warning' }] } })
  for (const url of ['/Observation?code:in=x', '/Observation?date=soon', '/Observation?_sort=colour', '/Observation?_count=many', '/Observation?subject:Patient.name=Smith', '/Observation?_include=Observation:subject', '/Patient?_has:Observation:patient:code=x', '/Observation?_filter=x']) {
    expect([url, refusal(await api.ask({ url }))]).toEqual([url, '400 invalid'])
  }
})

test('unknown types, operations and interactions are refused', async () => {
  expect(refusal(await api.ask({ url: '/Foo' }))).toBe('404 not-found')
  expect(refusal(await api.ask({ url: '/Medication?code=x' }))).toBe('404 not-found')
  expect(refusal(await api.ask({ method: 'POST', url: '/$graphql', body: { query: '{}' } }))).toBe('404 not-found')
  expect(refusal(await api.ask({ url: '/Observation/_history' }))).toBe('404 not-found')
  const id = bundleOf(await api.ask({ url: '/Observation?patient=pat-anna&_count=1' })).entry![0]!.resource!.id
  expect(refusal(await api.ask({ method: 'PUT', url: `/Observation/${id}`, body: { resourceType: 'Observation', id } }))).toBe('405 not-supported')
  expect(refusal(await api.ask({ method: 'DELETE', url: `/Observation/${id}` }))).toBe('405 not-supported')
  expect(refusal(await api.ask({ method: 'PATCH', url: `/Observation/${id}`, body: [] }))).toBe('405 not-supported')
  expect(refusal(await api.ask({ method: 'POST', url: '/Observation', body: { resourceType: 'Observation' } }))).toBe('405 not-supported')
})

test('U+0000 is refused with 400 wherever an address or a condition can hold it', async () => {
  for (const url of ['/Patient?identifier=a%00b', '/Patient?identifier=%00|b', '/Device?_id=%00', '/Observation?_id=%00', '/Observation?identifier=a%00/b', '/Observation?code=%00', '/DeviceMetric?source=%00', '/Patient?%00=x']) {
    expect([url, refusal(await api.ask({ url }))]).toEqual([url, '400 invalid'])
    const [path, body] = url.split('?')
    expect([url, refusal(await api.ask({ method: 'POST', url: `${path}/_search`, body: body! }))]).toEqual([url, '400 invalid'])
  }
  expect(refusal(await api.ask({ method: 'POST', url: '/Patient', body: patient('x'), headers: { 'if-none-exist': 'identifier=a%00b' } }))).toBe('400 invalid')
  for (const url of ['/Patient/%00', '/Observation/a%00', '/Device/x/_history/%00', '/Observation/x/_history/%00']) expect([url, refusal(await api.ask({ url }))]).toEqual([url, '404 not-found'])
  expect((await api.ask({ method: 'PUT', url: '/Patient/nul', body: patient('nul\0') })).statusCode).toBe(400)
  expect((await api.ask({ method: 'POST', url: '/DeviceUseStatement', body: { ...association('x', 'dev-anna', 'x', '2026-02-12T00:00:00Z'), subject: { reference: 'Patient?identifier=a%00b' } } })).statusCode).toBe(400)
})

test.each([['U+0000', '\0'], ['half of a surrogate pair', '\ud83d'], ['the other half', '\ude00']])('%s is refused with its place, and nothing of it is stored', async (_, bad) => {
  const spoilt: [string, object][] = [
    ['Patient.identifier[0].value', { identifier: [{ system: 'urn:oid:1.2.3', value: `a${bad}` }] }], ['Patient.identifier[0].system', { identifier: [{ system: `http://a/${bad}`, value: 'a' }] }],
    ['Patient.gender', { gender: `${bad}` }], ['Patient.language', { language: `de${bad}` }], ['Patient.meta.tag[0].code', { meta: { tag: [{ code: `a${bad}` }] } }],
    ['Patient.text.div', { text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">a${bad}</div>` } }],
    ['Patient.managingOrganization.reference', { managingOrganization: { reference: `Organization/${bad}` } }], ['Patient.link[0].other.reference', { link: [{ type: 'refer', other: { reference: `Patient/${bad}` } }] }]
  ]
  for (const [place, part] of spoilt) {
    const answer = await api.ask({ method: 'POST', url: '/Patient', body: { resourceType: 'Patient', ...part } })
    expect([place, answer.statusCode]).toEqual([place, 400])
    expect((answer.json() as OperationOutcome).issue.flatMap(issue => issue.expression)).toContain(place)
  }
  expect((await api.ask({ method: 'POST', url: '/Patient', body: { resourceType: 'Patient', [`a${bad}`]: 1 } })).statusCode).toBe(400)
})

test.each([
  ['in another spelling', 'identifier=urn:oid:1.2.4|twin', 'identifier=urn:oid:1.2.4%7Ctwin'],
  ['without its system', 'identifier=urn:oid:1.2.4|twin', 'identifier=twin'],
  ['that another entry brings without one', 'identifier=urn:oid:1.2.4|twin', undefined]
])('a Bundle does not create two resources under one condition %s', async (_, first, second) => {
  const entryOf = (ifNoneExist: string | undefined) => ({
    resource: patient('x', [{ system: 'urn:oid:1.2.4', value: 'twin' }]), request: { method: 'POST', url: 'Patient', ...(ifNoneExist === undefined ? {} : { ifNoneExist }) }
  })
  for (const entry of [[entryOf(first), entryOf(second)], [entryOf(second), entryOf(first)]]) {
    expect(refusal(await api.ask({ method: 'POST', url: '', body: { resourceType: 'Bundle', type: 'transaction', entry } }))).toBe('400 invalid')
  }
  expect(bundleOf(await api.ask({ url: '/Patient?identifier=twin&_summary=count' })).total ?? 0).toBe(0)
})

test('405 names what the address takes', async () => {
  const allow = async (method: 'DELETE' | 'POST' | 'PATCH', url: string) => (await api.ask({ method, url, body: {} })).headers['allow']
  expect([await allow('DELETE', '/Patient/p'), await allow('PATCH', '/Patient'), await allow('POST', '/Observation')]).toEqual(['GET, HEAD, PUT', 'GET, HEAD, POST', 'GET, HEAD'])
})

test('what a type does not offer is answered 405 in any format, and only with a token', async () => {
  const types = ['application/json-patch+json', 'application/fhir+json', 'application/fhir+xml', 'text/plain', 'nonsense']
  for (const type of types) {
    for (const [method, url] of [['PATCH', '/Observation/x'], ['PUT', '/Observation/x'], ['DELETE', '/Observation/x'], ['POST', '/Observation'], ['PATCH', '/Patient/x'], ['PUT', '/Patient'], ['DELETE', '/Device/x']] as const) {
      const answer = await api.ask({ method, url, body: '[{"op":', headers: { 'content-type': type } })
      expect([type, method, url, refusal(answer)]).toEqual([type, method, url, '405 not-supported'])
    }
  }
  const without = await api.app.inject({ method: 'PATCH', url: '/fhir/Observation/x', payload: '[]', headers: { 'content-type': types[0]! } })
  expect(refusal(without)).toBe('401 login')
})

test('only JSON is spoken', async () => {
  expect((await api.ask({ url: '/Patient/pat-anna', headers: { accept: 'application/fhir+xml' } })).statusCode).toBe(406)
  expect((await api.ask({ url: '/Patient/pat-anna?_format=xml' })).statusCode).toBe(406)
  expect((await api.ask({ url: '/Patient/pat-anna?_format=json', headers: { accept: 'text/html' } })).statusCode).toBe(200)
  expect((await api.ask({ method: 'POST', url: '/Patient', body: {}, headers: { 'content-type': 'application/fhir+xml' } })).statusCode).toBe(415)
  const broken = await api.app.inject({ method: 'POST', url: '/fhir/Patient', headers: { authorization: 'Bearer e30', 'content-type': 'application/json' }, payload: '{"a":' })
  expect(refusal(broken)).toBe('400 structure')
  const deep = await api.app.inject({ method: 'POST', url: '/fhir/Patient', headers: { authorization: 'Bearer e30', 'content-type': 'application/json' }, payload: '['.repeat(100_000) })
  expect(refusal(deep)).toBe('400 structure')
})

test('a transaction sent again creates nothing a second time', async () => {
  const bundle = {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      { fullUrl: URN(1), resource: patient('x', [{ system: 'urn:oid:1.2.3', value: 'again' }]), request: { method: 'POST', url: 'Patient', ifNoneExist: 'identifier=urn:oid:1.2.3|again' } },
      { fullUrl: URN(2), resource: reader('x', 'telemetry-again'), request: { method: 'POST', url: 'Device', ifNoneExist: 'identifier=telemetry-again' } }
    ]
  }
  const [first, second] = [bundleOf(await api.ask({ method: 'POST', url: '', body: bundle })), bundleOf(await api.ask({ method: 'POST', url: '', body: bundle }))]
  expect([first, second].map(answer => answer.entry?.map(entry => entry.response?.status))).toEqual([['201 Created', '201 Created'], ['200 OK', '200 OK']])
  expect(second.entry?.map(entry => entry.response?.location)).toEqual(first.entry?.map(entry => entry.response?.location))
})

test('two transactions at once under one condition create one resource', async () => {
  const entry = { resource: patient('x', [{ system: 'urn:oid:1.2.3', value: 'race' }]), request: { method: 'POST', url: 'Patient', ifNoneExist: 'identifier=urn:oid:1.2.3|race' } }
  const answers = await Promise.all(Array.from({ length: 6 }, () => api.ask({ method: 'POST', url: '', body: { resourceType: 'Bundle', type: 'transaction', entry: [entry] } })))
  expect(answers.map(answer => bundleOf(answer).entry?.[0]?.response?.status).sort()).toEqual([...Array.from({ length: 5 }, () => '200 OK'), '201 Created'])
  const twice = { resourceType: 'Bundle', type: 'transaction', entry: [1, 2].map(() => ({ ...entry, request: { ...entry.request, ifNoneExist: 'identifier=urn:oid:1.2.3|race-2' } })) }
  expect(refusal(await api.ask({ method: 'POST', url: '', body: twice }))).toBe('400 invalid')
})

test('transactions that name the same identifiers in any order create each once, and none of them waits for ever', async () => {
  const { repository } = testRepository(ward.linkage.pool, { triesMax: 1 })
  const once = await fhirApi({ ...ward, repository }, { now: () => NOW })
  const entryOf = (value: string, condition: string) => ({ resource: patient('x', [{ system: 'urn:oid:1.2.3', value }]), request: { method: 'POST', url: 'Patient', ifNoneExist: `identifier=${condition}` } })
  const entries = ['a', 'b', 'c', 'd'].map(name => entryOf(`order-${name}`, `urn:oid:1.2.3|order-${name}`))
  const spelled = ['d', 'c', 'b', 'a'].map(name => entryOf(`order-${name}`, `order-${name}`))
  const answers = await Promise.all(Array.from({ length: 8 }, (_, n) => once.ask({ method: 'POST', url: '', body: { resourceType: 'Bundle', type: 'transaction', entry: n % 2 === 0 ? entries : spelled } })))
  await once.close()
  expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array.from({ length: 8 }, () => 200))
  const made = answers.flatMap(answer => bundleOf(answer).entry!).filter(({ response }) => response?.status === '201 Created')
  expect(made).toHaveLength(4)
})

test('a PUT of an unknown id creates it, and If-Match holds inside a transaction', async () => {
  expect((await api.ask({ method: 'PUT', url: '/Patient/chosen', body: patient('chosen') })).statusCode).toBe(201)
  const put = (ifMatch: string, gender: string) => ({ resourceType: 'Bundle', type: 'transaction', entry: [{ resource: { ...patient('chosen'), gender }, request: { method: 'PUT', url: 'Patient/chosen', ifMatch } }] })
  expect(bundleOf(await api.ask({ method: 'POST', url: '', body: put('W/"1"', 'female') })).entry?.[0]?.response).toMatchObject({ status: '200 OK', etag: 'W/"2"' })
  expect(refusal(await api.ask({ method: 'POST', url: '', body: put('W/"1"', 'male') }))).toBe('412 conflict')
  expect(refusal(await api.ask({ method: 'PUT', url: '/Patient/other', body: patient('chosen') }))).toBe('400 invalid')
  expect(refusal(await api.ask({ method: 'PUT', url: '/Patient/absent', body: patient('absent'), headers: { 'if-match': 'W/"1"' } }))).toBe('404 not-found')
  const both = { resourceType: 'Bundle', type: 'transaction', entry: [1, 2].map(() => ({ resource: patient('chosen'), request: { method: 'PUT', url: 'Patient/chosen' } })) }
  expect(refusal(await api.ask({ method: 'POST', url: '', body: both }))).toBe('400 invalid')
})

test('a Bundle refuses a urn:uuid that nobody has, and more entries than the limit', async () => {
  const lost = { resourceType: 'Bundle', type: 'transaction', entry: [{ resource: { ...association('x', 'dev-anna', 'x', '2025-01-01T00:00:00Z', '2025-01-02T00:00:00Z'), subject: { reference: URN(9) } }, request: { method: 'POST', url: 'DeviceUseStatement' } }] }
  expect(refusal(await api.ask({ method: 'POST', url: '', body: lost }))).toBe('400 invalid')
  const many = { resourceType: 'Bundle', type: 'batch', entry: Array.from({ length: 1_001 }, () => ({ request: { method: 'GET', url: 'Patient/pat-anna' } })) }
  expect(refusal(await api.ask({ method: 'POST', url: '', body: many }))).toBe('413 too-long')
})

test('overlapping associations of one device are refused as a conflict', async () => {
  expect(refusal(await api.ask({ method: 'POST', url: '/DeviceUseStatement', body: association('x', 'dev-anna', 'pat-bert', '2026-02-11T00:00:00Z') }))).toBe('409 conflict')
})
