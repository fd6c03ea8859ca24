/** The pipeline on a real series store, against the same windows computed at once from all readings: whatever the order of arrival, wherever it crashes. */

import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SidContext } from '../../../src/model/identity.ts'
import { FLAG, type Reading, type Sid, type StoredReading } from '../../../src/model/reading.ts'
import { encodeReadingBatch } from '../../../src/model/reading-record.ts'
import { READINGS } from '../../../src/model/streams.ts'
import { epochMs } from '../../../src/model/units.ts'
import { drawSid } from '../../../src/security/sid.ts'
import { createSeriesStore, type SeriesStore } from '../../../src/stores/series/series-store.ts'
import { closeWindow } from '../../../src/stream/close-window.ts'
import { createPipeline, type Pipeline } from '../../../src/stream/pipeline.ts'
import type { PipelineParts, PipelineSettings } from '../../../src/stream/pipeline-parts.ts'
import { sameContent } from '../../../src/stream/same-content.ts'
import { testDatabase, type TestDatabase } from '../../support/postgres.ts'
import { modelOf, PO2, SPO2, START, storedReading } from '../../support/stored-reading.ts'

// Flags that look back over many readings, so that a late one reaches far.
const model = modelOf({ ...PO2, flatLineCount: 12, maxSlewPerSecond: 9 }, SPO2)
const MODEL = 'Example Sensors Inc./TO2-READER-2'
const SIZE = 60_000
const settings: PipelineSettings = {
  windowMs: SIZE,
  windowSizes: {},
  deficits: { 'tissue-po2': { threshold: 25, unit: 'mm[Hg]', author: 'test', rationale: 'test' } as never },
  pipelineVersion: '0.0.0',
  dagDigest: 'sha256:0',
  mappingVersion: metric => `${metric}@1`,
  latenessMs: 30_000,
  silenceMs: 60_000,
  amendmentsMax: 500
}

let database: TestDatabase
let store: SeriesStore
beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
  await store.recordModels([model])
})
afterAll(async () => { await database.drop() })

function contextOf (sid: Sid): SidContext {
  return { sid, model: MODEL, validFrom: epochMs(START - 3_600_000), calibrations: [] }
}

function pipelineFor (partition: number, changed: Partial<PipelineParts> = {}): Pipeline {
  return createPipeline({
    writer: partition,
    partitions: [partition],
    topic: READINGS,
    owner: undefined,
    sink: store,
    contexts: async sids => new Map(sids.map(sid => [sid, contextOf(sid)])),
    models: new Map([[MODEL, model]]),
    settings,
    ...changed
  })
}

interface Sent { sid: Sid, readings: Reading[] }

function record (sent: Sent, offset: number): { offset: number, value: Buffer } {
  return { offset, value: encodeReadingBatch({ sid: sent.sid, model: MODEL, schemaId: 2, receivedAt: epochMs(START), readings: sent.readings }) }
}

/** Takes steps until nothing is due any more. */
async function settle (pipeline: Pipeline, from: number): Promise<void> {
  for (let now = from; now <= from + 240_000; now += 61_000) {
    const step = await pipeline.step([], epochMs(now))
    if (step !== undefined) await store.commit(step.commit)
  }
}

async function expectAsComputedAtOnce (sid: Sid, readings: readonly StoredReading[]): Promise<void> {
  const series = (await store.numbersOf([sid])).get(sid)!
  const stored = await store.readings(series, epochMs(0), epochMs(Date.UTC(2100, 0, 1)), 100_000)
  expect(stored.map(row => [row.takenAt, row.sequence, row.values])).toEqual(readings.map(row => [row.takenAt, row.sequence, row.values]))
  const starts = [...new Set(readings.map(row => Math.floor(row.takenAt / SIZE) * SIZE))]
  const latest = await store.latestOfWindows(starts.map(start => ({ series, windowStart: epochMs(start), sizeMs: SIZE })))
  const drafts = starts.flatMap(start => closeWindow({
    model, context: contextOf(sid), sizeMs: SIZE, windowStart: epochMs(start), readings: stored, channels: [0, 1], deficits: settings.deficits, withPanel: true
  }))
  expect(latest.map(row => `${row.windowStart}/${row.metric}`).sort()).toEqual(drafts.map(draft => `${draft.windowStart}/${draft.metric}`).sort())
  for (const draft of drafts) {
    const row = latest.find(candidate => candidate.metric === draft.metric && candidate.windowStart === draft.windowStart)!
    const made = { pipelineVersion: '0.0.0', dagDigest: 'sha256:0', mappingVersion: `${draft.metric}@1` }
    const wanted = { ...draft, provenance: draft.provenance.map(entry => ({ ...made, ...entry })) }
    if (!sameContent(row, wanted as never)) expect(row, JSON.stringify(stored.map(one => one.takenAt - START))).toMatchObject(wanted)
  }
}

