/** What was recorded wrong or came late is put right by itself: windows move to whom they belong, and nothing is lost on the way. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bedside, createBedside, iso, outline, samples, type Worn } from '../support/bedside.ts'
import { seriesSums } from '../support/brute-force.ts'
import { eventually, type Observation } from '../support/fhir-client.ts'
import { endOxbow, makeDataDir, type Oxbow, startOxbow } from '../support/oxbow-process.ts'
import { asOwner } from '../support/owner-view.ts'

const dataDir = makeDataDir()
const env = { OXBOW_STREAM_SILENCE: '2s', OXBOW_STREAM_LATENESS: '10s' }
const MINUTE = 60_000
/** A whole minute some hours ago; short names of times from there. */
const M = Math.floor((Date.now() - 6 * 3_600_000) / MINUTE) * MINUTE
const at = (ms: number): string => iso(M + ms).slice(11, 19)
const SINCE = iso(M - 86_400_000)
/** A job waits five seconds for readings on their way, and looks again every half second. */
const JOB_MS = 40_000

let oxbow: Oxbow
let token: string
let ward: Bedside

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir, env })
  token = await oxbow.token('__telemetry.write system/*.cruds')
  ward = createBedside(oxbow, token)
})
afterAll(async () => {
  await endOxbow(oxbow, dataDir)
})

async function sumsBalance (): Promise<void> {
  await eventually(async () => {
    const { accepted, stored, duplicate, conflict } = await asOwner(dataDir, seriesSums)
    expect(accepted).toBe(stored + duplicate + conflict)
  })
}

/** Readings stored for a device, over all its sids. */
async function storedCount (device: string): Promise<number> {
  return asOwner(dataDir, async view => {
    const { rows: sids } = await view.pool('linkage').query<{ sid: string }>('select sid from linkage.sid_map where device = $1', [device])
    const { rows: [found] } = await view.pool('series').query<{ count: number }>(
      'select count(*) from series.reading r join series.sid s on s.number = r.series where s.sid = any($1)', [sids.map(({ sid }) => sid)])
    return found!.count
  })
}

async function openJobs (): Promise<number> {
  return asOwner(dataDir, async view => (await view.pool('linkage').query<{ count: number }>("select count(*) from linkage.relabel_job where state = 'open'")).rows[0]!.count)
}

function subjects (windows: readonly Observation[]): string[] { return [...new Set(windows.map(({ subject }) => subject.reference))] }
function idsOf (windows: readonly Observation[]): Set<string> { return new Set(windows.map(({ id }) => id)) }

test('a device given to another patient inside a window makes two clipped windows, each with its own Patient', async () => {
  const first = await ward.admit({ deviceId: 'moved', mrn: 'moved-a', start: SINCE, end: iso(M + 30_000) })
  const second = await ward.admit({ deviceId: 'moved', mrn: 'moved-b', start: iso(M + 30_000) })
  expect(second.device).toBe(first.device)
  await ward.send(samples({ deviceId: 'moved', from: M, count: 120, value: place => place < 30 ? 30 : 50 }))
  const ofFirst = await ward.eventuallyWindows(first.patient, windows => { expect(windows.map(outline)).toEqual([`${at(0)}/${at(30_000)} final v1 30`]) })
  const ofSecond = await ward.eventuallyWindows(second.patient, windows => {
    expect(windows.map(outline)).toEqual([`${at(30_000)}/${at(60_000)} final v1 30`, `${at(60_000)}/${at(120_000)} final v1 60`])
  })
  expect([subjects(ofFirst), subjects(ofSecond)]).toEqual([[`Patient/${first.patient}`], [`Patient/${second.patient}`]])
  expect(ofFirst[0]!.identifier[0]!.value).not.toBe(ofSecond[0]!.identifier[0]!.value)
  expect(ofFirst[0]!.valueSampledData!.data).toBe(Array(30).fill('30.0').join(' '))
})

