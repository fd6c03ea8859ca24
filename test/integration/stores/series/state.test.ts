import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { at, commitOf, MINUTE, revisionOf, rowOf, sidOf, T0 } from '../../../support/series.ts'

const DAY = 86_400_000
let database: TestDatabase
let store: SeriesStore
let nextSid = 1

beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
})
afterAll(async () => { await database.drop() })

async function newSeries (partition = 0): Promise<{ series: number, sid: Sid }> {
  const sid = sidOf(nextSid++)
  return { series: (await store.series([{ sid, model: 'Example/1', partition }])).get(sid)!, sid }
}
const rows = (series: number, from: number, count: number, stepMs = 1000) => Array.from({ length: count }, (_, n) => rowOf(series, at(from + n * stepMs)))
const withoutSeries = ({ series: _series, ...row }: ReturnType<typeof rowOf>) => row

test('the state of a series is its progress and the rows of its open windows', async () => {
  const [one, two, three] = [await newSeries(), await newSeries(), await newSeries()]
  const open = rows(one.series, 2 * MINUTE, 5)
  await store.commit(commitOf({
    fresh: [...rows(one.series, MINUTE, 60), ...open, ...rows(two.series, -3 * DAY, 2, 2 * DAY)],
    closed: [{ series: one.series, sizeMs: MINUTE, through: at(2 * MINUTE) }, { series: one.series, sizeMs: 30_000, through: at(150_000) }, { series: one.series, sizeMs: MINUTE, through: at(MINUTE) }]
  }))
  const states = await store.states([one.series, two.series, three.series])
  expect(states.get(one.series)).toEqual({
    series: one.series, progress: new Map([[MINUTE, at(2 * MINUTE)], [30_000, at(150_000)]]), rows: open.map(withoutSeries), truncated: false, highest: at(2 * MINUTE + 4000)
  })
  expect(states.get(two.series)).toEqual({ series: two.series, progress: new Map(), rows: rows(two.series, -3 * DAY, 2, 2 * DAY).map(withoutSeries), truncated: false, highest: at(-DAY) })
  expect(states.get(three.series)).toEqual({ series: three.series, progress: new Map(), rows: [], truncated: false })
})

test('progress never goes back', async () => {
  const { series } = await newSeries()
  const close = (through: number) => store.commit(commitOf({ closed: [{ series, sizeMs: MINUTE, through: at(through) }] }))
  await close(5 * MINUTE)
  await close(MINUTE)
  expect((await store.states([series])).get(series)!.progress).toEqual(new Map([[MINUTE, at(5 * MINUTE)]]))
})

test('a series with more open rows than the limit says that it is truncated, and the rest is read on', async () => {
  const { series } = await newSeries()
  const all = rows(series, 0, 25, DAY / 10)
  await store.commit(commitOf({ fresh: all }))
  const state = (await createSeriesStore(database.pool, { stateRowsMax: 12 }).states([series])).get(series)!
  expect(state.rows).toEqual(all.slice(0, 12).map(withoutSeries))
  expect(state).toMatchObject({ truncated: true, highest: all.at(-1)!.takenAt })
  const rest = await store.readings(series, state.rows.at(-1)!.takenAt, epochMs(Infinity), 100)
  expect(rest.slice(1)).toEqual(all.slice(12))
  expect((await createSeriesStore(database.pool, { stateRowsMax: 25 }).states([series])).get(series)!.truncated).toBe(false)
})

test('a closed series tells its highest time, also when its last day holds no row of it any more', async () => {
  const [one, two] = [await newSeries(), await newSeries()]
  await store.commit(commitOf({ fresh: rows(one.series, -2 * DAY, 3, DAY), closed: [{ series: one.series, sizeMs: MINUTE, through: at(MINUTE) }] }))
  expect((await store.states([one.series])).get(one.series)).toMatchObject({ rows: [], highest: T0 })
  await store.moveReadings({ from: one.series, to: two.series, since: T0, until: at(1), sizesMs: [MINUTE], lookback: 0, limit: 10, now: at(DAY) })
  expect((await store.states([one.series])).get(one.series)).toMatchObject({ rows: [], highest: at(-DAY) })
})

test('open series are those of the partitions with rows at or behind their progress', async () => {
  const [closed, sameDay, nextDay, never, empty, elsewhere] = await Promise.all([11, 11, 11, 12, 11, 13].map(newSeries))
  const through = at(2 * MINUTE)
  const close = (series: number) => ({ series, sizeMs: MINUTE, through })
  await store.commit(commitOf({
    fresh: [...rows(closed!.series, MINUTE, 60), ...rows(sameDay!.series, 2 * MINUTE, 1), ...rows(nextDay!.series, DAY, 1), ...rows(never!.series, 0, 1), ...rows(elsewhere!.series, 0, 1)],
    closed: [close(closed!.series), close(sameDay!.series), close(nextDay!.series)]
  }))
  const open = await store.openSeries([11, 12])
  expect(open).toEqual([sameDay, nextDay, never].map(one => ({ ...one, model: 'Example/1' })).sort((a, b) => a.series! - b.series!))
  expect(empty).toBeDefined()
})

test('a sid that comes by another partition belongs to it from then on', async () => {
  const { sid, series } = await newSeries(21)
  await store.commit(commitOf({ fresh: rows(series, 0, 1) }))
  await store.series([{ sid, model: 'Example/1', partition: 22 }])
  await store.series([{ sid, model: 'Example/1' }])
  expect([await store.openSeries([21]), (await store.openSeries([22])).length]).toEqual([[], 1])
})