const schedule = fc.record({
  /** Per second of six minutes: present, its delay in s, whether it is sent twice, and the size of the jitter. */
  seconds: fc.array(fc.record({ present: fc.integer({ min: 0, max: 9 }), delay: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 0, max: 8 }) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 200 }) }), twice: fc.integer({ min: 0, max: 9 }), jitter: fc.integer({ min: -20, max: 20 }), po2: fc.oneof(fc.integer({ min: 150, max: 450 }), fc.constant(300)) }), { minLength: 30, maxLength: 360 }),
  batch: fc.integer({ min: 1, max: 40 }),
  crashes: fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 3 }),
  crashBeforeCommit: fc.boolean()
})

test('windows and rows are what all readings at once give, under any order of arrival, batching, repetition and crash', async () => {
  let partition = 100
  await fc.assert(fc.asyncProperty(schedule, async ({ seconds, batch, crashes, crashBeforeCommit }) => {
    const sid = drawSid()
    const here = partition++
    const sendings = seconds.flatMap(({ present, delay, twice, jitter, po2 }, index) => {
      if (present === 0) return []
      const reading = storedReading(START + index * 1_000 + jitter, [po2 / 10, 97], { quality: 90 })
      const at = index + delay
      return twice === 0 ? [{ at, reading }, { at: at + 3, reading }] : [{ at, reading }]
    }).sort((a, b) => a.at - b.at)
    let pipeline = pipelineFor(here)
    await pipeline.resume(epochMs(START))
    let offset = 0
    for (let start = 0, step = 0; start < sendings.length; start += batch, step++) {
      const part = sendings.slice(start, start + batch)
      const taken = [{ partition: here, firstOffset: offset, nextOffset: offset + 1, records: [record({ sid, readings: part.map(one => one.reading) }, offset)] }]
      const now = epochMs(START + part.at(-1)!.at * 1_000)
      if (crashes.includes(step)) {
        const lost = await pipeline.step(taken, now)
        if (!crashBeforeCommit && lost !== undefined) await store.commit(lost.commit)
        pipeline = pipelineFor(here)
        await pipeline.resume(now)
        if (!crashBeforeCommit) { offset++; continue }
      }
      const done = await pipeline.step(taken, now)
      if (done !== undefined) await store.commit(done.commit)
      offset++
    }
    await settle(pipeline, START + 1_000_000)
    const unique = new Map<string, StoredReading>()
    for (const { reading } of sendings) unique.set(`${reading.takenAt}`, unique.get(`${reading.takenAt}`) ?? reading)
    await expectAsComputedAtOnce(sid, [...unique.values()].sort((a, b) => a.takenAt - b.takenAt))
  }), { numRuns: 100, endOnFailure: true })
}, 240_000)

test('late data gives revision 2, amended; the same data again gives nothing', async () => {
  const sid = drawSid()
  const pipeline = pipelineFor(1)
  await pipeline.resume(epochMs(START))
  const readings = Array.from({ length: 120 }, (_, index) => storedReading(START + index * 1_000, [40 + index % 5 / 10, 97])).filter((_, index) => index !== 30)
  const late = storedReading(START + 30_000, [39.5, 97])
  const steps: [Reading[], number][] = [[readings, 120_000], [[late], 121_000], [[late], 122_000], [[], 190_000], [[late], 200_000], [[], 270_000]]
  let offset = 0
  for (const [list, at] of steps) {
    const taken = list.length === 0 ? [] : [{ partition: 1, firstOffset: offset, nextOffset: offset + 1, records: [record({ sid, readings: list }, offset++)] }]
    const step = await pipeline.step(taken, epochMs(START + at))
    if (step !== undefined) await store.commit(step.commit)
  }
  const series = (await store.numbersOf([sid])).get(sid)!
  const revisions = await store.ledger.revisions({ series, windowStart: epochMs(START), sizeMs: SIZE, metric: 'tissue-po2' })
  expect(revisions.map(row => [row.revision, row.status, row.statistics?.sampleCount])).toEqual([[1, 'final', 59], [2, 'amended', 60]])
})

