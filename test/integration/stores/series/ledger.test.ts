import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Sid } from '../../../../src/model/reading.ts'
import { READINGS } from '../../../../src/model/streams.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { viewsOf } from '../../../../src/model/view-ids.ts'
import type { WindowRevision } from '../../../../src/model/window.ts'
import { cursorOf, type LedgerQuery } from '../../../../src/stores/series/ledger-search.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { at, commitOf, MINUTE, PROVENANCE, revisionOf, sidOf, T0 } from '../../../support/series.ts'

let database: TestDatabase
let store: SeriesStore
let nextSid = 1

beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
})
afterAll(async () => { await database.drop() })

async function newSeries (): Promise<{ series: number, sid: Sid }> {
  const sid = sidOf(nextSid++)
  return { series: (await store.series([{ sid, model: 'Example/1', partition: 0 }])).get(sid)!, sid }
}

const STATISTICS = { sampleCount: 60, expectedCount: 60, coverage: 1, minimum: 0.1 + 0.2, maximum: 41.9, mean: 1 / 3, ratePerMinute: -6.6, residualSd: 5e-324 }
const DEFICIT = { threshold: 25, maxGapMs: 3000, coverage: 0.99, meanDepth: 1 / 3, dose: 1e21, index: 0.1 + 0.2, timeFraction: 15.917, nadir: 18 }

function everyForm (series: number, sid: Sid): (WindowRevision & { series: number })[] {
  const calibrated = { ...PROVENANCE, calibration: 9, sources: [{ topic: READINGS, partition: 1, firstOffset: 2, lastOffset: 9_007_199_254_740_990 }, { topic: READINGS, partition: 2, firstOffset: 0, lastOffset: 0 }] }
  return [
    revisionOf(series, sid, { statistics: STATISTICS, deficit: DEFICIT, quality: 92.33333333333333, flags: 1025, provenance: [PROVENANCE, calibrated] }),
    revisionOf(series, sid, { metric: 'spo2-samples', form: { form: 'sampled', gridStart: at(-499), periodMs: 99.07, tokenCount: 1, data: 'E' }, statistics: { sampleCount: 0, expectedCount: 60, coverage: 0 } }),
    revisionOf(series, sid, { metric: 'tissue-sto2', form: { form: 'singles', samples: [{ takenAt: at(5), sequence: 0, value: 0.1 + 0.2 }, { takenAt: at(5), sequence: 3, value: -1e-7 }] } }),
    revisionOf(series, sid, { metric: 'panel', form: { form: 'last', takenAt: at(59_000), values: [{ metric: 'tissue-po2', value: 41.2 }, { metric: 'signal-quality-index', value: 93 }] } }),
    revisionOf(series, sid, { metric: 'spo2', form: { form: 'last', takenAt: at(59_000), values: [{ metric: 'spo2', value: 97.5 }] }, from: at(1500), until: at(59_500) }),
    revisionOf(series, sid, { metric: 'battery-voltage', form: { form: 'empty' }, status: 'entered-in-error' }),
    revisionOf(series, sid, { metric: 'tissue-po2', sizeMs: 30_000, deficit: { threshold: 25, maxGapMs: 3000, coverage: 0.2 } })
  ]
}

test('every form of a window comes back as it was written', async () => {
  const { series, sid } = await newSeries()
  const rows = everyForm(series, sid)
  await store.commit(commitOf({ writer: 3, revisions: rows }))
  // A second store knows nothing by heart: it reads names and provenances from the database.
  for (const reader of [store, createSeriesStore(database.pool)]) {
    const found = await reader.ledger.afterNumber(3, 0, 100)
    expect(found).toEqual(rows.map((row, index) => ({ ...row, writer: 3, number: index + 1 })))
    expect(await reader.ledger.latestOfWindows([{ series, windowStart: T0, sizeMs: 30_000 }])).toEqual([{ ...rows[6], writer: 3, number: 7 }])
  }
})

test('every Observation of a window is found by its id', async () => {
  const { series, sid } = await newSeries()
  const rows = everyForm(series, sid)
  await store.commit(commitOf({ revisions: rows }))
  for (const row of rows) {
    for (const view of viewsOf(row)) {
      const found = await store.ledger.byViewId(view.id)
      expect(found).toMatchObject({ sid, model: 'Example/1', view: { ...view, metric: row.metric, series, sizeMs: row.sizeMs, windowStart: T0 }, latest: row })
    }
  }
  const ids = rows.flatMap(viewsOf).map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect((await store.ledger.byViewIds([...ids, '00000000-0000-5000-8000-000000000000', 'no-uuid'])).length).toBe(ids.length)
  expect(await store.ledger.byViewId("'; drop table series.view")).toBeUndefined()
})

