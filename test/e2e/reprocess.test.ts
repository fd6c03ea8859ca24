/** A day of several devices, reprocessed from the archive: with no change nothing changes; after a change every window is what it would be computed fresh. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MODELS_FOLDER } from '../../src/config/product.ts'
import { loadDeviceModels } from '../../src/config/device-models.ts'
import { type Bedside, createBedside, iso, samples, type Worn } from '../support/bedside.ts'
import { storedSeries, unrest, wrongWindows } from '../support/brute-force.ts'
import { dumpTables } from '../support/dump.ts'
import { eventually } from '../support/fhir-client.ts'
import { busEnvironment, endOxbow, makeDataDir, type Oxbow, startOxbow } from '../support/oxbow-process.ts'
import { asOwner } from '../support/owner-view.ts'

const dataDir = makeDataDir()
const env = { OXBOW_STREAM_SILENCE: '2s', OXBOW_STREAM_LATENESS: '10s', OXBOW_ARCHIVE_SLICE_TIME: '1s' }
const MINUTE = 60_000
const DAY = 86_400_000
const DEVICES = ['day-1', 'day-2', 'day-3']
/** The day before yesterday, and short names of what is asked for. */
const FROM = Math.floor(Date.now() / DAY) * DAY - 2 * DAY
const SPAN = ['--from', iso(FROM), '--to', iso(FROM + DAY)]
/** One reading every other minute. */
const STEP_MS = 2 * MINUTE
const COUNT = DAY / STEP_MS
/** Each in a window of its own. */
const WINDOWS = DEVICES.length * COUNT
const REST_MS = 120_000
const models = await loadDeviceModels(MODELS_FOLDER)

let oxbow: Oxbow
let ward: Bedside
let worn: Worn[]

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir, env })
  ward = createBedside(oxbow, await oxbow.token('__telemetry.write system/*.cruds'))
  worn = []
  for (const deviceId of DEVICES) worn.push(await ward.admit({ deviceId, mrn: `mrn-${deviceId}`, start: iso(FROM - DAY) }))
  for (const [place, deviceId] of DEVICES.entries()) await ward.send(readings(deviceId, place))
}, 240_000)
afterAll(async () => { await endOxbow(oxbow, dataDir) })

function readings (deviceId: string, place: number, from = FROM, count = COUNT): object[] {
  return samples({ deviceId, from, count, value: at => 30 + place + (at % 200) / 10 })
    .map((record, at) => ({ ...record, timestamp_utc: from + at * STEP_MS }))
}

interface Outcome { originals: number, added: number, filled: number, corrected: number, uncovered: number, windows: number, revisions: number, kept: number, unassigned: number }

async function reprocess (...args: string[]): Promise<Outcome> {
  const { code, stdout, stderr } = await oxbow.verb('reprocess', ...args, '--json')
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout) as Outcome
}

/** Stored, closed, amended and archived. */
async function atRest (): Promise<void> {
  await eventually(() => asOwner(dataDir, async view => {
    expect(await unrest(view)).toEqual([])
    const { rows } = await view.pool('bus').query<{ partition: number, next: number }>('select partition, next_offset as next from archive.partition')
    const archived = new Map(rows.map(({ partition, next }) => [partition, next]))
    expect([...await view.rawEnds()].filter(([partition, end]) => (archived.get(partition) ?? 0) < end)).toEqual([])
  }), REST_MS)
}

/** The jobs themselves, the day through which the writer of files looks, and who reads which partition. */
const OF_WHO_WORKS: ReadonlySet<string> = new Set(['series.reprocess_job', 'series.watched', 'series.owner'])

/** Every table of the series store as text, but for those that tell who works on it, and days that the writer of files has to look at for the first time
 *  (number 0), which it notes by itself, whenever it comes to it. Days that changed are there. */
async function dump (): Promise<Record<string, string>> {
  return asOwner(dataDir, async view => Object.fromEntries((await dumpTables(view.pool('series')))
    .filter(({ table }) => !OF_WHO_WORKS.has(table))
    .map(({ table, bytes }) => [table, bytes.toString('utf8').split('\n').filter(line => table !== 'series.changed_day' || !line.endsWith('\t0')).sort().join('\n')])))
}

async function findings (): Promise<string[]> {
  return asOwner(dataDir, async view => {
    const found: string[] = []
    for (const series of await storedSeries(view)) found.push(...await wrongWindows(view, series, models))
    return found
  })
}

