/** Associations are ended, moved, withdrawn and recorded anew while devices send and the server is killed: in the end each reading stands where the
 *  associations say it belongs, or waits, and every window is right. The seed of a run is printed; OXBOW_TEST_SEED runs it again. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadDeviceModels } from '../../src/config/device-models.ts'
import { createBedside, iso, type Statement } from '../support/bedside.ts'
import { ledgerGaps, seriesSums, storedSeries, unrest, wrongWindows } from '../support/brute-force.ts'
import { type Bundle, createFhirClient, eventually } from '../support/fhir-client.ts'
import { endOxbow, makeDataDir, type Oxbow, postmasterPid, startOxbow } from '../support/oxbow-process.ts'
import { asOwner, type OwnerView } from '../support/owner-view.ts'
import { chanceOfRun } from '../support/random.ts'
import { type Senders, startSenders } from '../support/sender.ts'

const DEVICES = ['given-1', 'given-2', 'given-3']
const MRNS = ['p-1', 'p-2', 'p-3', 'p-4']
const EDITS = 36
const KILL_EVERY = 12
const PAUSE_MAX_MS = 400

const chance = chanceOfRun()
const dataDir = makeDataDir()
const env = { OXBOW_STREAM_SILENCE: '1s', OXBOW_STREAM_LATENESS: '10s' }
const FROM = Date.now() - 2 * 86_400_000
const SINCE = iso(FROM - 3_600_000)
let oxbow: Oxbow
let token: string
let senders: Senders
const devices: string[] = []
const patients: string[] = []

beforeAll(async () => {
  process.stderr.write(`reassociation test: OXBOW_TEST_SEED=${chance.seed}\n`)
  oxbow = await startOxbow({ dataDir, env })
  token = await oxbow.token('__telemetry.write system/*.cruds')
  const ward = createBedside(oxbow, token)
  for (const [place, mrn] of MRNS.entries()) {
    const worn = await ward.admit({ deviceId: DEVICES[place % DEVICES.length]!, mrn, start: place < DEVICES.length ? SINCE : iso(FROM - 2 * 3_600_000), ...(place < DEVICES.length ? {} : { end: SINCE }) })
    patients.push(worn.patient)
    if (place < DEVICES.length) devices.push(worn.device)
  }
  senders = startSenders({ address: () => oxbow.address, token, devices: DEVICES, strangers: ['nobody-1'], senderCount: 3, chance, from: FROM })
})
afterAll(async () => {
  await senders?.stop()
  await endOxbow(oxbow, dataDir)
})

type Kept = Statement & { id: string }
interface Entry { fullUrl?: string, resource: object, request: { method: string, url: string } }

const put = (statement: Kept, change: Partial<Statement>): Entry => ({ resource: { ...statement, ...change }, request: { method: 'PUT', url: `DeviceUseStatement/${statement.id}` } })
const ended = (statement: Kept, end: number): Entry => put(statement, { status: 'completed', timingPeriod: { start: statement.timingPeriod.start, end: iso(end) } })

function recorded (device: string, period: { start: string, end?: string }): Entry {
  const statement: Statement = {
    resourceType: 'DeviceUseStatement', status: period.end === undefined ? 'active' : 'completed', subject: { reference: `Patient/${patients[chance.whole(0, patients.length)]}` },
    device: { reference: `Device/${device}` }, timingPeriod: period
  }
  return { fullUrl: `urn:uuid:${crypto.randomUUID()}`, resource: statement, request: { method: 'POST', url: 'DeviceUseStatement' } }
}

/** What somebody might put right, in one transaction; it may be refused, or meet a server that is just killed. */
async function edit (): Promise<void> {
  const device = devices[chance.whole(0, devices.length)]!
  const ehr = createFhirClient(oxbow.address, token)
  const { status, body } = await ehr.get<Bundle<Kept>>(`/fhir/DeviceUseStatement?device=Device/${device}&_count=1000`)
  if (status !== 200) return
  const holding = (body.entry ?? []).map(({ resource }) => resource).filter(one => one.status !== 'entered-in-error').sort((a, b) => Date.parse(a.timingPeriod.start) - Date.parse(b.timingPeriod.start))
  const entries = editOf(device, holding)
  if (entries.length > 0) expect((await ehr.send('POST', '/fhir', { resourceType: 'Bundle', type: 'transaction', entry: entries })).status).toBeLessThan(504)
}

function editOf (device: string, holding: readonly Kept[]): Entry[] {
  const last = holding.at(-1)
  const now = newestTime(device)
  if (last === undefined) return [recorded(device, { start: SINCE })]
  const end = last.timingPeriod.end === undefined ? now : Date.parse(last.timingPeriod.end)
  const start = Date.parse(last.timingPeriod.start)
  const inside = end - start < 2 ? end : start + 1 + chance.whole(0, Math.floor(end - start - 1))
  switch (chance.whole(0, 5)) {
    case 0: return [ended(last, inside), recorded(device, { start: iso(inside) })]
    case 1: return [ended(last, inside)]
    case 2: return [put(last, { status: 'entered-in-error' }), recorded(device, last.timingPeriod)]
    case 3: return last.timingPeriod.end === undefined ? [] : [recorded(device, { start: last.timingPeriod.end })]
    default: {
      const one = holding[chance.whole(0, holding.length)]!
      return [put(one, { status: 'entered-in-error' })]
    }
  }
}