test('a later revision is the latest, the earlier one stays readable, and its ids still resolve', async () => {
  const { series, sid } = await newSeries()
  const first = revisionOf(series, sid, { form: { form: 'singles', samples: [{ takenAt: at(5), sequence: 0, value: 1 }] } })
  const second = revisionOf(series, sid, { revision: 2, status: 'amended', issued: at(200_000) })
  await store.commit(commitOf({ revisions: [first] }))
  await store.commit(commitOf({ revisions: [second] }))
  const [single, sampled] = [viewsOf(first)[0]!.id, viewsOf(second)[0]!.id]
  expect((await store.ledger.byViewId(single))!.latest).toMatchObject(second)
  expect((await store.ledger.byViewId(sampled))!.view.kind).toBe('sampled')
  expect(await store.ledger.revisionOf(sampled, 1)).toMatchObject(first)
  expect(await store.ledger.revisionOf(single, 2)).toMatchObject(second)
  expect(await store.ledger.revisionOf(single, 3)).toBeUndefined()
  expect((await store.ledger.revisions({ series, metric: 'tissue-po2', windowStart: T0, sizeMs: MINUTE })).map(({ revision }) => revision)).toEqual([1, 2])
  expect((await store.ledger.latest([{ series, metric: 'tissue-po2', windowStart: T0, sizeMs: MINUTE }, { series, metric: 'no-such-metric', windowStart: T0, sizeMs: MINUTE }]))
    .map(({ revision }) => revision)).toEqual([2])
})

test('a reading shown singly in windows of two sizes keeps its id in the first', async () => {
  const { series, sid } = await newSeries()
  const form = { form: 'singles' as const, samples: [{ takenAt: at(5), sequence: 0, value: 1 }] }
  const rows = [revisionOf(series, sid, { form }), revisionOf(series, sid, { form, sizeMs: 30_000 })]
  await store.commit(commitOf({ revisions: rows.slice(0, 1) }))
  await store.commit(commitOf({ revisions: rows.slice(1) }))
  expect((await store.ledger.byViewId(viewsOf(rows[1]!)[0]!.id))!.view.sizeMs).toBe(MINUTE)
})

test('a revision cannot be written twice', async () => {
  const { series, sid } = await newSeries()
  await store.commit(commitOf({ revisions: [revisionOf(series, sid)] }))
  await expect(store.commit(commitOf({ revisions: [revisionOf(series, sid)] }))).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
})

test('ledger rows are numbered without a gap per writer, whatever fails and whoever restarts', async () => {
  const { series, sid } = await newSeries()
  let window = 0
  const next = () => revisionOf(series, sid, { windowStart: at(MINUTE * window++) })
  const taken = next()
  await store.commit(commitOf({ writer: 5, revisions: [taken, next()] }))
  await expect(store.commit(commitOf({ writer: 5, revisions: [next(), taken] }))).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
  const restarted = createSeriesStore(database.pool)
  await restarted.commit(commitOf({ writer: 5, revisions: [next()] }))
  // The first process still holds the number it knew: it is told, and goes on after reading it anew.
  await store.commit(commitOf({ writer: 5, revisions: [next()] }))
  await expect(restarted.commit(commitOf({ writer: 5, revisions: [next()] }))).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
  await restarted.commit(commitOf({ writer: 5, revisions: [next(), next()] }))
  expect((await store.ledger.afterNumber(5, 0, 100)).map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6])
  expect((await store.ledger.afterNumber(5, 2, 2)).map(({ number }) => number)).toEqual([3, 4])
  expect((await store.ledger.writers()).find(({ writer }) => writer === 5)).toEqual({ writer: 5, lastNumber: 6 })
})

async function searchable (): Promise<{ rows: (WindowRevision & { series: number })[], series: number[] }> {
  const [one, two] = [await newSeries(), await newSeries()]
  const rows: (WindowRevision & { series: number })[] = []
  for (const { series, sid } of [one, two]) {
    for (const metric of ['tissue-po2', 'spo2-samples']) {
      // Around the end of a month, so that two partitions take part.
      for (let n = 0; n < 12; n++) {
        const windowStart = epochMs(Date.UTC(2026, 2, 1) - 6 * MINUTE + n * MINUTE)
        rows.push(revisionOf(series, sid, { metric, windowStart }))
        if (n % 3 === 0) rows.push(revisionOf(series, sid, { metric, windowStart, revision: 2, status: 'amended', issued: epochMs(windowStart + 400_000 + n) }))
        if (n % 6 === 0) rows.push(revisionOf(series, sid, { metric, windowStart, revision: 3, status: 'corrected', issued: epochMs(windowStart + 900_000 - n * 90_000) }))
      }
    }
  }
  await store.commit(commitOf({ writer: 8, revisions: rows }))
  return { rows, series: [one.series, two.series] }
}