test('a series of which a window is only looked at again says nothing new when it falls silent', async () => {
  const sid = drawSid()
  const pipeline = pipelineFor(9)
  const steps: [Reading[], number][] = [[Array.from({ length: 60 }, (_, index) => storedReading(START + index * 1_000, [40, 97])), 60_000], [[], 200_000]]
  for (const [offset, [list, at]] of steps.entries()) {
    const step = await pipeline.step([{ partition: 9, firstOffset: offset, nextOffset: offset + 1, records: list.length === 0 ? [] : [record({ sid, readings: list }, offset)] }], epochMs(START + at))
    await store.commit(step!.commit)
  }
  const series = (await store.numbersOf([sid])).get(sid)!
  expect(await store.openSeries([9])).toEqual([])
  await store.markWindowsDue({ series: [series], since: epochMs(START), until: epochMs(START + SIZE), cause: 'reprocessed', now: epochMs(START + 300_000) })
  const written: unknown[] = []
  for (const at of [300_000, 400_000, 500_000]) {
    const step = await pipeline.step([], epochMs(START + at))
    if (step === undefined) continue
    await store.commit(step.commit)
    written.push([step.commit.settled.length, step.commit.closed, step.commit.revisions])
  }
  expect(written).toEqual([[1, [], []]])
})

test('whoever lost its partitions to another one writes nothing more, not even what the clock makes it write', async () => {
  const sid = drawSid()
  const own = (token?: string) => store.own(READINGS, [12], token)
  const batch = (offset: number, from: number, count: number) => [{ partition: 12, firstOffset: offset, nextOffset: offset + 1, records: [
    record({ sid, readings: Array.from({ length: count }, (_, index) => storedReading(START + (from + index) * 1_000, [40 + (index % 7) / 10, 97 - (index % 5) / 10])) }, offset)
  ] }]
  const first = pipelineFor(12, { owner: await own() })
  await first.resume(epochMs(START))
  await store.commit((await first.step(batch(0, 0, 10), epochMs(START + 10_000)))!.commit)
  // It is paused; another one takes over and goes on with the same window.
  const token = await own()
  const second = pipelineFor(12, { writer: 13, owner: token })
  await second.resume(epochMs(START + 20_000))
  await store.commit((await second.step(batch(1, 10, 50), epochMs(START + 60_000)))!.commit)
  // The first awakes: for all it knows the series has been silent for long.
  const stale = await first.step([], epochMs(START + 100_000))
  expect(stale!.commit.revisions.length).toBeGreaterThan(0)
  await expect(store.commit(stale!.commit)).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
  await store.commit((await second.step([], epochMs(START + 200_000)))!.commit)
  const series = (await store.numbersOf([sid])).get(sid)!
  const revisions = await store.ledger.revisions({ series, windowStart: epochMs(START), sizeMs: SIZE, metric: 'tissue-po2' })
  expect(revisions.map(({ revision, status, statistics }) => [revision, status, statistics?.sampleCount])).toEqual([[1, 'final', 60]])
  // Asked again by the same reader, of the same partitions or fewer, it stays as it is; of one more it changes.
  expect([await own(token), await store.own(READINGS, [], token)]).toEqual([token, token])
  expect(await store.own(READINGS, [12, 14], token)).not.toBe(token)
})

test('windows of a model whose file is gone wait, are not withdrawn, and keep no other from going on', async () => {
  const [gone, there] = [drawSid(), drawSid()]
  const other = 'Example Sensors Inc./RETIRED-1'
  await store.recordModels([{ ...model, modelNumber: 'RETIRED-1' }])
  const both = new Map([[MODEL, model], [other, { ...model, modelNumber: 'RETIRED-1' }]])
  const contexts: PipelineParts['contexts'] = async sids => new Map(sids.map(sid => [sid, { ...contextOf(sid), model: sid === gone ? other : MODEL }]))
  const minute = Array.from({ length: 60 }, (_, index) => storedReading(START + index * 1_000, [40, 97]))
  const taken = (sid: Sid, offset: number, readings: Reading[]) => [{ partition: 11, firstOffset: offset, nextOffset: offset + 1, records: [{
    offset, value: encodeReadingBatch({ sid, model: sid === gone ? other : MODEL, schemaId: 2, receivedAt: epochMs(START), readings })
  }] }]
  const before = pipelineFor(11, { models: both, contexts })
  await before.resume(epochMs(START))
  await store.commit((await before.step(taken(gone, 0, minute), epochMs(START + 60_000)))!.commit)
  await store.commit((await before.step(taken(gone, 1, [storedReading(START + 100_000, [40, 97])]), epochMs(START + 100_000)))!.commit)
  const series = (await store.numbersOf([gone])).get(gone)!
  const of = { series, windowStart: epochMs(START), sizeMs: SIZE, metric: 'tissue-po2' }
  expect(await store.ledger.revisions(of)).toHaveLength(1)
  await store.markWindowsDue({ series: [series], since: epochMs(START), until: epochMs(START + SIZE), cause: 'reprocessed', now: epochMs(START) })
  const without = pipelineFor(11, { contexts })
  expect(await without.resume(epochMs(START + 200_000))).toBe(1)
  const step = await without.step(taken(there, 2, minute), epochMs(START + 200_000))
  await store.commit(step!.commit)
  expect([step!.withoutModel, step!.commit.fresh.length, step!.commit.settled.length]).toEqual([1, 60, 0])
  expect((await without.step([], epochMs(START + 300_000)))?.withoutModel ?? 0).toBe(0)
  expect(await store.ledger.revisions(of)).toHaveLength(1)
  // Readings of such a model that are on the bus already stop their partition: passed over they would be lost.
  await expect(without.step(taken(gone, 3, [storedReading(START + 400_000, [40, 97])]), epochMs(START + 400_000))).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  await settle(pipelineFor(11, { models: both, contexts }), START + 1_000_000)
  expect(await store.ledger.revisions(of)).toHaveLength(1)
  expect(await store.dueAmendments(epochMs(Date.UTC(2100, 0, 1)), [11], 10)).toEqual([])
})

