/** A ward in which everything that names a person or a thing is a text of this run alone, and everything that may happen to it. */

import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import { iso, samples } from './bedside.ts'
import type { Bundle, FhirClient } from './fhir-client.ts'
import type { Oxbow } from './oxbow-process.ts'
import { TELEMETRY_DEVICE } from './ward-fixture.ts'

const MRN_SYSTEM = 'urn:oid:2.16.840.1.113883.19.5'
const MINUTE = 60_000

export interface Planted {
  /** Must be found in the linkage store: they are what the scan is shown to find. */
  kept: Readonly<Record<'family' | 'given' | 'mrn' | 'phone' | 'street' | 'serial' | 'udi' | 'device' | 'note' | 'firmware' | 'calibration' | 'lot', string>>
  /** Sent, and kept nowhere in clear. */
  passing: Readonly<Record<'payloadPatient' | 'strangeDevice' | 'wrongBody' | 'unit' | 'metric' | 'header' | 'query' | 'parameter' | 'path' | 'subject' | 'bearer' | 'fhirBody' | 'reference', string>>
}

export function plantedTexts (nonce: string): Planted {
  const named = <K extends string>(names: readonly K[], text: (name: K) => string) => Object.fromEntries(names.map(name => [name, text(name)])) as Record<K, string>
  return {
    kept: {
      ...named(['given', 'street', 'note', 'lot', 'udi', 'phone', 'mrn', 'serial', 'device', 'firmware', 'calibration'], name => `${name}-${nonce}`),
      family: `Müller-${nonce}`
    },
    passing: named(['payloadPatient', 'strangeDevice', 'wrongBody', 'unit', 'metric', 'header', 'query', 'parameter', 'path', 'subject', 'bearer', 'fhirBody', 'reference'], name => `${name}-${nonce}`)
  }
}

/** Logical ids. */
export interface PlantedIds { patient: string, device: string, association: string, metric: string }

export async function admitPlanted (ehr: FhirClient, { kept }: Planted, since: number): Promise<PlantedIds> {
  const [patient, device, association] = [randomUUID(), randomUUID(), randomUUID()].map(id => `urn:uuid:${id}`)
  const entry = (fullUrl: string, resource: { resourceType: string }) => ({ fullUrl, resource, request: { method: 'POST', url: resource.resourceType } })
  const { status, body } = await ehr.send<Bundle>('POST', '/fhir', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      entry(patient!, {
        resourceType: 'Patient', identifier: [{ system: MRN_SYSTEM, value: kept.mrn }], name: [{ family: kept.family, given: [kept.given] }],
        telecom: [{ system: 'phone', value: kept.phone }], address: [{ line: [kept.street] }]
      } as never),
      entry(device!, {
        resourceType: 'Device', identifier: [{ system: TELEMETRY_DEVICE, value: kept.device }], status: 'active', manufacturer: 'Example Sensors Inc.', modelNumber: 'TO2-READER-2',
        serialNumber: kept.serial, lotNumber: kept.lot, udiCarrier: [{ carrierHRF: kept.udi }]
      } as never),
      entry(association!, {
        resourceType: 'DeviceUseStatement', status: 'active', subject: { reference: patient }, device: { reference: device }, timingPeriod: { start: iso(since) }, note: [{ text: kept.note }]
      } as never)
    ]
  })
  expect(status, JSON.stringify(body)).toBe(200)
  const ids = body.entry!.map(({ response }) => response!.location!.split('/').at(-3)!)
  const { body: metrics } = await ehr.get<Bundle<{ id: string, identifier: { value: string }[] }>>(`/fhir/DeviceMetric?source=Device/${ids[1]}`)
  const metric = metrics.entry!.find(({ resource }) => resource.identifier[0]!.value.endsWith('/tissue-po2'))!.resource.id
  return { patient: ids[0]!, device: ids[1]!, association: ids[2]!, metric }
}