/** What a search must answer, said the slow way. */
function brute (rows: readonly (WindowRevision & { series: number })[], query: LedgerQuery): string[] {
  const seen = rows.filter(row => row.issued <= (query.asOf ?? Infinity))
  const latest = seen.filter(row => !seen.some(other => name(other) === name(row) && other.revision > row.revision))
  return latest.filter(row => query.series.some(({ number, from, until }) => number === row.series && row.windowStart >= (from ?? -Infinity) && row.windowStart < (until ?? Infinity)) &&
    (query.metrics?.includes(row.metric) ?? true) && (query.statuses?.includes(row.status) ?? true) &&
    row.windowStart >= (query.start?.from ?? -Infinity) && row.windowStart < (query.start?.until ?? Infinity) &&
    row.issued >= (query.issued?.from ?? -Infinity) && row.issued < (query.issued?.until ?? Infinity)).map(versioned).sort()
}
const name = (row: WindowRevision & { series: number }) => `${row.series}/${row.metric}/${row.windowStart}/${row.sizeMs}`
const versioned = (row: WindowRevision & { series: number }) => `${name(row)}/${row.revision}`

test('a search finds the latest revisions in the order asked for, page by page as at once', async () => {
  const { rows, series: [one, two] } = await searchable()
  const start = epochMs(Date.UTC(2026, 2, 1) - 6 * MINUTE)
  const conditions: Partial<LedgerQuery>[] = [
    {}, { metrics: ['tissue-po2'] }, { metrics: [] }, { metrics: ['no-such-metric'] }, { statuses: ['amended', 'corrected'] }, { statuses: [] },
    { series: [{ number: one! }] }, { series: [] }, { series: [{ number: one!, from: epochMs(start + 4 * MINUTE) }, { number: two!, until: epochMs(start + 7 * MINUTE) }] },
    { start: { from: epochMs(start + 2 * MINUTE), until: epochMs(start + 9 * MINUTE) } }, { issued: { from: epochMs(start + 500_000), until: epochMs(start + 800_000) } },
    { asOf: epochMs(start + 500_000) }, { asOf: start }, { asOf: epochMs(start + 700_000), statuses: ['amended'], metrics: ['spo2-samples'] }
  ]
  for (const condition of conditions) {
    for (const order of ['start', 'issued'] as const) {
      for (const descending of [false, true]) {
        const query: LedgerQuery = { series: [{ number: one! }, { number: two! }], ...condition, order, descending, limit: 1000 }
        const label = JSON.stringify(query)
        const found = await store.ledger.search(query)
        expect(found.map(versioned).sort(), label).toEqual(brute(rows, query))
        const keys = found.map(row => order === 'start' ? row.windowStart : row.issued)
        expect(keys, label).toEqual([...keys].sort((a, b) => descending ? b - a : a - b))
        const paged = []
        for (let page = await store.ledger.search({ ...query, limit: 7 }); page.length > 0;) {
          paged.push(...page)
          page = await store.ledger.search({ ...query, limit: 7, after: cursorOf(page.at(-1)!, order) })
        }
        expect(paged.map(versioned), label).toEqual(found.map(versioned))
      }
    }
  }
})

test('rollups of a minute and an hour are made from the latest revisions, weighted by samples', async () => {
  const { series, sid } = await newSeries()
  const statistics = (sampleCount: number, mean: number | undefined, minimum: number, maximum: number) =>
    ({ sampleCount, expectedCount: 30, coverage: sampleCount / 30, minimum, maximum, ...(mean === undefined ? {} : { mean }) })
  await store.commit(commitOf({
    revisions: [
      revisionOf(series, sid, { sizeMs: 30_000, statistics: statistics(30, 40, 30, 50) }),
      revisionOf(series, sid, { sizeMs: 30_000, revision: 2, status: 'amended', statistics: statistics(30, 10, 5, 20) }),
      revisionOf(series, sid, { sizeMs: 30_000, windowStart: at(30_000), statistics: statistics(10, undefined, 1, 90) }),
      revisionOf(series, sid, { sizeMs: 30_000, windowStart: at(MINUTE), statistics: statistics(15, 20, 15, 25) }),
      revisionOf(series, sid, { sizeMs: 30_000, windowStart: at(90_000), status: 'entered-in-error', form: { form: 'empty' } })
    ]
  }))
  const { rows: minutes } = await database.pool.query('select minute, sample_count, minimum, maximum, mean from series.rollup_minute where series = $1 order by minute', [series])
  expect(minutes).toEqual([
    { minute: new Date(T0), sample_count: 40, minimum: 1, maximum: 90, mean: 10 },
    { minute: new Date(at(MINUTE)), sample_count: 15, minimum: 15, maximum: 25, mean: 20 }
  ])
  const { rows: hours } = await database.pool.query('select hour, sample_count, minimum, maximum, mean from series.rollup_hour where series = $1', [series])
  expect(hours).toEqual([{ hour: new Date(Date.UTC(2026, 1, 11, 8)), sample_count: 55, minimum: 1, maximum: 90, mean: (30 * 10 + 15 * 20) / 45 }])
})
