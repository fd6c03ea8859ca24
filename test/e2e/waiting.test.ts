/** Readings that nobody can be given yet wait in quarantine and come out by themselves, in order; what was refused is looked at by the verb. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bedside, createBedside, iso, outline, samples } from '../support/bedside.ts'
import { seriesSums } from '../support/brute-force.ts'
import { eventually } from '../support/fhir-client.ts'
import { endOxbow, makeDataDir, type Oxbow, startOxbow } from '../support/oxbow-process.ts'
import { asOwner } from '../support/owner-view.ts'
import { TELEMETRY_DEVICE } from '../support/ward-fixture.ts'

const dataDir = makeDataDir()
const env = { OXBOW_STREAM_SILENCE: '2s', OXBOW_STREAM_LATENESS: '10s', OXBOW_INGEST_PATIENT_SYSTEMS: '["urn:oid:2.16.840.1.113883.19.5"]' }
const MINUTE = 60_000
const M = Math.floor((Date.now() - 6 * 3_600_000) / MINUTE) * MINUTE
const SINCE = iso(M - 86_400_000)

interface Item { id: string, state: string, kind: string, reason: string, eventTime: string, record?: { deviceId: string }, bytes?: string }

let oxbow: Oxbow
let ward: Bedside

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir, env })
  ward = createBedside(oxbow, await oxbow.token('__telemetry.write system/*.cruds'))
})
afterAll(async () => {
  await endOxbow(oxbow, dataDir)
})

async function verb<T> (...args: string[]): Promise<{ code: number, result: T }> {
  const { code, stdout, stderr } = await oxbow.verb('quarantine', ...args, '--json')
  expect(stdout, stderr).not.toBe('')
  return { code, result: JSON.parse(stdout) as T }
}

async function items (device: string, ...states: string[]): Promise<Item[]> {
  return (await verb<Item[]>('list', '--device', device, '--limit', '100000', ...states.flatMap(state => ['--state', state]))).result
}

/** Stored rows of the one association of a device, ascending in time. */
async function storedRows (device: string): Promise<{ at: number, partition: number, offset: number }[]> {
  return asOwner(dataDir, async view => {
    const { rows: [name] } = await view.pool('linkage').query<{ sid: string }>('select sid from linkage.sid_map where device = $1', [device])
    const { rows } = await view.pool('series').query<{ at: number, partition: number, offset: number }>(
      `select (extract(epoch from taken_at) * 1000)::bigint as at, r.partition, src_offset as offset
         from series.reading r join series.sid s on s.number = r.series where s.sid = $1 order by taken_at, sequence`, [name!.sid])
    return rows
  })
}

test('readings sent before their association wait, and are released in order ahead of newer ones when it is recorded', async () => {
  const COUNT = 6_000
  const all = samples({ deviceId: 'early', from: M - COUNT * 1_000, count: COUNT, value: place => 20 + (place % 300) / 10 })
  const waiting = await ward.send(all.slice(0, 2_500))
  expect([waiting.accepted, waiting.quarantined, waiting.rejected[0]!.reason]).toEqual([0, 2_500, 'device-unknown'])
  const device = await ward.ehr.send<{ id: string }>('POST', '/fhir/Device', {
    resourceType: 'Device', identifier: [{ system: TELEMETRY_DEVICE, value: 'early' }], status: 'active', manufacturer: 'Example Sensors Inc.', modelNumber: 'TO2-READER-2'
  })
  expect(device.status).toBe(201)
  await eventually(async () => { expect((await ward.send(all.slice(2_500, 3_000))).rejected[0]!.reason).toBe('not-associated') })
  const patient = await ward.ehr.send<{ id: string }>('POST', '/fhir/Patient', { resourceType: 'Patient', identifier: [{ system: 'urn:oid:2.16.840.1.113883.19.5', value: 'early-a' }] })
  const newer = sendOneByOne(all.slice(3_000))
  const associated = await ward.associate({
    status: 'active', subject: { reference: `Patient/${patient.body.id}` }, device: { reference: `Device/${device.body.id}` }, timingPeriod: { start: SINCE }
  })
  expect(associated.status).toBe(201)
  const counted = await newer
  expect(counted.accepted + counted.quarantined).toBe(3_000)
  const rows = await eventually(async () => {
    const found = await storedRows(device.body.id)
    expect(found.length).toBe(COUNT)
    return found
  }, 60_000)
  expect(new Set(rows.map(({ partition }) => partition)).size).toBe(1)
  expect(rows.filter(({ offset }, place) => place > 0 && offset < rows[place - 1]!.offset)).toEqual([])
  expect(await items('early', 'waiting', 'held')).toEqual([])
  const windows = await ward.eventuallyWindows(patient.body.id, found => { expect(found.filter(({ status }) => status === 'final').length).toBe(COUNT / 60) })
  expect(windows.flatMap(({ valueSampledData }) => valueSampledData!.data.split(' ').map(Number))).toEqual(all.map((_, place) => 20 + (place % 300) / 10))
})

/** Newer readings keep coming in small requests, as a device sends them. */
async function sendOneByOne (records: readonly object[]): Promise<{ accepted: number, quarantined: number }> {
  const sums = { accepted: 0, quarantined: 0 }
  for (let sent = 0; sent < records.length; sent += 20) {
    const answer = await ward.send(records.slice(sent, sent + 20))
    sums.accepted += answer.accepted
    sums.quarantined += answer.quarantined
  }
  return sums
}

