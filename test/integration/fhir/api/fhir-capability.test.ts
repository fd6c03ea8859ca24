/** The CapabilityStatement tells the truth: what it declares works, what it does not is refused (components.md, acceptance 14-16). */

import type { CapabilityStatement, CapabilityStatementRestResource } from '@medplum/fhirtypes'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import { type Asking, bundleOf, type FhirApi, fhirApi, refusal } from '../../../support/fhir-api.ts'
import { association, patient, reader } from '../../../support/linkage-fixtures.ts'
import { testWard, T0, type Ward, windowOf } from '../../../support/views.ts'

let ward: Ward
let api: FhirApi
let statement: CapabilityStatement
let ids: Record<string, string> = {}

beforeAll(async () => {
  ward = await testWard()
  api = await fhirApi(ward, { now: () => epochMs(T0 + 3_600_000) })
  const sid = await ward.admit('anna')
  await ward.commit([windowOf(ward.mappings, sid, 0)])
  statement = (await api.ask({ url: '/metadata' })).json() as CapabilityStatement
  const first = async (search: string) => bundleOf(await api.ask({ url: `/${search}_count=1` })).entry![0]!.resource!.id!
  ids = { Patient: 'pat-anna', Device: 'dev-anna', DeviceUseStatement: 'assoc-anna', DeviceMetric: await first('DeviceMetric?'), Observation: await first('Observation?code=tissue-po2&') }
})
afterAll(async () => {
  await api?.close()
  await ward?.drop()
})

const TYPES = ['Patient', 'Device', 'DeviceMetric', 'DeviceUseStatement', 'Observation']

/** A request for each interaction that R4 names on a type. */
function askingOf (type: string, code: string): Asking {
  const id = ids[type]!
  const body = { resourceType: type, id }
  switch (code) {
    case 'read': return { url: `/${type}/${id}` }
    case 'vread': return { url: `/${type}/${id}/_history/1` }
    case 'history-instance': return { url: `/${type}/${id}/_history` }
    case 'history-type': return { url: `/${type}/_history` }
    case 'search-type': return { url: `/${type}` }
    case 'create': return { method: 'POST', url: `/${type}`, body: CREATED[type] ?? body }
    case 'update': return { method: 'PUT', url: `/${type}/${id}`, body }
    case 'patch': return { method: 'PATCH', url: `/${type}/${id}`, body: [] }
    default: return { method: 'DELETE', url: `/${type}/${id}` }
  }
}

const CREATED: Record<string, object> = {
  Patient: patient('x'),
  Device: reader('x', 'capability'),
  DeviceUseStatement: association('x', 'dev-anna', 'pat-anna', '2025-01-01T00:00:00Z', '2025-01-02T00:00:00Z')
}

function resourceOf (type: string): CapabilityStatementRestResource { return statement.rest![0]!.resource!.find(resource => resource.type === type)! }

test('metadata is a CapabilityStatement of R4 for anybody', async () => {
  expect(statement).toMatchObject({ resourceType: 'CapabilityStatement', status: 'active', kind: 'instance', fhirVersion: '4.0.1', format: expect.arrayContaining(['json']) })
  expect(statement.rest![0]!.resource!.map(resource => resource.type).sort()).toEqual([...TYPES].sort())
  expect((await api.app.inject({ url: '/fhir/metadata' })).statusCode).toBe(200)
})

test('every declared interaction works', async () => {
  for (const type of TYPES) {
    for (const { code } of resourceOf(type).interaction!) {
      const asking = code === 'update' || (code === 'create' && type === 'DeviceMetric')
        ? { ...askingOf(type, code), body: (await api.ask({ url: `/${type}/${ids[type]}` })).json() }
        : askingOf(type, code!)
      const { statusCode } = await api.ask(asking)
      // The store refuses a second DeviceMetric of one name: the interaction is there.
      expect([type, code, code === 'create' && type === 'DeviceMetric' ? statusCode !== 404 && statusCode !== 405 : statusCode < 300]).toEqual([type, code, true])
    }
  }
})