test('an association that overlaps another of its device is refused with 409 and changes nothing', async () => {
  const { device, patient } = await ward.admit({ deviceId: 'busy', mrn: 'busy-a', start: SINCE, end: iso(M) })
  const statement = { status: 'active', subject: { reference: `Patient/${patient}` }, device: { reference: `Device/${device}` } }
  expect((await ward.associate({ ...statement, timingPeriod: { start: iso(M - 1) } })).status).toBe(409)
  const [one, other] = await Promise.all([0, 1].map(shift => ward.associate({ ...statement, timingPeriod: { start: iso(M + shift) } })))
  expect([one!.status, other!.status].sort()).toEqual([201, 409])
  const { body } = await ward.ehr.get<{ entry?: unknown[] }>(`/fhir/DeviceUseStatement?device=Device/${device}`)
  expect(body.entry?.length).toBe(2)
})

test('late data make version 2 amended; version 1 stays as it was read, byte for byte', async () => {
  const { patient } = await ward.admit({ deviceId: 'late', mrn: 'late-a', start: SINCE })
  const all = samples({ deviceId: 'late', from: M, count: 60, value: place => 30 + place / 10 })
  await ward.send(all.filter((_, place) => place !== 20))
  const [before] = await ward.eventuallyWindows(patient, windows => { expect(windows.map(outline)).toEqual([`${at(0)}/${at(60_000)} final v1 59`]) })
  const bytes = await ward.text(`/fhir/Observation/${before!.id}`)
  await ward.send([all[20]!])
  const [after] = await ward.eventuallyWindows(patient, windows => { expect(windows.map(outline)).toEqual([`${at(0)}/${at(60_000)} amended v2 60`]) })
  expect([after!.id, after!.identifier]).toEqual([before!.id, before!.identifier])
  expect(await ward.text(`/fhir/Observation/${before!.id}/_history/1`)).toBe(bytes)
})

test('a period whose end is moved back gives readings back to quarantine, and from there to the patient who wore the device', async () => {
  const first = await ward.admit({ deviceId: 'ended', mrn: 'ended-a', start: SINCE })
  await ward.send(samples({ deviceId: 'ended', from: M, count: 180 }))
  const before = await ward.eventuallyWindows(first.patient, windows => { expect(windows.length).toBe(3) })
  await ward.correct(first.association, { status: 'completed', timingPeriod: { start: SINCE, end: iso(M + 90_000) } })
  const after = await ward.eventuallyWindows(first.patient, windows => {
    expect(windows.map(window => `${window.status} v${window.meta.versionId}`)).toEqual(['final v1', 'amended v2', 'entered-in-error v2'])
  }, JOB_MS)
  expect(outline(after[1]!)).toBe(`${at(60_000)}/${at(90_000)} amended v2 30`)
  expect([after[2]!.valueSampledData, after[2]!.identifier]).toEqual([undefined, before[2]!.identifier])
  expect((await ward.ehr.get(`/fhir/Observation/${before[2]!.id}/_history/1`)).status).toBe(410)
  expect(await storedCount(first.device)).toBe(90)
  const second = await ward.admit({ deviceId: 'ended', mrn: 'ended-b', start: iso(M + 90_000) })
  const released = await ward.eventuallyWindows(second.patient, windows => {
    expect(windows.map(outline)).toEqual([`${at(90_000)}/${at(120_000)} final v1 30`, `${at(120_000)}/${at(180_000)} final v1 60`])
  })
  expect([...idsOf(released)].filter(id => idsOf(before).has(id))).toEqual([])
  expect(await storedCount(first.device)).toBe(180)
  await sumsBalance()
})