test('what came in, was released and is stored adds up', async () => {
  await eventually(async () => {
    await asOwner(dataDir, async view => {
      const { accepted, stored, duplicate, conflict, rows } = await seriesSums(view)
      const { rows: [kept] } = await view.pool('bus').query<{ records: number, released: number, open: number }>(
        `select sum(records - repeated)::bigint as records, sum(released)::bigint as released,
                (select count(*) from quarantine.item where kind = 'record' and state in ('waiting', 'held')) as open from ingest.quarantined`)
      const { rows: [door] } = await view.pool('bus').query<{ accepted: number }>('select sum(accepted)::bigint as accepted from ingest.arrival')
      expect([stored + duplicate + conflict, rows, kept!.records]).toEqual([accepted, stored, kept!.released + kept!.open])
      expect(accepted).toBe(door!.accepted + kept!.released)
    })
  })
})

test('a payload that names another patient is quarantined, and is stored once the association is right', async () => {
  const wrong = await ward.admit({ deviceId: 'contradicted', mrn: 'contradicted-a', start: SINCE })
  // A moment after its association the device may still be looked through for what waits: then they follow by themselves.
  for (const [minute, patientId] of ['contradicted-a', wrong.patient].entries()) {
    const { rejected } = await ward.send(samples({ deviceId: 'contradicted', from: M + minute * MINUTE, count: 60, patientId }))
    expect(rejected.filter(({ reason }) => reason !== 'behind-waiting')).toEqual([])
  }
  await ward.eventuallyWindows(wrong.patient, windows => { expect(windows.length).toBe(2) })
  const answer = await ward.send(samples({ deviceId: 'contradicted', from: M + 2 * MINUTE, count: 60, patientId: 'contradicted-b' }))
  expect([answer.accepted, answer.quarantined, new Set(answer.rejected.map(({ reason }) => reason))]).toEqual([0, 60, new Set(['patient-mismatch'])])
  const held = await items('contradicted', 'held')
  expect([held.length, new Set(held.map(({ reason }) => reason))]).toEqual([60, new Set(['patient-mismatch'])])
  expect((await verb<{ resubmitted: number, remaining: number }>('resubmit', held[0]!.id)).result).toEqual({ resubmitted: 0, remaining: 1 })
  await ward.correct(wrong.association, { status: 'completed', timingPeriod: { start: SINCE, end: iso(M + 2 * MINUTE) } })
  const right = await ward.admit({ deviceId: 'contradicted', mrn: 'contradicted-b', start: iso(M + 2 * MINUTE) })
  expect(await verb('resubmit', '--reason', 'patient-mismatch')).toEqual({ code: 0, result: { resubmitted: 60, remaining: 0 } })
  await ward.eventuallyWindows(right.patient, windows => {
    expect(windows.map(outline)).toEqual([`${iso(M + 2 * MINUTE).slice(11, 19)}/${iso(M + 3 * MINUTE).slice(11, 19)} final v1 60`])
  })
  expect((await items('contradicted', 'resubmitted')).length).toBe(60)
})

test('the verb lists, shows and discards what is kept, beside the running server', async () => {
  await ward.admit({ deviceId: 'refused', mrn: 'refused-a', start: SINCE })
  const [future] = samples({ deviceId: 'refused', from: Date.now() + 86_400_000, count: 1 })
  for (let i = 0; i < 2; i++) expect((await ward.send([future!])).rejected.map(({ reason }) => reason)).toEqual(['time-future'])
  const [item, ...others] = await items('refused')
  expect([item, others]).toMatchObject([{ state: 'held', kind: 'record', reason: 'time-future', schemaId: 2, timesSeen: 2 }, []])
  const { result: shown } = await verb<Item>('show', item!.id)
  expect(JSON.parse(Buffer.from(shown.bytes!, 'base64').toString('utf8'))).toEqual(future)
  expect(await verb('resubmit', item!.id)).toEqual({ code: 1, result: { resubmitted: 0, remaining: 1 } })
  expect(await verb('discard', item!.id, '--because', 'clock of the device was wrong')).toEqual({ code: 0, result: { discarded: 1 } })
  expect((await verb<Item>('show', item!.id)).result).toMatchObject({ state: 'discarded', note: 'clock of the device was wrong', settledBy: expect.stringMatching(/^os-user\/.+@.+$/) })
  expect((await verb<Item>('show', item!.id)).result.bytes).toBeUndefined()
  expect((await verb('discard', item!.id, '--because', 'again')).code).toBe(1)
})

test('a body in which nothing can be read is kept, shown as it was sent, and can be discarded', async () => {
  const { status, body } = await ward.ehr.telemetry('{"deviceId": "cut', 'application/json')
  expect([status, body.received, body.quarantined]).toEqual([400, 1, 1])
  const { result } = await verb<Item[]>('list', '--reason', 'malformed', '--state', 'held')
  expect(result.map(({ kind }) => kind)).toEqual(['body'])
  const { result: shown } = await verb<Item>('show', result[0]!.id)
  expect(Buffer.from(shown.bytes!, 'base64').toString('utf8')).toBe('{"deviceId": "cut')
  expect((await verb('discard', '--reason', 'malformed', '--because', 'test')).code).toBe(0)
})
