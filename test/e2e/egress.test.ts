/** Closed windows go to two destinations, a folder and another FHIR server that fails in every way: each resource arrives once, at its right revision. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bedside, createBedside, iso, samples, type Worn } from '../support/bedside.ts'
import { unrest } from '../support/brute-force.ts'
import { eventually, type Observation } from '../support/fhir-client.ts'
import { type Fault, type FhirReceiver, startReceiver } from '../support/fhir-receiver.ts'
import { endOxbow, makeDataDir, type Oxbow, startOxbow } from '../support/oxbow-process.ts'
import { asOwner } from '../support/owner-view.ts'
import { chanceOfRun } from '../support/random.ts'

const MRN_SYSTEM = 'urn:oid:2.16.840.1.113883.19.5'
const PATIENTS = ['egress-a', 'egress-b', 'egress-c']
/** Known to us, and not to the receiver. */
const UNKNOWN = 'egress-unknown'
const MINUTE = 60_000
const MINUTES = 8
const M = Math.floor((Date.now() - 6 * 3_600_000) / MINUTE) * MINUTE
const ENTRIES_MAX = 12

const chance = chanceOfRun()
const dataDir = makeDataDir()
const folder = join(dataDir, '..', 'outbox')
let receiver: FhirReceiver
let oxbow: Oxbow
let token: string
let ward: Bedside
let worn: Worn[]

beforeAll(async () => {
  process.stderr.write(`egress test: OXBOW_TEST_SEED=${chance.seed}\n`)
  receiver = await startReceiver()
  for (const mrn of PATIENTS) receiver.addPatient(MRN_SYSTEM, mrn)
  receiver.onTransaction = faultOf
  await start()
  token = await oxbow.token('__telemetry.write system/*.cruds')
  ward = createBedside(oxbow, token)
  worn = []
  for (const mrn of [...PATIENTS, UNKNOWN]) worn.push(await ward.admit({ deviceId: `device-${mrn}`, mrn, start: iso(M - 86_400_000) }))
})
afterAll(async () => {
  await receiver?.close()
  await endOxbow(oxbow, dataDir)
})

async function start (): Promise<void> {
  const destinations = [
    { name: 'ehr', kind: 'fhir', to: receiver.url, patientSystem: MRN_SYSTEM, bundleEntriesMax: ENTRIES_MAX },
    { name: 'outbox', kind: 'directory', to: folder }
  ]
  oxbow = await startOxbow({ dataDir, env: { OXBOW_STREAM_SILENCE: '1s', OXBOW_STREAM_LATENESS: '5s', OXBOW_EGRESS_DESTINATIONS: JSON.stringify(destinations) } })
}

/** Never three failures one after the other, so that the pauses between attempts stay short. */
let failuresInARow = 0
function faultOf (): Fault {
  const fault: Fault = failuresInARow < 2 && chance.is(0.2) ? (['lost', 'lost', 'cut', 500, 503, 429] as const)[chance.whole(0, 6)]! : 'ok'
  failuresInARow = fault === 'ok' ? 0 : failuresInARow + 1
  return fault
}

function ledger (): Promise<{ writer: number, last: number }[]> {
  return asOwner(dataDir, async view => (await view.pool('series').query<{ writer: number, last: number }>('select id as writer, next_number - 1 as last from series.writer where next_number > 1 order by id')).rows)
}

/** Until every ledger row is settled for every destination. */
async function everythingSettled (): Promise<void> {
  await eventually(async () => {
    expect(await asOwner(dataDir, unrest)).toEqual([])
    const rows = await ledger()
    const cursors = await asOwner(dataDir, async view => (await view.pool('linkage').query<{ destination: string, writer: number, last: number }>(
      'select destination, writer, number as last from delivery.cursor order by destination, writer')).rows)
    expect(cursors).toEqual(['ehr', 'outbox'].flatMap(destination => rows.map(row => ({ destination, ...row }))))
  }, 150_000)
}

function send (place: number, minute: number, missing: (second: number) => boolean = () => false): Promise<unknown> {
  const records = samples({ deviceId: `device-${[...PATIENTS, UNKNOWN][place]}`, from: M + minute * MINUTE, count: 60, value: second => 30 + minute + second / 10 })
  return ward.send(records.filter((_, second) => !missing(second)))
}

test('windows are closed, amended and sent while the receiver fails and the server is killed', async () => {
  const late = (second: number) => second === 30
  for (let minute = 0; minute < MINUTES; minute++) {
    for (const place of worn.keys()) await send(place, minute, minute % 4 === 0 ? late : undefined)
    if (minute % 4 !== 2) continue
    // At least one Bundle more is on its way or there; the kill falls where it falls.
    const before = receiver.sizes.length
    await eventually(async () => { expect(receiver.sizes.length).toBeGreaterThan(before) })
    await oxbow.kill('SIGKILL')
    await start()
    ward = createBedside(oxbow, token)
  }
  for (const place of worn.keys()) for (let minute = 0; minute < MINUTES; minute += 4) await send(place, minute, second => !late(second))
  await everythingSettled()
})

/** Every view of the known patients, latest revision, as our API gives it. */
async function ownViews (): Promise<Observation[]> {
  return (await Promise.all(worn.slice(0, PATIENTS.length).map(({ patient }) => ward.ehr.all(`/fhir/Observation?patient=${patient}&_count=1000`)))).flat()
}