interface Version { start: number, device: string, metric: number, revision: number, id: string }

/** Latest revision of every window with the ids it is shown under. */
async function versions (): Promise<Version[]> {
  return asOwner(dataDir, async view => {
    const { rows: sids } = await view.pool('linkage').query<{ sid: string, device: string }>('select sid, device from linkage.sid_map')
    const deviceOf = new Map(sids.map(({ sid, device }) => [sid, device]))
    const { rows } = await view.pool('series').query<Omit<Version, 'device'> & { sid: string }>(`
      select s.sid, (extract(epoch from w.window_start) * 1000)::bigint as start, w.metric, max(w.revision)::int as revision,
        (select string_agg(v.id::text, ' ' order by v.id) from series.view v where v.series = w.series and v.metric = w.metric and v.window_start = w.window_start and v.size_ms = w.size_ms) as id
      from series.window_revision w join series.sid s on s.number = w.series group by s.sid, w.series, w.metric, w.window_start, w.size_ms order by 1, 2, 3`)
    return rows.map(({ sid, ...row }) => ({ ...row, device: deviceOf.get(sid)! }))
  })
}

/** The DeviceMetric gets a calibration, value + offset; that its windows wait for it is forgotten, as if the job had been lost. */
async function recalibrate (device: string, version: string, offset: number, from: number): Promise<void> {
  await asOwner(dataDir, async view => {
    await view.pool('linkage').query(`create or replace function linkage.lose_job () returns trigger language plpgsql as $$ begin new.state := 'done'; return new; end $$;
      create or replace trigger lose_job before insert on linkage.recalibration_job for each row execute function linkage.lose_job()`)
  })
  await ward.calibrate(device, version, offset, from)
}

test('with no change nothing changes: no row, no revision, no time of issue', async () => {
  await atRest()
  const before = await dump()
  expect(before['series.window_revision']!.split('\n').length).toBeGreaterThan(WINDOWS)
  expect(await reprocess(...SPAN)).toMatchObject({ originals: DEVICES.length * COUNT, added: 0, filled: 0, corrected: 0, uncovered: 0, kept: 0, windows: WINDOWS, revisions: 0 })
  expect(await dump()).toEqual(before)
}, 240_000)

test('after a calibration with effect from noon, the windows from noon on are what they are computed fresh: ids as before, one revision more; nothing else moves', async () => {
  const before = await versions()
  await recalibrate(worn[0]!.device, 'two-point-1', 1.5, FROM + DAY / 2)
  expect(await versions()).toEqual(before)
  expect((await findings()).length).toBeGreaterThan(0)
  const { revisions, windows } = await reprocess(...SPAN)
  expect([windows, revisions > 0]).toEqual([WINDOWS, true])
  expect(await findings()).toEqual([])
  const after = await versions()
  const isTouched = ({ device, start }: Version): boolean => device === worn[0]!.device && start >= FROM + DAY / 2
  const moved = after.filter((version, place) => version.revision !== before[place]!.revision)
  expect(after.map(({ id, start, device, metric }) => ({ id, start, device, metric }))).toEqual(before.map(({ id, start, device, metric }) => ({ id, start, device, metric })))
  expect([moved.length, moved.every(isTouched), new Set(moved.map(({ start }) => start)).size]).toEqual([revisions, true, COUNT / 2])
  expect(moved.every(({ revision }) => revision === 2)).toBe(true)
  const [window] = (await ward.windows(worn[0]!.patient)).slice(-1)
  expect([window!.status, window!.meta.versionId]).toEqual(['corrected', '2'])
  const once = await dump()
  expect(await reprocess(...SPAN)).toMatchObject({ revisions: 0, added: 0, corrected: 0 })
  expect(await dump()).toEqual(once)
}, 240_000)

