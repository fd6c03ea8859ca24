/** Who and what are apart: identifiers planted for this run are found in the linkage store and nowhere else, in no form (privacy.md §13). */

import { readdirSync, readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { iso, samples } from '../support/bedside.ts'
import { unrest } from '../support/brute-force.ts'
import { findCanaries, formsOf, type Haystack } from '../support/canary.ts'
import { dumpTables, scalarsOf, type TableDump } from '../support/dump.ts'
import { createFhirClient, eventually, type FhirClient, type Observation } from '../support/fhir-client.ts'
import { busEnvironment, endOxbow, makeDataDir, type Oxbow, startOxbow, type VerbResult } from '../support/oxbow-process.ts'
import { asOwner } from '../support/owner-view.ts'
import { admitPlanted, askPlanted, type PlantedIds, plantedTexts, sendPlanted, withToken } from '../support/planted-ward.ts'

const dataDir = makeDataDir()
const env = { OXBOW_STREAM_SILENCE: '1s', OXBOW_STREAM_LATENESS: '5s', OXBOW_LOG_LEVEL: 'debug', OXBOW_ARCHIVE_SLICE_TIME: '1s' }
const MINUTE = 60_000
const M = Math.floor((Date.now() - 6 * 3_600_000) / MINUTE) * MINUTE
// Letters only: a piece of a number or of a uuid can never be it by chance.
const planted = plantedTexts([...randomBytes(10)].map(byte => String.fromCharCode(97 + byte % 26)).join(''))
const everyText = [...Object.values(planted.kept), ...Object.values(planted.passing)]

let oxbow: Oxbow
let ehr: FhirClient
let ids: PlantedIds
const dumps = new Map<'series' | 'bus' | 'linkage' | 'keys', TableDump[]>()
const written: Haystack[] = []

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir, env })
  const token = await oxbow.token('__telemetry.write system/*.cruds', '--subject', planted.passing.subject)
  ehr = withToken(createFhirClient(oxbow.address, token), token)
  ids = await admitPlanted(ehr, planted, M - 86_400_000)
  await sendPlanted(ehr, planted, ids, M)
  const withoutScope = await oxbow.token('system/Device.r', '--subject', planted.passing.subject)
  await calibrate()
  await askPlanted(oxbow, ehr, withoutScope, planted, ids)
  await settled()
  await endAssociation()
  await killSession()
  await settled()
  keepOutput(await oxbow.verb('quarantine', 'list', '--json', '--limit', '10000'))
  keepOutput(await oxbow.verb('doctor', '--json'))
  written.push({ name: '/metrics', bytes: Buffer.from(await (await fetch(new URL('/metrics', oxbow.address))).text()) })
  written.push({ name: '/health/ready', bytes: Buffer.from(await (await fetch(new URL('/health/ready', oxbow.address))).text()) })
  await asOwner(dataDir, async view => { for (const store of ['series', 'bus', 'linkage', 'keys'] as const) dumps.set(store, await dumpTables(view.pool(store))) })
}, 180_000)
afterAll(async () => {
  await endOxbow(oxbow, dataDir)
})

function keepOutput ({ stdout, stderr }: VerbResult): void { written.push({ name: 'a verb', bytes: Buffer.from(stdout + stderr) }) }

async function settled (): Promise<void> { await eventually(async () => { expect(await asOwner(dataDir, unrest)).toEqual([]) }, 60_000) }