test('an association entered in error gives its readings to the right one; a kill in the middle of the job loses none', async () => {
  const COUNT = 30_000
  const from = M - COUNT * 1_000
  const wrong = await ward.admit({ deviceId: 'mistaken', mrn: 'mistaken-a', start: iso(from) })
  const right = await ward.admit({ deviceId: 'elsewhere', mrn: 'mistaken-b', start: SINCE })
  const all = samples({ deviceId: 'mistaken', from, count: COUNT, value: place => 20 + (place % 400) / 10 })
  for (let sent = 0; sent < COUNT; sent += 10_000) await ward.send(all.slice(sent, sent + 10_000))
  const before = await ward.eventuallyWindows(wrong.patient, windows => { expect(windows.length).toBe(COUNT / 60) }, 60_000)
  await recordMistake(wrong, right.patient, iso(from))
  await eventually(async () => { expect(await movedSoFar(wrong.device)).toBeGreaterThan(0) }, JOB_MS)
  await oxbow.kill('SIGKILL')
  oxbow = await startOxbow({ dataDir, env })
  ward = createBedside(oxbow, token)
  await eventually(async () => { expect(await openJobs()).toBe(0) }, 60_000)
  expect(await storedCount(wrong.device)).toBe(COUNT)
  const withdrawn = await ward.eventuallyWindows(wrong.patient, windows => {
    expect(windows.length).toBe(COUNT / 60)
    expect(windows.filter(({ status, valueSampledData }) => status !== 'entered-in-error' || valueSampledData !== undefined)).toEqual([])
  }, 60_000)
  expect(idsOf(withdrawn)).toEqual(idsOf(before))
  const moved = await ward.eventuallyWindows(right.patient, windows => { expect(windows.length).toBe(COUNT / 60) }, 60_000)
  expect(moved.flatMap(({ valueSampledData }) => valueSampledData!.data.split(' ').map(Number))).toEqual(all.map((_, place) => 20 + (place % 400) / 10))
  expect([...idsOf(moved)].filter(id => idsOf(before).has(id))).toEqual([])
  await sumsBalance()
})

/** In one transaction: the wrong association withdrawn, the right one recorded. */
async function recordMistake (wrong: Worn, patient: string, start: string): Promise<void> {
  const { body } = await ward.ehr.get(`/fhir/DeviceUseStatement/${wrong.association}`)
  const statement = { resourceType: 'DeviceUseStatement', status: 'active', subject: { reference: `Patient/${patient}` }, device: { reference: `Device/${wrong.device}` }, timingPeriod: { start } }
  const answer = await ward.ehr.send('POST', '/fhir', {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      { resource: { ...body, status: 'entered-in-error' }, request: { method: 'PUT', url: `DeviceUseStatement/${wrong.association}` } },
      { fullUrl: 'urn:uuid:6a6e3f6e-7f0e-4a10-9d0c-7f3f5f1f0a01', resource: statement, request: { method: 'POST', url: 'DeviceUseStatement' } }
    ]
  })
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
}

async function movedSoFar (device: string): Promise<number> {
  return asOwner(dataDir, async view => (await view.pool('linkage').query<{ moved: number | null }>(
    "select coalesce(sum((progress ->> 'readings')::int), 0)::int as moved from linkage.relabel_job where device = $1", [device])).rows[0]!.moved ?? 0)
}

test('a calibration with effect in the past corrects the windows it covers; what was read before stays readable', async () => {
  const { patient, device } = await ward.admit({ deviceId: 'recalibrated', mrn: 'recalibrated-a', start: SINCE })
  await ward.send(samples({ deviceId: 'recalibrated', from: M, count: 180, value: place => 30 + place / 10 }))
  const before = await ward.eventuallyWindows(patient, windows => { expect(windows.map(({ status }) => status)).toEqual(['final', 'final', 'final']) })
  const bytes = await Promise.all(before.map(({ id }) => ward.text(`/fhir/Observation/${id}`)))
  const path = await ward.calibrate(device, 'two-point-1', 1.5, M + MINUTE)
  const after = await ward.eventuallyWindows(patient, windows => {
    expect(windows.map(({ status, meta }) => `${status} v${meta.versionId}`)).toEqual(['final v1', 'corrected v2', 'corrected v2'])
  }, JOB_MS)
  expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id))
  expect(after[1]!.valueSampledData!.data.split(' ').map(Number)).toEqual(Array.from({ length: 60 }, (_, place) => Number((37.5 + place / 10).toFixed(1))))
  expect(await Promise.all(before.map(({ id }) => ward.text(`/fhir/Observation/${id}/_history/1`)))).toEqual(bytes)
  const { body } = await ward.ehr.get<{ extension: object[] }>(path)
  const changed = JSON.parse(JSON.stringify(body).replace('"value":1.5', '"value":1.6')) as object
  expect((await ward.ehr.send('PUT', path, changed)).status).toBe(422)
  const { extension: _record, ...without } = body
  expect((await ward.ehr.send('PUT', path, without)).status).toBe(422)
})
