/** Everything that can become of a reading, each as it stands when nothing changed; and what another rule, a lost object or another job make of it. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { CHECK_LIMITS } from '../../../../src/ingest/check-reading.ts'
import { createReadAgain } from '../../../../src/ingest/read-again.ts'
import { createSchemaLookup } from '../../../../src/ingest/schemas/schema-lookup.ts'
import { type DeviceModel, type DeviceModels, modelKey } from '../../../../src/model/device-model.ts'
import type { SidContext } from '../../../../src/model/identity.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { RAW, READINGS } from '../../../../src/model/streams.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { readEnds } from '../../../../src/platform/bus/embedded/tables.ts'
import { createWriteClock } from '../../../../src/platform/write-clock.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { reprocess } from '../../../../src/stores/reprocess/reprocess.ts'
import type { ReprocessParts } from '../../../../src/stores/reprocess/reprocess-parts.ts'
import type { ReprocessJob } from '../../../../src/stores/series/reprocess-job.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { lookbackCount } from '../../../../src/stream/plausibility.ts'
import { type Runners, startRunners } from '../../../../src/stream/start-runners.ts'
import { type ArchiveSystem, archiveSystem } from '../../../support/archive-system.ts'
import { dumpTables } from '../../../support/dump.ts'
import { MODELS, READER } from '../../../support/ingest-door.ts'
import { compressAll } from '../../../support/hypertable.ts'
import { isTimescale, testDatabase, type TestDatabase } from '../../../support/postgres.ts'
import { framedV1, json, sentV1, type SentV2, sentV2, TAKEN_AT } from '../../../support/telemetry.ts'

const SPAN = { from: epochMs(TAKEN_AT), to: epochMs(TAKEN_AT + 300_000), sids: undefined }
const SIZES = [60_000]
const DIGEST = 'sha256:0'
const MODEL = modelKey(READER)
const PARTITIONS = [0, 1, 2, 3]
const BEGUN = performance.now()
/** That of the stream: it goes on, beside what the test adds to it. */
const clock = () => epochMs(system.now + Math.floor(performance.now() - BEGUN))

let system: ArchiveSystem
let database: TestDatabase
let series: SeriesStore
let runners: Runners

beforeAll(async () => {
  system = await archiveSystem()
  database = await testDatabase('series')
  series = createSeriesStore(database.pool)
  await series.recordModels([READER])
  runners = startRunners({
    bus: system.bus, sink: series, models: MODELS, now: clock, writes: createWriteClock(clock), writers: 2, partitionCount: 4, readingsMax: 10_000,
    contexts: async sids => new Map(sids.flatMap(sid => contextOf(sid))),
    settings: {
      windowMs: 60_000, windowSizes: {}, deficits: {}, pipelineVersion: '0.0.0', dagDigest: DIGEST, mappingVersion: metric => `${metric}@1`, latenessMs: 10_000, silenceMs: 60_000, amendmentsMax: 200
    },
    events: { stored: () => {}, suppressed: () => {}, windowsClosed: () => {}, windowsAmended: () => {}, raise: () => {}, clear: () => {} },
    setAside: async () => { throw new Error('no record of others here') }, onWindows: () => {}
  })
  await system.start()
  await fill()
}, 120_000)
afterAll(async () => {
  await runners?.stop()
  await system?.close()
  await database?.drop()
})

function contextOf (sid: Sid): [Sid, SidContext][] {
  const period = system.worn.find(one => one.sid === sid)
  if (period === undefined) return []
  const { from, until } = period
  return [[sid, { sid, model: MODEL, validFrom: epochMs(from), ...(until === undefined ? {} : { validUntil: epochMs(until) }), calibrations: [] }]]
}

async function post (...records: Partial<SentV2>[]): Promise<void> {
  await system.ingest.accept({ bytes: json(records.map(record => sentV2({ sequence: null, ...record }))), contentType: 'application/json', contentEncoding: '' })
}