test('rows that are missing, lack a field or say something else than their original are put right, and their windows with them', async () => {
  await asOwner(dataDir, async view => {
    const pool = view.pool('series')
    const at = (ms: number): Date => new Date(FROM + ms)
    expect((await pool.query('delete from series.reading where taken_at >= $1 and taken_at < $2', [at(0), at(20 * MINUTE)])).rowCount).toBe(DEVICES.length * 10)
    expect((await pool.query('update series.reading set v0 = v0 + 1 where taken_at >= $1 and taken_at < $2', [at(40 * MINUTE), at(50 * MINUTE)])).rowCount).toBe(DEVICES.length * 5)
    expect((await pool.query('update series.reading set v0 = null where taken_at = $1', [at(60 * MINUTE)])).rowCount).toBe(DEVICES.length)
  })
  expect(await reprocess(...SPAN)).toMatchObject({ added: DEVICES.length * 10, corrected: DEVICES.length * 5, filled: DEVICES.length, uncovered: 0 })
  await atRest()
  expect(await findings()).toEqual([])
  const stored = await asOwner(dataDir, async view => new Map((await storedSeries(view)).map(({ deviceId, rows }) => [deviceId, rows.map(row => [row.takenAt, row.values])])))
  expect(DEVICES.map(deviceId => stored.get(deviceId))).toEqual(DEVICES.map((deviceId, place) => readings(deviceId, place).map(record => {
    const { timestamp_utc: takenAt, channels: [channel] } = record as { timestamp_utc: number, channels: { value: number }[] }
    return [takenAt, [channel!.value]]
  })))
  expect(await reprocess(...SPAN)).toMatchObject({ added: 0, corrected: 0, filled: 0, revisions: 0 })
}, 240_000)

test('killed in the middle it goes on where it was, while readings come in and other words are refused', async () => {
  await recalibrate(worn[1]!.device, 'two-point-2', 2.5, FROM)
  const child = startVerb('reprocess', ...SPAN)
  await eventually(() => asOwner(dataDir, async view => {
    const { rows: [job] } = await view.pool('series').query<{ phase: string, due: number }>(`select phase, (select count(*) from series.amendment_due)::int as due from series.reprocess_job where phase <> 'done'`)
    expect([job?.phase, (job?.due ?? 0) > 0]).toEqual(['windows', true])
  }), REST_MS)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const refused = await oxbow.verb('reprocess', '--from', iso(FROM), '--to', iso(FROM + DAY / 2))
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('--resume')])
  const live = Math.floor(Date.now() / STEP_MS) * STEP_MS - 80 * MINUTE
  const sending = (async () => {
    for (let place = 0; place < 20; place++) await ward.send(DEVICES.flatMap((deviceId, device) => readings(deviceId, device, live + place * 2 * STEP_MS, 2)))
  })()
  const { windows } = await reprocess('--resume')
  expect(windows).toBeGreaterThanOrEqual(WINDOWS - 1_000)
  await sending
  await atRest()
  expect(await findings()).toEqual([])
  const held = await asOwner(dataDir, async view => (await storedSeries(view)).map(({ rows }) => rows.length))
  expect(held).toEqual(DEVICES.map(() => COUNT + 40))
  const before = await dump()
  expect(await reprocess(...SPAN)).toMatchObject({ revisions: 0, added: 0, corrected: 0 })
  expect(await dump()).toEqual(before)
}, 300_000)

function startVerb (...args: string[]): ChildProcess {
  const plain = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('OXBOW_')))
  return spawn(process.execPath, ['src/main.ts', ...args], { env: { ...plain, ...env, OXBOW_DATA_DIR: dataDir, ...busEnvironment(dataDir) }, stdio: 'ignore' })
}

test('only the devices named are looked at, and names that nobody has are refused without being repeated', async () => {
  expect(await reprocess(...SPAN, '--devices', 'day-2,day-3')).toMatchObject({ originals: 2 * COUNT, windows: 2 * COUNT, revisions: 0 })
  const unknown = await oxbow.verb('reprocess', ...SPAN, '--devices', 'day-1,nobody-has-it')
  expect([unknown.code, unknown.stderr.includes('nobody-has-it'), unknown.stderr]).toEqual([2, false, expect.stringContaining('device 2')])
  const other = await oxbow.verb('reprocess', ...SPAN, '--pipeline', '0.0.1')
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('installed')])
}, 120_000)

test('without a server it does what the server would do', async () => {
  await recalibrate(worn[2]!.device, 'two-point-3', 3.5, FROM)
  await oxbow.stop()
  const { revisions } = await reprocess('--from', iso(FROM), '--to', iso(Date.now()))
  expect(revisions).toBeGreaterThan(0)
  oxbow = await startOxbow({ dataDir, env })
  expect(await findings()).toEqual([])
}, 240_000)