test('readings are read by time, ascending and up to a limit, over any gap', async () => {
  const { series } = await newSeries()
  const days = [-9000, -400, -3, 0, 0, 2, 40].map((day, n) => rowOf(series, at(day * DAY + n)))
  await store.commit(commitOf({ fresh: days }))
  expect(await store.readings(series, epochMs(-Infinity), epochMs(Infinity), 100)).toEqual(days)
  expect(await store.readings(series, at(-3 * DAY + 2), at(2 * DAY + 5), 100)).toEqual(days.slice(2, 5))
  expect(await store.readings(series, at(-3 * DAY + 2), at(2 * DAY + 6), 2)).toEqual(days.slice(2, 4))
  expect(await store.readings(series, at(1), at(1), 2)).toEqual([])
  expect(await store.readingsBefore(series, at(4), 2)).toEqual(days.slice(2, 4))
  expect(await store.readingsBefore(series, at(4), 3)).toEqual(days.slice(1, 4))
  expect(await store.readingsBefore(series, epochMs(Date.UTC(2100, 0)), 100)).toEqual(days)
  expect(await store.readingsBefore(series, days[0]!.takenAt, 100)).toEqual([])
})

test('existing readings are found by key, on whatever day', async () => {
  const { series } = await newSeries()
  const stored = [rowOf(series, at(0)), rowOf(series, at(0), { sequence: 1 }), rowOf(series, at(-40 * DAY))]
  await store.commit(commitOf({ fresh: stored }))
  const keys = [...stored, rowOf(series, at(1)), rowOf(series, at(0), { sequence: 2 }), rowOf(series, at(-700 * DAY)), rowOf(series + 1000, at(0))]
  const found = await store.existing(keys)
  expect([...found].sort((a, b) => a.takenAt - b.takenAt || a.sequence - b.sequence)).toEqual([stored[2], stored[0], stored[1]])
  expect(await store.existing([])).toEqual([])
})

test('a mark of a window keeps the later time and the stronger cause, and stays when it was touched since it was read', async () => {
  const { series } = await newSeries()
  const window = { series, windowStart: T0, sizeMs: MINUTE }
  const mark = (cause: 'late' | 'recalibrated', notBefore: number) => store.commit(commitOf({ due: [{ ...window, partition: 31, cause, notBefore: at(notBefore) }] }))
  await mark('recalibrated', 1000)
  await mark('late', 2000)
  expect(await store.dueAmendments(at(1999), [31], 10)).toEqual([])
  const [due] = await store.dueAmendments(at(2000), [30, 31], 10)
  expect(due).toMatchObject({ ...window, partition: 31, cause: 'recalibrated', notBefore: at(2000) })
  await mark('late', 1500)
  await store.commit(commitOf({ settled: [{ ...window, asOf: due!.asOf }] }))
  const [again] = await store.dueAmendments(at(2000), [31], 10)
  expect(again).toBeDefined()
  await store.commit(commitOf({ settled: [{ ...window, asOf: again!.asOf }] }))
  expect(await store.dueAmendments(at(DAY), [31], 10)).toEqual([])
  // Settled and marked in one commit: the mark is newer.
  await mark('late', 1000)
  await store.commit(commitOf({ settled: [{ ...window, asOf: at(DAY) }], due: [{ ...window, partition: 31, cause: 'late', notBefore: at(3000) }] }))
  expect(await store.dueAmendments(at(3000), [31], 10)).toHaveLength(1)
})

test('written windows that overlap a span are marked, and no others', async () => {
  const { series, sid } = await newSeries(41)
  const windows = [[-MINUTE, MINUTE], [0, MINUTE], [0, 30_000], [30_000, 30_000], [MINUTE, MINUTE], [2 * MINUTE, MINUTE]] as const
  await store.commit(commitOf({ revisions: windows.map(([start, sizeMs]) => revisionOf(series, sid, { windowStart: at(start), sizeMs })) }))
  const marked = await store.markWindowsDue({ series: [series], since: at(30_000), until: at(2 * MINUTE), cause: 'recalibrated', now: at(DAY) })
  const due = await store.dueAmendments(at(DAY), [41], 10)
  expect(marked).toBe(3)
  expect(due.map(({ windowStart, sizeMs, cause }) => [windowStart - T0, sizeMs, cause])).toEqual([[0, MINUTE, 'recalibrated'], [30_000, 30_000, 'recalibrated'], [MINUTE, MINUTE, 'recalibrated']])
  expect(await store.markWindowsDue({ series: [], since: at(0), until: at(1), cause: 'late', now: at(0) })).toBe(0)
})

test('channels of a device model may be added at the end, and nothing else', async () => {
  const channel = (metric: string) => ({ metric, kind: 'tissue-po2' as const, unit: 'mm[Hg]', periodMs: 1000, technicalRange: { low: 0, high: 160 }, resolution: 0.1, zeroMeans: 'zero' as const, calibration: 'none' as const })
  const model = (...metrics: string[]) => [{ manufacturer: 'Example', modelNumber: '2', display: 'x', channels: metrics.map(channel), batteryRange: { low: 0, high: 6000 } }]
  await store.recordModels(model('a', 'b'))
  await store.recordModels(model('a', 'b'))
  await store.recordModels(model('a', 'b', 'c'))
  for (const changed of [model('b', 'a', 'c'), model('a', 'b'), model('a', 'x', 'c'), model('a', 'b', 'c', 'a')]) {
    await expect(store.recordModels(changed)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  }
})