const at = (second: number): number => TAKEN_AT + second * 1_000
const readingsOf = (deviceId: string, count: number): Partial<SentV2>[] => Array.from({ length: count }, (_, second) => ({ deviceId, timestamp_utc: at(second) }))
const channels = (po2: number, spo2?: number): SentV2['channels'] => [
  { metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', value: po2 }, ...(spo2 === undefined ? [] : [{ metric: 'spo2', kind: 'spo2', unit: '%', value: spo2 }])
]

/** Worn and stored; of each what can become of it. */
async function fill (): Promise<void> {
  await repeats()
  await fields()
  const old = system.wornDevice()
  await system.ingest.accept({ bytes: framedV1(Array.from({ length: 10 }, (_, second) => sentV1({ deviceId: old.deviceId, timestamp_utc: at(second) }))), contentType: 'application/avro', contentEncoding: '' })
  await waitsAndIsReleased()
  const [moved, returned, erased] = [system.wornDevice(), system.wornDevice(), system.wornDevice()]
  for (const { deviceId } of [moved, returned, erased]) await post(...readingsOf(deviceId, 20))
  await closed()
  await move(moved)
  await giveBack(returned)
  await closed()
  await system.keyRing.destroy((await system.dataKeys.heldForSids([erased.sid])).get(erased.sid)!.id, 'test')
}

/** The same again, other values under one identity, and one that fills the other. */
async function repeats (): Promise<void> {
  const { deviceId } = system.wornDevice()
  await post(...readingsOf(deviceId, 20))
  await post(...readingsOf(deviceId, 20))
  await post({ deviceId, timestamp_utc: at(5), channels: channels(50, 80) }, { deviceId, timestamp_utc: at(30), channels: channels(40) })
  await post({ deviceId, timestamp_utc: at(30), channels: channels(41, 95), battery_mv: 3_000 })
}

/** Fields that were refused while their readings were stored. */
async function fields (): Promise<void> {
  const { deviceId } = system.wornDevice()
  await post({ deviceId, timestamp_utc: at(0), channels: channels(40, 250) }, { deviceId, timestamp_utc: at(1), battery_mv: 9_000 }, { deviceId, timestamp_utc: at(2), signal_quality: 120 })
  await post({ deviceId, timestamp_utc: at(3), channels: channels(40, 0.97) }, { deviceId, timestamp_utc: at(4), channels: channels(40, 0.9) })
  await post({ deviceId, timestamp_utc: at(6), channels: channels(40, 0.97) }, { deviceId, timestamp_utc: at(7), channels: channels(40, 97) })
}

async function waitsAndIsReleased (): Promise<void> {
  system.registered.add('waiting')
  await post(...readingsOf('waiting', 10))
  system.worn.push({ deviceId: 'waiting', sid: drawSid(), from: 0 })
  system.ingest.releaser.associationRecorded(['waiting'])
  await system.ingest.releaser.settled()
}

/** From its tenth second on the device was another patient's, who has one of its readings already, with another value. */
async function move ({ deviceId, sid }: { deviceId: string, sid: Sid }): Promise<void> {
  const target = drawSid()
  const period = system.worn.find(one => one.sid === sid)!
  period.until = at(10)
  system.worn.push({ deviceId, sid: target, from: at(10) })
  await post({ deviceId, timestamp_utc: at(12), channels: channels(77, 99) })
  await closed()
  const numbers = await series.series([{ sid, model: MODEL }, { sid: target, model: MODEL }])
  const step = { since: epochMs(at(10)), until: SPAN.to, sizesMs: SIZES, lookback: lookbackCount(READER), limit: 5_000, now: system.now }
  expect(await series.moveReadings({ from: numbers.get(sid)!, to: numbers.get(target)!, ...step })).toEqual({ moved: 9, dropped: 1, conflicts: 1 })
  runners.contextChanged([sid, target])
}

/** Nobody wore it from its tenth second on. */
async function giveBack ({ deviceId, sid }: { deviceId: string, sid: Sid }): Promise<void> {
  system.worn.find(one => one.sid === sid)!.until = at(10)
  const from = (await series.numbersOf([sid])).get(sid)!
  const step = { from, since: epochMs(at(10)), until: SPAN.to, sizesMs: SIZES, lookback: lookbackCount(READER), limit: 5_000, now: system.now }
  const taken = await series.takeReadings(step, rows => system.ingest.requarantine(deviceId, rows.map(reading => ({ reading, model: READER, firmware: '2.4.1' }))))
  expect(taken).toBe(10)
  runners.contextChanged([sid])
}

/** Archived, stored, and every window closed and amended: the clock goes on as far as that takes. */
async function closed (): Promise<void> {
  await system.archived()
  await vi.waitFor(async () => { expect(system.bus.backlog(READINGS)).toBe(0) }, { timeout: 30_000, interval: 20 })
  await vi.waitFor(async () => {
    system.now = epochMs(system.now + 120_000)
    expect(await series.openSeries(PARTITIONS)).toEqual([])
    const { rows: [due] } = await database.owner.query<{ count: number }>('select count(*) from series.amendment_due')
    expect(due!.count).toBe(0)
  }, { timeout: 30_000, interval: 100 })
}

async function dump (): Promise<Record<string, string>> {
  return Object.fromEntries((await dumpTables(database.owner)).filter(({ table }) => table !== 'series.reprocess_job').map(({ table, bytes }) => [table, bytes.toString('utf8').split('\n').sort().join('\n')]))
}

function partsOf (change: Partial<ReprocessParts> = {}, models: DeviceModels = MODELS): ReprocessParts {
  return {
    archive: { pool: system.database.poolOf('oxbow_archive'), objects: system.objects, keyRing: system.keyRing },
    rawEnds: () => readEnds(system.database.pool, RAW),
    pool: database.pool,
    series,
    readOriginals: createReadAgain({
      resolve: (deviceId, takenAt) => {
        const period = system.worn.find(one => one.deviceId === deviceId && takenAt >= one.from && takenAt < (one.until ?? Number.POSITIVE_INFINITY))
        return period === undefined ? { model: MODEL, reason: 'not-associated' } : { sid: period.sid, model: MODEL }
      },
      firmwareNumber: text => text === '' ? 0 : 3, models, checkLimits: CHECK_LIMITS, schemas: createSchemaLookup({ pool: system.pool, now: () => system.now }), now: () => system.now
    }),
    contexts: async sids => new Map(sids.flatMap(sid => contextOf(sid))),
    bus: system.bus, models, sizesMs: SIZES, lookback: lookbackCount(READER), contextChanged: async sids => { runners.contextChanged(sids) }, now: clock,
    pollMs: 20, standstillMs: 30_000, signal: new AbortController().signal, onProgress: () => {}, ...change
  }
}

const run = (parts = partsOf()): Promise<ReprocessJob> => reprocess(parts, DIGEST, SPAN)
const withModel = (change: Partial<DeviceModel>): DeviceModels => new Map([[MODEL, { ...READER, ...change }]])

test('repeats, conflicts, refused fields, released, moved and returned readings, and those without a key: with no change nothing changes', async () => {
  const before = await dump()
  const { counts } = await run()
  expect(counts).toMatchObject({ added: 0, filled: 0, corrected: 0, kept: 0, refused: 0, unreadable: 0, waiting: 0, unassigned: 10, erased: 20, uncovered: 20, revisions: 0 })
  expect([counts.originals > 100, counts.windows]).toEqual([true, 8])
  expect(await dump()).toEqual(before)
})

test('a field that the rules of today take is filled; one that they refuse stays', async () => {
  const widened = withModel({ batteryRange: { low: 0, high: 10_000 } })
  expect((await run(partsOf({}, widened))).counts).toMatchObject({ added: 0, filled: 1, corrected: 0 })
  await closed()
  const { rows } = await database.owner.query<{ battery: number }>('select battery from series.reading where battery > 6000')
  expect(rows.map(({ battery }) => battery)).toEqual([9_000])
  const before = await dump()
  expect((await run(partsOf({}, widened))).counts).toMatchObject({ added: 0, filled: 0, corrected: 0, revisions: 0 })
  // By the rules before, the value is one that no original gives: it stays.
  expect((await run()).counts).toMatchObject({ added: 0, filled: 0, corrected: 0, kept: 1, revisions: 0 })
  expect(await dump()).toEqual(before)
})

test('nothing is taken away where every original would be refused today', async () => {
  const before = await dump()
  const narrow = withModel({ channels: READER.channels.map(channel => ({ ...channel, technicalRange: { low: 0, high: 1 } })) })
  const { counts } = await run(partsOf({}, narrow))
  expect([counts.refused > 90, counts.added + counts.filled + counts.corrected, counts.uncovered > 50]).toEqual([true, 0, true])
  expect(await dump()).toEqual(before)
})

test('what is ended in any step goes on where it was, and meanwhile another span and another process are refused', async () => {
  await database.owner.query('delete from series.reading where taken_at = $1', [new Date(at(0))])
  await database.owner.query('update series.reading set v0 = v0 + 1 where taken_at = $1', [new Date(at(1))])
  if (isTimescale) await compressAll(database)
  const phases = new Set<string>()
  for (let steps = 1; ; steps++) {
    const stop = new AbortController()
    let left = steps
    const parts = partsOf({ signal: stop.signal, onProgress: ({ phase }) => { phases.add(phase); if (--left === 0) stop.abort() } })
    const job = await run(parts).catch(error => { expect(stop.signal.aborted, String(error)).toBe(true) })
    if (job !== undefined) break
    await expect(reprocess(partsOf(), DIGEST, { ...SPAN, to: epochMs(SPAN.to + 1) })).rejects.toMatchObject({ code: 'STORE_CONFLICT', message: expect.stringContaining('--resume') })
  }
  expect([...phases]).toEqual(['read', 'compare', 'windows'])
  await closed()
  const { rows: [stored] } = await database.owner.query<{ first: number, second: number }>(`select count(*) filter (where taken_at = $1) as first, count(*) filter (where taken_at = $2 and v0 in (38.2, 40)) as second from series.reading`, [new Date(at(0)), new Date(at(1))])
  const before = await dump()
  expect((await run()).counts).toMatchObject({ added: 0, filled: 0, corrected: 0, revisions: 0 })
  expect(await dump()).toEqual(before)
  expect([stored!.first >= 5, stored!.second >= 5]).toEqual([true, true])
  await expect(reprocess(partsOf(), DIGEST, undefined)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  let second: unknown
  await run(partsOf({ contextChanged: async () => {}, rawEnds: async () => { second = await run().catch((error: unknown) => error); return new Map() } }))
  expect(second).toMatchObject({ code: 'STORE_CONFLICT', message: expect.stringContaining('another process') })
})

test('what an association lost while the archive was read is not stored under it any more', async () => {
  const { deviceId, sid } = system.wornDevice()
  await post(...readingsOf(deviceId, 10))
  await closed()
  const number = (await series.numbersOf([sid])).get(sid)!
  const period = system.worn.find(one => one.sid === sid)!
  await database.owner.query('delete from series.reading where series = $1 and taken_at >= $2', [number, new Date(at(5))])
  const { counts } = await run(partsOf({ series: { ...series, existing: async keys => {
    period.until = at(5)
    return series.existing(keys)
  } } }))
  expect([counts.added, counts.unassigned]).toEqual([0, 10 + 5])
  expect(await series.readings(number, SPAN.from, SPAN.to, 100)).toHaveLength(5)
  expect((await run()).counts).toMatchObject({ added: 0, unassigned: 10 + 5, revisions: 0 })
})

test('of two readings under one identity the one that was taken stays, when its original is not seen', async () => {
  const { deviceId, sid } = system.wornDevice()
  await post({ deviceId, timestamp_utc: at(0), channels: channels(40, 97) })
  await post({ deviceId, timestamp_utc: at(0), channels: channels(50, 97) })
  await closed()
  const before = await dump()
  const number = (await series.numbersOf([sid])).get(sid)!
  // Of the first one the schema cannot be read today.
  const all = partsOf()
  const readOriginals: ReprocessParts['readOriginals'] = async (records, span) => {
    const read = await all.readOriginals(records, span)
    const isSeen = (group: (typeof read.groups)[number]) => group.sid !== sid || group.readings[0]!.values[0] !== 40
    return { ...read, groups: read.groups.filter(isSeen), refused: read.refused + read.groups.filter(group => !isSeen(group)).length }
  }
  const { counts } = await run(partsOf({ readOriginals }))
  expect([counts.refused, counts.corrected, counts.kept > 0, counts.revisions]).toEqual([1, 0, true, 0])
  expect((await series.readings(number, SPAN.from, SPAN.to, 10)).map(({ values }) => values[0])).toEqual([40])
  expect(await dump()).toEqual(before)
})

test('windows whose readings are gone, in the store and in the archive, are not taken back', async () => {
  const { deviceId, sid } = system.wornDevice()
  await post(...readingsOf(deviceId, 10))
  await closed()
  const { counts: { unbacked } } = await run()
  const number = (await series.numbersOf([sid])).get(sid)!
  await database.owner.query('delete from series.reading where series = $1', [number])
  const before = await dump()
  const unseen: ReprocessParts['readOriginals'] = async (records, span) => {
    const read = await partsOf().readOriginals(records, span)
    return { ...read, groups: read.groups.filter(group => group.sid !== sid) }
  }
  const { counts } = await run(partsOf({ readOriginals: unseen }))
  expect([counts.unbacked, counts.added, counts.revisions]).toEqual([unbacked + 1, 0, 0])
  expect(await dump()).toEqual(before)
  // With its originals all of it comes back.
  expect((await run()).counts).toMatchObject({ unbacked, added: 10 })
  await closed()
  expect((await run()).counts).toMatchObject({ unbacked, added: 0, revisions: 0 })
})

test('windows of a model that is not in the registry are left, and counted', async () => {
  const before = await dump()
  const { counts } = await run(partsOf({ models: new Map() }))
  expect([counts.windows, counts.withoutModel > 5, counts.revisions]).toEqual([0, true, 0])
  expect(await dump()).toEqual(before)
})

test('a job that was left for a day begins anew', async () => {
  const left = new AbortController()
  await expect(run(partsOf({ signal: left.signal, onProgress: ({ phase }) => { if (phase === 'windows') left.abort() } }))).rejects.toThrow('aborted')
  const phases: string[] = []
  const later = () => epochMs(clock() + 86_400_000)
  await run(partsOf({ now: later, onProgress: ({ phase }) => { phases.push(phase) } }))
  expect(phases[0]).toBe('read')
})

test('begun by another pipeline it begins anew', async () => {
  const again = new AbortController()
  await expect(reprocess(partsOf({ signal: again.signal, onProgress: ({ phase }) => { if (phase === 'windows') again.abort() } }), 'sha256:1', SPAN)).rejects.toThrow('aborted')
  const seen: string[] = []
  await reprocess(partsOf({ onProgress: ({ phase, pipeline }) => { seen.push(`${phase} ${pipeline}`) } }), DIGEST, undefined)
  expect([seen[0], seen.every(line => line.endsWith(DIGEST))]).toEqual([`read ${DIGEST}`, true])
})

test('an object that is not there is told of, and what it held stays', async () => {
  const before = await dump()
  const { rows: [object] } = await system.database.owner.query<{ name: string }>('select name from archive.object order by partition, first_offset limit 1')
  await rm(join(system.folder, 'archive', object!.name), { force: true })
  const { counts } = await run()
  // Where one of two of the same identity was in it, what the other says is no proof.
  expect([counts.unreadable > 0, counts.added + counts.filled + counts.corrected, counts.revisions]).toEqual([true, 0, 0])
  expect(await dump()).toEqual(before)
})
