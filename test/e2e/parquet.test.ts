/** Days that are over become Parquet files while the server runs, is killed and is corrected; the verb lists them and opens one, and DuckDB reads what was sent. */

import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bedside, createBedside, iso, type Worn } from '../support/bedside.ts'
import { eventually } from '../support/fhir-client.ts'
import { endOxbow, makeDataDir, type Oxbow, startOxbow } from '../support/oxbow-process.ts'
import { askDuckDb, type Cells } from '../support/parquet.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const DAY_MS = 86_400_000
const DAY = Math.floor(Date.now() / DAY_MS) - 3
const DAY_TEXT = iso(DAY * DAY_MS).slice(0, 10)
const NOON = DAY * DAY_MS + DAY_MS / 2
const WAIT_MS = 90_000
/** Nothing here waits for quiet longer than for a turn. */
const env = { OXBOW_DEMO: 'off', OXBOW_ARCHIVE_PARQUET_QUIET: '1s', OXBOW_STREAM_SILENCE: '1s' }
const dataDir = makeDataDir()
const folder = temporaryFolder('opened')
let oxbow: Oxbow
let token: string
let ward: Bedside
let worn: Worn
let opened = 0

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir, env })
  token = await oxbow.token('__telemetry.write system/*.cruds')
  ward = createBedside(oxbow, token)
  worn = await ward.admit({ deviceId: 'device-7', mrn: 'MRN-7', start: iso((DAY - 1) * DAY_MS) })
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await endOxbow(oxbow, dataDir)
})

interface Listed { series: number, day: string, version: number, rows: number, isUpToDate: boolean, name: string }

const reading = (second: number) => ({
  deviceId: 'device-7', patientId: null, timestamp_utc: NOON + second * 1_000, spo2: second % 4 === 0 ? null : 97 + second / 1_000, local_tissue_o2: 40 + second / 100, battery_mv: 3710, firmware_version: '1.2.3', signal_quality: 93
})
const seconds = (from: number, until: number) => Array.from({ length: until - from }, (_, place) => from + place)

async function listed (): Promise<Listed[]> {
  const { code, stdout, stderr } = await oxbow.verb('archive', 'parquet', 'list', '--device', 'device-7', '--json')
  expect([code, stdout === '' ? '' : stderr]).toEqual([0, ''])
  return stdout.split('\n').filter(line => line !== '').map(line => JSON.parse(line) as Listed)
}
/** Waits until the files hold so many readings each, and nothing changed since. */
const eventuallyRows = (rows: readonly number[]) => eventually(async () => {
  const files = await listed()
  expect(files.map(file => [file.rows, file.isUpToDate])).toEqual(rows.map(count => [count, true]))
  return files
}, WAIT_MS)

async function ask (whose: readonly string[], sql: string): Promise<Cells> {
  const to = join(folder, `${opened++}.parquet`)
  const { code, stdout, stderr } = await oxbow.verb('archive', 'parquet', 'open', ...whose, '--day', DAY_TEXT, '--out', to)
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toContain(to)
  expect((await stat(to)).mode & 0o777).toBe(0o600)
  return (await askDuckDb(await readFile(to), sql))[0]!
}

const SUMS = 'select count(*)::int as rows, count(spo2)::int as spo2s, round(sum("tissue-po2"), 6) as po2, min(taken_at) as first, max(taken_at) as last from day'
const sumsOf = (from: number, until: number) => ({
  rows: until - from, spo2s: seconds(from, until).filter(second => second % 4 !== 0).length,
  po2: Math.round(seconds(from, until).reduce((sum, second) => sum + 40 + second / 100, 0) * 1e6) / 1e6, first: new Date(NOON + from * 1_000), last: new Date(NOON + (until - 1) * 1_000)
})

test('a day that is over is written as Parquet; DuckDB reads what was sent', { timeout: WAIT_MS + 30_000 }, async () => {
  await ward.send(seconds(0, 300).map(reading))
  const [file] = await eventuallyRows([300])
  expect(file).toMatchObject({ day: DAY_TEXT })
  expect(await ask(['--device', 'device-7'], SUMS)).toEqual(sumsOf(0, 300))
  expect(await ask(['--series', String(file!.series)], SUMS)).toEqual(sumsOf(0, 300))
  const text = await oxbow.verb('archive', 'parquet', 'list')
  expect(text.stdout).toBe(`series ${file!.series}  ${DAY_TEXT}  version ${file!.version}  300 readings  ${/(\d+) bytes/.exec(text.stdout)![1]} bytes  ${file!.name}\n`)
})

test('late readings make a new version, also of a server that was killed meanwhile', { timeout: WAIT_MS + 60_000 }, async () => {
  const [before] = await listed()
  await ward.send(seconds(300, 400).map(reading))
  await oxbow.kill('SIGKILL')
  oxbow = await startOxbow({ dataDir, env })
  ward = createBedside(oxbow, token)
  await ward.send(seconds(350, 450).map(reading))
  const [after] = await eventuallyRows([450])
  expect(after!.version).toBeGreaterThan(before!.version)
  expect(await ask(['--device', 'device-7'], SUMS)).toEqual(sumsOf(0, 450))
})

test('a corrected association moves readings from the file of one person to that of another', { timeout: 2 * WAIT_MS }, async () => {
  const change = iso(NOON + 200_000)
  await ward.correct(worn.association, { status: 'completed', timingPeriod: { start: iso((DAY - 1) * DAY_MS), end: change } })
  const other = await ward.ehr.send<{ id: string }>('POST', '/fhir/Patient', { resourceType: 'Patient', identifier: [{ system: 'urn:oid:2.16.840.1.113883.19.5', value: 'MRN-8' }], name: [{ family: 'Other' }] })
  await ward.associate({ status: 'active', subject: { reference: `Patient/${other.body.id}` }, device: { reference: `Device/${worn.device}` }, timingPeriod: { start: change } })
  const files = await eventuallyRows([200, 250])
  const several = await oxbow.verb('archive', 'parquet', 'open', '--device', 'device-7', '--day', DAY_TEXT, '--out', join(folder, 'x'))
  expect([several.code, several.stderr]).toEqual([2, expect.stringContaining('--series')])
  const sums = await Promise.all(files.map(({ series }) => ask(['--series', String(series)], SUMS)))
  expect(sums).toEqual([sumsOf(0, 200), sumsOf(200, 450)])
})

test('nothing that the server or the verb wrote names a sid', async () => {
  expect(oxbow.stderr() + oxbow.stdout()).not.toMatch(/\bs1[0-7][0-9a-hjkmnp-tv-z]{26}\b/)
  expect((await oxbow.verb('archive', 'parquet', 'list', '--json')).stdout).not.toMatch(/\bs1[0-7][0-9a-hjkmnp-tv-z]{26}\b/)
})