async function calibrate (): Promise<void> {
  const path = `/fhir/DeviceMetric/${ids.metric}`
  const { body } = await ehr.get<Record<string, unknown>>(path)
  const record = {
    url: 'https://oxbow-fhir.github.io/ig/StructureDefinition/calibration-record',
    extension: [
      { url: 'version', valueString: planted.kept.calibration },
      { url: 'model', valueCode: 'offset' },
      { url: 'coefficient', extension: [
        { url: 'name', valueString: 'offset' }, { url: 'value', valueQuantity: { value: 0.5, unit: 'mmHg', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' } }
      ] },
      { url: 'effective', valuePeriod: { start: iso(M + MINUTE) } }
    ]
  }
  const answer = await ehr.send('PUT', path, { ...body, extension: [record], calibration: [{ type: 'offset', state: 'calibrated', time: iso(M) }] })
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
}

/** Readings go back to quarantine, views are withdrawn. */
async function endAssociation (): Promise<void> {
  const path = `/fhir/DeviceUseStatement/${ids.association}`
  const { body } = await ehr.get<Record<string, unknown>>(path)
  const answer = await ehr.send('PUT', path, { ...body, status: 'completed', timingPeriod: { start: iso(M - 86_400_000), end: iso(M + 90_000) } })
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  await eventually(async () => {
    const rows = await asOwner(dataDir, async view => (await view.pool('linkage').query("select from linkage.relabel_job where state = 'open'")).rowCount)
    expect(rows).toBe(0)
  }, 40_000)
}

/** What PostgreSQL says of a session that died says what it was doing. */
async function killSession (): Promise<void> {
  const busy = Promise.allSettled(Array.from({ length: 40 }, (_, place) => ehr.telemetry(JSON.stringify(samples({ deviceId: planted.kept.device, from: M + place * 1_000, count: 1 })), 'application/json')))
  const { rows } = await asOwner(dataDir, view => view.pool('linkage').query<{ pid: number }>("select pid from pg_stat_activity where usename = 'oxbow_linkage' limit 1"))
  process.kill(rows[0]!.pid, 'SIGKILL')
  await busy
  await eventually(async () => { expect((await ehr.get(`/fhir/Patient/${ids.patient}`)).status).toBe(200) })
}

function haystacks (store: 'series' | 'bus' | 'linkage' | 'keys'): Haystack[] { return dumps.get(store)!.map(({ table, bytes }) => ({ name: table, bytes })) }

/** Files of a folder and those below it. */
function filesBelow (folder: string): Haystack[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
    .map(entry => ({ name: join(entry.parentPath, entry.name), bytes: readFileSync(join(entry.parentPath, entry.name)) }))
}

/** What the broker keeps of the topics of this server: keys, headers and values, not compressed; none where the broker is another machine's. */
function topicFiles (): Haystack[] {
  const prefix = busEnvironment(dataDir)['OXBOW_KAFKA_TOPIC_PREFIX']!
  return filesBelow(join(inject('temporaryRoot'), 'kafka', 'logs')).filter(({ name }) => name.includes(`/${prefix}`) && name.endsWith('.log'))
}

test('the scan finds a text in every form, wherever it begins', () => {
  const text = 'Müller-abc'
  for (const form of formsOf(text)) expect(findCanaries([{ name: 'x', bytes: Buffer.from(`.${form.text}.`, 'latin1') }], [text]), form.name).toContain(`x: ${text} as ${form.name}`)
  for (const shift of [0, 1, 2, 3]) {
    for (const end of ['', '!', '!!']) expect(findCanaries([{ name: 'x', bytes: Buffer.from(Buffer.from(`${'.'.repeat(shift)}${text}${end}`).toString('base64')) }], [text])).not.toEqual([])
  }
  expect(findCanaries([{ name: 'x', bytes: Buffer.from(JSON.stringify('MÜLLER-ABC'.toLowerCase())) }], [text])).toEqual(['x: Müller-abc as raw'])
})

test('the run did what it was to do: windows were closed, corrected and withdrawn, inputs quarantined', async () => {
  const windows = await ehr.all<Observation>(`/fhir/Observation?patient=${ids.patient}&code=tissue-po2`)
  expect(windows.map(({ status }) => status)).toEqual(expect.arrayContaining(['amended', 'entered-in-error']))
  expect(Math.max(...windows.map(({ meta }) => Number(meta.versionId)))).toBeGreaterThanOrEqual(3)
  const reasons = await asOwner(dataDir, async view => (await view.pool('bus').query<{ reason: string }>('select distinct reason from quarantine.item order by 1')).rows)
  expect(reasons.map(({ reason }) => reason)).toEqual(expect.arrayContaining(
    ['channel-unknown', 'device-unknown', 'duplicate-key', 'malformed', 'not-associated', 'patient-mismatch', 'range-hard', 'time-future', 'unit-mismatch']))
})

test('what was planted and belongs to the linkage store is found there', () => {
  for (const text of Object.values(planted.kept)) expect(findCanaries(haystacks('linkage'), [text]), text).not.toEqual([])
})

test('none of it stands in the series store, nor an id of a linkage resource', () => {
  expect(findCanaries(haystacks('series'), [...everyText, ...Object.values(ids)])).toEqual([])
})

test('none of it stands in the archive, neither in objects nor in their names', async () => {
  await eventually(async () => { expect(JSON.parse((await oxbow.verb('archive', 'verify', '--json')).stdout)).toMatchObject({ ok: true, underway: { records: 0 } }) }, 60_000)
  const objects = filesBelow(join(dataDir, 'archive'))
  expect(objects.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeGreaterThan(1_000)
  const names = { name: 'names', bytes: Buffer.from(objects.map(({ name }) => name.slice(dataDir.length)).join('\n')) }
  const { rows: sids } = await asOwner(dataDir, view => view.pool('series').query<{ sid: string }>('select sid from series.sid'))
  expect(findCanaries([...objects, names], [...everyText, ...Object.values(ids), ...sids.map(({ sid }) => sid)])).toEqual([])
})

test.skipIf(inject('kafka') !== undefined && inject('kafkaPid') === undefined)('none of it stands in the bus, in quarantine or beside the keys; sealed bytes do not show it', () => {
  expect(findCanaries([...haystacks('bus'), ...haystacks('keys')], [...everyText, ...Object.values(ids)])).toEqual([])
  const sealed = inject('kafka') === undefined ? haystacks('bus').filter(({ name }) => name === 'bus.batch') : topicFiles()
  expect(sealed.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeGreaterThan(1_000)
  expect(findCanaries(sealed, [...everyText, ...Object.values(ids)])).toEqual([])
})

test('no value of the linkage store stands in the series store, but sids, times and the words of the domain', () => {
  const [linkage, series] = [scalarsOf(dumps.get('linkage')!), scalarsOf(dumps.get('series')!)]
  const shared = [...linkage].filter(([value]) => value.length >= 6 && series.has(value))
    .filter(([value, where]) => where !== 'linkage.sid_map.sid' && where !== 'linkage.recalibration_job.sids' && !isTime(value) && !WORDS.has(value))
  expect(shared.map(([value, where]) => `${value} in ${where} and ${series.get(value)}`)).toEqual([])
})

/** Of code systems, units, metrics and device models: they say nothing about anybody. */
const WORDS: ReadonlySet<string> = new Set([
  'tissue-po2', 'mm[Hg]', 'urn:iso:std:iso:11073:10101', 'http://unitsofmeasure.org', 'http://loinc.org', '59408-5', '2708-6', '150456', 'MDC_PULS_OXIM_SAT_O2', 'device',
  'https://oxbow-fhir.github.io/ig/CodeSystem/tissue-oxygen-metric', 'Interstitial tissue oxygen partial pressure', 'Oxygen saturation in Arterial blood',
  'Oxygen saturation in Arterial blood by Pulse oximetry', 'Example Sensors Inc.', 'TO2-READER-2'
])

function isTime (value: string): boolean { return /^\d{4}-\d{2}-\d{2}([ T][0-9:.]+(Z|\+00)?)?$/.test(value) }

test('none of it stands in the log of the server, of PostgreSQL, in metrics or in what verbs print', async () => {
  const logs: Haystack[] = [
    { name: 'log of the server', bytes: Buffer.from(oxbow.stderr() + oxbow.stdout()) },
    // The log of PostgreSQL, and whatever else stands beside its folder.
    ...readdirSync(dataDir, { withFileTypes: true }).filter(entry => entry.isFile()).map(({ name }) => ({ name, bytes: readFileSync(join(dataDir, name)) }))
  ]
  expect(logs.filter(({ bytes }) => bytes.length > 100).map(({ name }) => name)).toEqual(expect.arrayContaining(['log of the server', 'postgres.log']))
  const { rows: sids } = await asOwner(dataDir, view => view.pool('linkage').query<{ sid: string }>('select sid from linkage.sid_map'))
  expect(findCanaries([...logs, ...written], [...everyText, ...Object.values(ids), ...sids.map(({ sid }) => sid)])).toEqual([])
})

test('none of it stands in the files of the series and bus databases, once the server has stopped', async () => {
  const oids = await asOwner(dataDir, async view => (await view.pool('series').query<{ datname: string, oid: number }>("select datname, oid::int from pg_database where datname like 'oxbow\\_%'")).rows)
  const folderOf = (name: string) => join(dataDir, 'postgres', 'base', String(oids.find(({ datname }) => datname === name)!.oid))
  expect(await oxbow.stop()).toEqual({ code: 0, signal: null })
  const raw = [...everyText, ...Object.values(ids)]
  expect(findCanaries(filesBelow(folderOf('oxbow_linkage')), [planted.kept.mrn])).not.toEqual([])
  expect(findCanaries([...filesBelow(folderOf('oxbow_series')), ...filesBelow(folderOf('oxbow_bus'))], raw)).toEqual([])
  expect(findCanaries([{ name: 'log of the server', bytes: Buffer.from(oxbow.stderr() + oxbow.stdout()) }], everyText)).toEqual([])
})
