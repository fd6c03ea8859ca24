/** What the README promises: a patient, a device and an association from the shipped Bundle, readings posted, a final Observation found. */

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bundle, createFhirClient, eventually, type FhirClient, type Observation } from '../support/fhir-client.ts'
import { makeDataDir, type Oxbow, removeDataDir, startOxbow } from '../support/oxbow-process.ts'

const dataDir = makeDataDir()
let oxbow: Oxbow
let ehr: FhirClient
let patient: string

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir })
  ehr = createFhirClient(oxbow.address, await oxbow.token('__telemetry.write system/*.cruds'))
  const answer = await ehr.send('POST', '/fhir', JSON.parse(readFileSync('docs/examples/first-patient.json', 'utf8')))
  expect(answer.status).toBe(200)
  const found = await ehr.get<Bundle<{ id: string }>>('/fhir/Patient?identifier=MRN-4711')
  patient = found.body.entry![0]!.resource.id
})
afterAll(async () => {
  await oxbow?.stop()
  removeDataDir(dataDir)
})

/** A whole minute that ended some minutes ago. */
const START = Math.floor((Date.now() - 300_000) / 60_000) * 60_000

function reading (takenAt: number): object {
  return {
    deviceId: 'device-42', patientId: null, timestamp_utc: takenAt, spo2: 97.1, local_tissue_o2: 41.2, battery_mv: 3710, firmware_version: '1.2.3', signal_quality: 93
  }
}

test('readings of a worn device are found as a final Observation of its patient after the window closes', async () => {
  const body = Array.from({ length: 120 }, (_, second) => JSON.stringify(reading(START + second * 1_000))).join('\n')
  const { status, body: answer } = await ehr.telemetry(body, 'application/x-ndjson')
  expect([status, answer]).toEqual([200, { received: 120, accepted: 120, quarantined: 0, rejected: [], fields: [] }])
  const observation = await eventually(async () => {
    const { body: found } = await ehr.get<Bundle<Observation>>(`/fhir/Observation?patient=${patient}&code=tissue-po2&date=ge${new Date(START).toISOString()}`)
    expect(found.entry?.length).toBe(1)
    return found.entry![0]!.resource
  })
  expect(observation.status).toBe('final')
  expect(observation.subject.reference).toBe(`Patient/${patient}`)
  expect(observation.effectivePeriod).toEqual({ start: new Date(START).toISOString(), end: new Date(START + 60_000).toISOString() })
  expect(observation.valueSampledData!.data).toBe(Array(60).fill('41.2').join(' '))
})

test('the Observation read by its id is the one that was found; its first version stays readable', async () => {
  const { body } = await ehr.get<Bundle<Observation>>(`/fhir/Observation?patient=${patient}&code=tissue-po2`)
  const found = body.entry![0]!.resource
  const read = await ehr.get<Observation>(`/fhir/Observation/${found.id}`)
  expect(read.status).toBe(200)
  expect(read.body).toEqual(found)
  expect(read.headers.get('ETag')).toBe('W/"1"')
  expect((await ehr.get<Observation>(`/fhir/Observation/${found.id}/_history/1`)).body).toEqual(found)
})

test('the same readings again change nothing', async () => {
  const body = JSON.stringify(Array.from({ length: 120 }, (_, second) => reading(START + second * 1_000)))
  expect((await ehr.telemetry(body, 'application/json')).body.accepted).toBe(120)
  await eventually(async () => {
    const metrics = await (await fetch(new URL('/metrics', oxbow.address))).text()
    expect(metrics).toContain('oxbow_readings_suppressed_total{kind="duplicate"} 120')
    expect(metrics).toContain('oxbow_readings_stored_total 120')
  })
})

test('an open window is not readable, and views are not written', async () => {
  const all = await ehr.all(`/fhir/Observation?patient=${patient}&code=tissue-po2`)
  expect(all.length).toBe(1)
  for (const method of ['PUT', 'DELETE', 'PATCH'] as const) {
    expect((await ehr.send(method, `/fhir/Observation/${all[0]!.id}`, all[0])).status).toBe(405)
  }
})

test('an unknown search parameter is refused, unless the client asks to overlook it', async () => {
  expect((await ehr.get(`/fhir/Observation?patient=${patient}&colour=red`)).status).toBe(400)
  expect((await ehr.get(`/fhir/Observation?patient=${patient}&colour=red`, { Prefer: 'handling=lenient' })).status).toBe(200)
})

test('without a token nothing is answered, and metadata is for everybody', async () => {
  expect((await fetch(new URL(`/fhir/Observation?patient=${patient}`, oxbow.address))).status).toBe(401)
  const metadata = await fetch(new URL('/fhir/metadata', oxbow.address))
  expect(metadata.status).toBe(200)
  expect(((await metadata.json()) as { resourceType: string }).resourceType).toBe('CapabilityStatement')
})

test('the server stops in order, and starts again with everything it had', async () => {
  const before = await ehr.all(`/fhir/Observation?patient=${patient}&_sort=date`)
  expect(await oxbow.stop()).toEqual({ code: 0, signal: null })
  oxbow = await startOxbow({ dataDir })
  ehr = createFhirClient(oxbow.address, await oxbow.token('__telemetry.write system/*.cruds'))
  expect(await ehr.all(`/fhir/Observation?patient=${patient}&_sort=date`)).toEqual(before)
})