const nameOf = ({ identifier }: Pick<Observation, 'identifier'>): string => `${identifier[0]!.system}|${identifier[0]!.value}`
function contentOf ({ status, code, effectivePeriod, effectiveDateTime, issued, valueQuantity, valueSampledData, dataAbsentReason }: Observation): object {
  return { status, code, effectivePeriod, effectiveDateTime, issued, valueQuantity, valueSampledData, dataAbsentReason }
}

test('the receiver has every Observation once, at its latest revision, for the patient it knows', async () => {
  const own = await ownViews()
  expect(own.filter(({ meta }) => meta.versionId !== '1').length).toBeGreaterThanOrEqual(PATIENTS.length * 2)
  const there = receiver.resources('Observation') as unknown as Observation[]
  expect(there.map(nameOf).sort()).toEqual(own.map(nameOf).sort())
  const byName = new Map(there.map(one => [nameOf(one), one]))
  for (const one of own) expect(contentOf(byName.get(nameOf(one))!), nameOf(one)).toEqual(contentOf(one))
  const subjectOf = new Map(own.map(one => [nameOf(one), one.subject.reference]))
  for (const one of there) {
    const mrn = decodeURIComponent(one.subject.reference).split('|')[1]!
    expect(subjectOf.get(nameOf(one))).toBe(`Patient/${worn[PATIENTS.indexOf(mrn)]!.patient}`)
  }
})

test('the receiver has every Provenance once: one for each revision with derived values, whose references all resolve', async () => {
  const names = receiver.resources('Provenance').map(({ id: _id, ...rest }) => JSON.stringify(rest))
  expect(new Set(names).size).toBe(names.length)
  expect(names.filter(text => text.includes('dangling') || text.includes('urn:uuid'))).toEqual([])
  const known = new Set([...receiver.resources('Observation'), ...receiver.resources('Patient')].map(({ resourceType, id }) => `${resourceType}/${id}`))
  const references = names.flatMap(text => [...text.matchAll(/"reference":"([A-Z][A-Za-z]+\/[^"]+)"/g)].map(match => match[1]!))
  expect(references.filter(reference => !known.has(reference))).toEqual([])
  const revisions = await asOwner(dataDir, async view => (await view.pool('series').query<{ count: number }>(
    `select count(*) from series.window_revision r join series.metric m on m.number = r.metric join series.sid s on s.number = r.series
      where m.name = 'tissue-po2' and s.sid = any($1)`, [await sidsOf(PATIENTS)])).rows[0]!.count)
  expect(names.length).toBe(revisions)
})

async function sidsOf (mrns: readonly string[]): Promise<string[]> {
  return asOwner(dataDir, async view => (await view.pool('linkage').query<{ sid: string }>(
    `select m.sid from linkage.sid_map m join fhir.identifier i on i.type = 'Device' and i.id = m.device where i.value = any($1)`, [mrns.map(mrn => `device-${mrn}`)])).rows.map(({ sid }) => sid))
}

test('every Bundle is a transaction within its limit, and failures were among the answers', () => {
  expect(receiver.sizes.every(size => size > 0 && size <= ENTRIES_MAX)).toBe(true)
  expect(receiver.sizes.length).toBeGreaterThan(PATIENTS.length * MINUTES / 2)
})

test('the folder has every revision once, whole, as the API shows it', async () => {
  const lines = new Map<string, Observation>()
  for (const name of readdirSync(join(folder, 'observations'))) {
    for (const line of readFileSync(join(folder, 'observations', name), 'utf8').trimEnd().split('\n')) {
      const observation = JSON.parse(line) as Observation
      const key = `${observation.id}/_history/${observation.meta.versionId}`
      expect(lines.has(key), key).toBe(false)
      lines.set(key, observation)
    }
  }
  const { rows } = await asOwner(dataDir, view => view.pool('series').query<{ id: string, revision: number }>(
    `select v.id, r.revision from series.view v join series.window_revision r using (series, metric, window_start, size_ms)`))
  expect([...lines.keys()].sort()).toEqual(rows.map(({ id, revision }) => `${id}/_history/${revision}`).sort())
  for (const [key, observation] of lines) expect((await ward.ehr.get<Observation>(`/fhir/Observation/${key}`)).body, key).toEqual(observation)
  const bundles = readdirSync(join(folder, 'bundles'))
  expect([...new Set(bundles.map(name => name.replace(/\.json$/, '')))].sort()).toEqual(readdirSync(join(folder, 'observations')).map(name => name.replace(/\.ndjson$/, '')).sort())
  expect(bundles.every(name => (JSON.parse(readFileSync(join(folder, 'bundles', name), 'utf8')) as { type: string }).type === 'transaction')).toBe(true)
})

test('what the receiver refuses for good stands in the list of dead letters, and nothing else does', async () => {
  const letters = await asOwner(dataDir, async view => (await view.pool('linkage').query<{ destination: string, writer: number, number: number, reason: string, status: number }>(
    'select destination, writer, number, reason, http_status as status from delivery.dead_letter')).rows)
  const rows = await asOwner(dataDir, async view => (await view.pool('series').query<{ writer: number, number: number }>(
    'select r.writer, r.number from series.window_revision r join series.sid s on s.number = r.series where s.sid = any($1)', [await sidsOf([UNKNOWN])])).rows)
  expect(new Set(letters.map(({ destination, status }) => `${destination} ${status}`))).toEqual(new Set(['ehr 412']))
  const keyOf = ({ writer, number }: { writer: number, number: number }) => `${writer}/${number}`
  expect(letters.map(keyOf).sort()).toEqual(rows.map(keyOf).sort())
})