test('a refused quality that is sent again is unknown no more, in memory and in the store', async () => {
  const sid = drawSid()
  const pipeline = pipelineFor(5)
  await pipeline.resume(epochMs(START))
  const unknown = Array.from({ length: 100 }, (_, index) => ({ ...storedReading(START + index * 1_000, [40 + index / 10, 97 - index / 10]), flags: FLAG['quality-unknown'] }))
  const known = unknown.slice(0, 60).map(({ takenAt, values }) => storedReading(takenAt, values, { quality: 88 }))
  for (const [offset, readings] of [unknown.slice(0, 60), known, unknown.slice(60)].entries()) {
    const step = await pipeline.step([{ partition: 5, firstOffset: offset, nextOffset: offset + 1, records: [record({ sid, readings }, offset)] }], epochMs(START + 100_000))
    await store.commit(step!.commit)
  }
  const series = (await store.numbersOf([sid])).get(sid)!
  const rows = await store.readings(series, epochMs(START), epochMs(START + 60_000), 100)
  expect(rows.map(({ quality, flags }) => [quality, flags])).toEqual(Array.from({ length: 60 }, () => [88, 0]))
  const revisions = await store.ledger.revisions({ series, windowStart: epochMs(START), sizeMs: SIZE, metric: 'tissue-po2' })
  expect(revisions.map(({ revision, flags, quality }) => [revision, flags, quality])).toEqual([[1, 0, 88]])
})

test('a re-submitted channel fills the stored reading and amends its window; another value is a conflict and changes nothing', async () => {
  const sid = drawSid()
  const pipeline = pipelineFor(2)
  await pipeline.resume(epochMs(START))
  const half = Array.from({ length: 100 }, (_, index) => storedReading(START + index * 1_000, [40, undefined]))
  const full = half.slice(0, 60).map(reading => storedReading(reading.takenAt, [undefined, 96]))
  const conflict = [storedReading(START, [41, 96])]
  const steps: [Reading[], number][] = [[half, 100_000], [full, 101_000], [conflict, 102_000], [[], 200_000]]
  let offset = 0
  const counts = { stored: 0, duplicate: 0, conflict: 0 }
  for (const [list, at] of steps) {
    const taken = list.length === 0 ? [] : [{ partition: 2, firstOffset: offset, nextOffset: offset + 1, records: [record({ sid, readings: list }, offset++)] }]
    const step = await pipeline.step(taken, epochMs(START + at))
    if (step === undefined) continue
    await store.commit(step.commit)
    for (const count of step.commit.counters) {
      counts.stored += count.stored
      counts.duplicate += count.duplicate
      counts.conflict += count.conflict
    }
  }
  expect(counts).toEqual({ stored: 100, duplicate: 60, conflict: 1 })
  const series = (await store.numbersOf([sid])).get(sid)!
  const rows = await store.readings(series, epochMs(START), epochMs(START + 1_000), 10)
  expect(rows.map(row => row.values)).toEqual([[40, 96]])
  const revisions = await store.ledger.revisions({ series, windowStart: epochMs(START), sizeMs: SIZE, metric: 'spo2-samples' })
  expect(revisions.map(row => [row.revision, row.statistics?.sampleCount])).toEqual([[1, 60]])
})