test('every interaction that is not declared is refused', async () => {
  for (const type of TYPES) {
    const declared = new Set(resourceOf(type).interaction!.map(({ code }) => code))
    for (const code of ['read', 'vread', 'history-instance', 'history-type', 'search-type', 'create', 'update', 'patch', 'delete'] as const) {
      if (declared.has(code as never)) continue
      const { statusCode } = await api.ask(askingOf(type, code))
      expect([type, code, statusCode === 404 || statusCode === 405]).toEqual([type, code, true])
    }
  }
})

test('every declared search parameter finds something, and others are refused', async () => {
  const values: Record<string, string> = {
    _id: 'ID', _lastUpdated: 'ge2000-01-01', source: 'dev-anna', patient: 'pat-anna', subject: 'Patient/pat-anna',
    code: 'tissue-po2', category: 'telemetry', date: 'ge2000-01-01', status: 'final'
  }
  for (const type of TYPES) {
    const { identifier, device } = (await api.ask({ url: `/${type}/${ids[type]}` })).json() as { identifier?: { system: string, value: string }[], device?: { reference: string } }
    for (const { name } of resourceOf(type).searchParam!) {
      const token = identifier?.[0] === undefined ? undefined : `${identifier[0].system}|${identifier[0].value}`
      const value = name === 'identifier' ? token : name === '_id' || name === 'derived-from' ? ids[type] : name === 'device' ? device?.reference : values[name!]
      if (value === undefined) continue
      const answer = await api.ask({ url: `/${type}?${name}=${encodeURIComponent(value)}` })
      expect([type, name, answer.statusCode]).toEqual([type, name, 200])
      expect([type, name, (bundleOf(answer).entry?.length ?? 0) > 0]).toEqual([type, name, true])
    }
    for (const name of ['name', 'birthdate', 'combo-code', 'value-quantity', '_text', '_tag', '_profile']) {
      expect([type, name, refusal(await api.ask({ url: `/${type}?${name}=x` }))]).toEqual([type, name, '400 invalid'])
    }
  }
})

test('transaction and batch are declared and work', async () => {
  expect(statement.rest![0]!.interaction!.map(({ code }) => code)).toEqual(['transaction', 'batch'])
  for (const type of ['transaction', 'batch']) expect((await api.ask({ method: 'POST', url: '', body: { resourceType: 'Bundle', type } })).json()).toEqual({ resourceType: 'Bundle', type: `${type}-response` })
  for (const type of ['collection', 'history', 'document', 'nonsense']) expect(refusal(await api.ask({ method: 'POST', url: '', body: { resourceType: 'Bundle', type } }))).toBe('400 invalid')
})

test('supported profiles are enforced where they are claimed', async () => {
  const profile = resourceOf('Device').supportedProfile!.find(url => url.endsWith('/tissue-oxygen-device'))!
  const claiming = { ...reader('x', 'claims'), meta: { profile: [profile] } }
  expect((await api.ask({ method: 'POST', url: '/Device', body: claiming })).statusCode).toBe(201)
  const { modelNumber: _, ...bare } = claiming
  const refused = await api.ask({ method: 'POST', url: '/Device', body: bare })
  expect([refused.statusCode, refused.json()]).toMatchObject([422, { issue: [{ severity: 'error', expression: ['Device.modelNumber'] }] }])
})

test('what violates base FHIR is refused on write, with every place named', async () => {
  const wrong = { resourceType: 'DeviceUseStatement', status: 'worn', subject: { reference: 'Device/dev-anna' }, device: { reference: 'Device/dev-anna' }, colour: 'red', identifier: [] }
  const refused = await api.ask({ method: 'POST', url: '/DeviceUseStatement', body: wrong })
  expect(refused.statusCode).toBe(400)
  const places = (refused.json() as { issue: { expression: string[] }[] }).issue.map(issue => issue.expression[0]).sort()
  expect(places).toEqual(['DeviceUseStatement', 'DeviceUseStatement.identifier', 'DeviceUseStatement.status', expect.stringMatching(/^DeviceUseStatement\.subject/)])
  expect(refused.body).not.toContain('worn')
  const inBundle = await api.ask({ method: 'POST', url: '', body: { resourceType: 'Bundle', type: 'transaction', entry: [{ resource: { resourceType: 'Patient', gender: 'x' }, request: { method: 'POST', url: 'Patient' } }] } })
  expect(inBundle.json()).toMatchObject({ issue: [{ expression: ['Bundle.entry[0].resource.gender'] }] })
})