/** Roughly how far a device's readings have come. */
function newestTime (device: string): number {
  let newest = FROM
  for (const key of senders.sent.keys()) {
    const [name, time] = key.split('/') as [string, string]
    if (name === DEVICES[devices.indexOf(device)] && Number(time) > newest) newest = Number(time)
  }
  return newest
}

function pause (): Promise<void> { return new Promise(resolve => { setTimeout(resolve, chance.whole(0, PAUSE_MAX_MS)) }) }

test('associations change under load, and the server or PostgreSQL is killed now and then', async () => {
  for (let done = 1; done <= EDITS; done++) {
    await pause()
    await edit().catch((error: unknown) => { if (!(error instanceof TypeError)) throw error })
    if (done % KILL_EVERY !== 0) continue
    if (chance.is(0.3)) process.kill(postmasterPid(dataDir), 'SIGKILL')
    else {
      await oxbow.kill('SIGKILL')
      oxbow = await startOxbow({ dataDir, env })
    }
    const before = senders.sums.received
    await eventually(async () => { expect(senders.sums.received).toBeGreaterThan(before) }, 40_000)
  }
  await senders.stop()
  expect(senders.oddities).toEqual([])
  await eventually(async () => { expect(await asOwner(dataDir, isSettled)).toBe(true) }, 120_000)
})

async function isSettled (view: OwnerView): Promise<boolean> {
  const { rows: jobs } = await view.pool('linkage').query("select from linkage.relabel_job where state = 'open'")
  return jobs.length === 0 && (await unrest(view)).length === 0
}

interface Place { sid: string, from: number, until: number }

/** Where each reading of a device belongs, by the associations as they are recorded now. */
async function places (view: OwnerView): Promise<Map<string, Place[]>> {
  const { rows } = await view.pool('linkage').query<{ name: string, sid: string, from: number, until: number | null }>(
    `select i.value as name, m.sid, (extract(epoch from lower(m.valid)) * 1000)::bigint as from, (extract(epoch from upper(m.valid)) * 1000)::bigint as until
       from linkage.sid_map m join fhir.identifier i on i.type = 'Device' and i.id = m.device and i.system like '%/telemetry-device' where not isempty(m.valid)`)
  return Map.groupBy(rows.map(row => ({ ...row, until: row.until ?? Infinity })), ({ name }) => name)
}

/** Readings in quarantine that are open, as `device/time/sequence`. */
async function waitingKeys (view: OwnerView): Promise<Set<string>> {
  const { rows: names } = await view.pool('linkage').query<{ bi: Buffer, name: string }>(
    `select b.bi, i.value as name from linkage.blind_index b join fhir.identifier i on i.type = 'Device' and i.id = b.device and i.system like '%/telemetry-device'`)
  const byIndex = new Map(names.map(({ bi, name }) => [bi.toString('hex'), name]))
  const { rows } = await view.pool('bus').query<{ device: Buffer | null, time: number, sequence: number }>(
    "select device_index as device, event_time as time, sequence from quarantine.item where kind = 'record' and state in ('waiting', 'held')")
  return new Set(rows.map(({ device, time, sequence }) => `${byIndex.get(device?.toString('hex') ?? '') ?? '?'}/${time}/${sequence}`))
}

test('each reading stands under the association that covers it, once, or waits where none does', async () => {
  await asOwner(dataDir, async view => {
    const [belongs, waiting, all] = [await places(view), await waitingKeys(view), await storedSeries(view)]
    const stored = new Map<string, string>()
    for (const { deviceId, sid, rows } of all) {
      for (const { takenAt, sequence } of rows) {
        const key = `${deviceId}/${takenAt}/${sequence}`
        expect(stored.has(key), `${key} stands under two sids`).toBe(false)
        stored.set(key, sid)
      }
    }
    const wrong: string[] = []
    for (const key of [...senders.acknowledged, ...senders.quarantined]) {
      const [name, time] = key.split('/') as [string, string]
      const expected = belongs.get(name)?.find(({ from, until }) => Number(time) >= from && Number(time) < until)?.sid
      if (stored.get(key) !== expected) wrong.push(`${key}: in ${stored.get(key) ?? 'no series'}, belongs to ${expected ?? 'nobody'}`)
      if (expected === undefined && DEVICES.includes(name) && !waiting.has(key)) wrong.push(`${key}: belongs to nobody and does not wait`)
    }
    expect(wrong.slice(0, 20)).toEqual([])
    expect(stored.size).toBeGreaterThan(500)
    process.stderr.write(`reassociation test: ${all.length} sids, ${stored.size} readings stored, ${waiting.size} wait\n`)
  })
})

test('every window of every sid says what its readings say; what lost them is withdrawn', async () => {
  const models = await loadDeviceModels('mappings/models')
  await asOwner(dataDir, async view => {
    for (const series of await storedSeries(view)) expect(await wrongWindows(view, series, models)).toEqual([])
    expect(await ledgerGaps(view)).toEqual([])
    const { accepted, stored, duplicate, conflict } = await seriesSums(view)
    expect([accepted, conflict]).toEqual([stored + duplicate + conflict, 0])
  })
})