/** Readings of every fate. */
export async function sendPlanted (ehr: FhirClient, { kept, passing }: Planted, ids: PlantedIds, from: number): Promise<void> {
  const own = (count: number, at: number, change: object = {}) => samples({ deviceId: kept.device, from: at, count }).map(record => ({ ...record, firmware_version: kept.firmware, ...change }))
  const post = async (body: unknown, headers: Record<string, string> = {}, path = 'application/json') => {
    const { status } = await ehr.telemetry(typeof body === 'string' ? body : JSON.stringify(body), path, headers)
    expect(status).toBeLessThan(500)
  }
  await post(own(120, from))
  await post(own(5, from))
  await post(own(1, from, { channels: [{ metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', value: 77 }] }))
  await post(own(3, from - 10 * MINUTE))
  await post(own(3, from + 3 * MINUTE, { patientId: ids.patient }))
  await post(own(3, from + 3 * MINUTE, { patientId: passing.payloadPatient }))
  await post(own(2, Date.now() + 86_400_000))
  await post(own(1, from + 4 * MINUTE, { channels: [{ metric: passing.metric, kind: 'tissue-po2', unit: 'mm[Hg]', value: 1 }] }))
  await post(own(1, from + 4 * MINUTE, { channels: [{ metric: 'tissue-po2', kind: 'tissue-po2', unit: passing.unit, value: 1 }] }))
  await post(own(1, from + 4 * MINUTE, { channels: [{ metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', value: 900 }], battery_mv: 3_000 }))
  await post(own(1, from + 4 * MINUTE, { [passing.wrongBody]: passing.wrongBody }))
  await post(own(1, from + 4 * MINUTE, { firmware_version: `${kept.firmware}\u0000` }))
  await post(samples({ deviceId: passing.strangeDevice, from, count: 3 }))
  await post(`{"deviceId": "${kept.device}", "deviceId": "${passing.wrongBody}", "timestamp_utc": ${from}}`)
  await post(`{"deviceId": "${passing.wrongBody}`)
  await post(`${passing.wrongBody}\n{"deviceId": "${kept.device}"}\n`, {}, 'application/x-ndjson')
  await post(Buffer.from([0, 0, 0, 0, 1, ...Buffer.from(passing.wrongBody)]).toString('latin1'), {}, 'application/avro')
  await post(own(1, from), { 'X-Device-Id': passing.header, 'X-Request-Id': passing.header, Referer: `http://x/${passing.header}` })
  await post(own(1, from), {}, `text/${passing.header}`)
  await post(own(1, from), { 'Content-Encoding': passing.header })
}

/** Requests that name somebody in every place a request has. @param withoutScope a token that opens nothing here */
export async function askPlanted (oxbow: Oxbow, ehr: FhirClient, withoutScope: string, { kept, passing }: Planted, ids: PlantedIds): Promise<void> {
  const asked = [
    `Patient?identifier=${kept.mrn}`, `Patient?identifier=${MRN_SYSTEM}|${kept.mrn}`, `Device?identifier=${kept.device}`, `Patient?name=${encodeURIComponent(kept.family)}`,
    `Observation?patient=${ids.patient}`, `Observation?device=${ids.device}&code=tissue-po2`, `Observation?patient=${passing.query}`, `Observation?${passing.parameter}=${passing.query}`,
    `Observation?_count=${passing.query}`, `Observation?date=${passing.query}`, `Observation/${passing.path}`, `Observation/${passing.path}/_history/${passing.path}`,
    `Patient/${ids.patient}/_history/${passing.path}`, `${passing.path}/${kept.mrn}`, `Observation?_page=${passing.query}`, 'Observation?identifier=%00'
  ]
  for (const path of asked) {
    for (const headers of [{}, { Authorization: `Bearer ${withoutScope}` }, { Authorization: `Bearer ${passing.bearer}` }, { Authorization: `Basic ${passing.bearer}` }]) {
      const response = await fetch(new URL(`/fhir/${path}`, oxbow.address), { headers: { Authorization: (await tokenOf(ehr)), ...headers, 'X-Correlation-Id': passing.header } })
      await response.text()
      expect(response.status, path).toBeLessThan(500)
    }
  }
  const patient = { resourceType: 'Patient', name: [{ family: passing.fhirBody }] }
  const wrong: readonly [method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body: unknown][] = [
    ['POST', '/fhir/Patient', { ...patient, [passing.fhirBody]: passing.fhirBody }], ['POST', '/fhir/Patient', { ...patient, gender: passing.fhirBody }],
    ['POST', '/fhir/Patient', { ...patient, identifier: [{ system: 'urn:x', value: `${passing.fhirBody}\u0000` }] }], ['POST', '/fhir/Patient', `{"resourceType": "${passing.fhirBody}`],
    ['POST', '/fhir/Device', { resourceType: 'Device', identifier: [{ system: TELEMETRY_DEVICE, value: kept.device }], serialNumber: passing.fhirBody }],
    ['POST', '/fhir/DeviceUseStatement', { resourceType: 'DeviceUseStatement', status: 'active', subject: { reference: `Patient/${passing.reference}` }, device: { reference: `Device/${ids.device}` }, timingPeriod: { start: passing.reference } }],
    ['POST', '/fhir/DeviceUseStatement', { resourceType: 'DeviceUseStatement', status: 'active', subject: { reference: `Patient/${ids.patient}` }, device: { reference: `Device/${ids.device}` }, timingPeriod: { start: '2020-01-01T00:00:00Z' } }],
    ['PUT', `/fhir/Patient/${passing.path}`, { ...patient, id: passing.path, gender: 'nobody' }], ['PUT', `/fhir/DeviceMetric/${ids.metric}`, { resourceType: 'DeviceMetric', id: ids.metric, type: { text: passing.fhirBody } }],
    ['PATCH', `/fhir/Patient/${ids.patient}`, [{ op: 'add', path: '/name', value: passing.fhirBody }]], ['DELETE', `/fhir/Patient/${passing.path}`, {}],
    ['POST', '/fhir', { resourceType: 'Bundle', type: 'transaction', entry: [{ resource: { ...patient, active: passing.fhirBody }, request: { method: 'POST', url: passing.path } }] }]
  ]
  for (const [method, path, body] of wrong) {
    const { status } = await ehr.send(method, path, body, { 'If-Match': `W/"${passing.header}"` })
    expect(status, `${method} ${path} ${JSON.stringify(body)}`).toBeLessThan(500)
  }
}

const tokens = new WeakMap<FhirClient, string>()

/** Remembers the token of a client, so that a request can be made by hand. */
export function withToken (client: FhirClient, token: string): FhirClient {
  tokens.set(client, token)
  return client
}

async function tokenOf (client: FhirClient): Promise<string> { return `Bearer ${tokens.get(client)}` }
