import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { at, commitOf, MINUTE, rowOf, sidOf, T0 } from '../../../support/series.ts'

const DAY = 86_400_000
const ALL = { since: epochMs(0), until: epochMs(Infinity), sizesMs: [MINUTE, 30_000], lookback: 0, now: at(DAY) }
let database: TestDatabase
let store: SeriesStore
let nextSid = 1

beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
})
afterAll(async () => { await database.drop() })

async function newSeries (partition: number): Promise<{ series: number, sid: Sid }> {
  const sid = sidOf(nextSid++)
  return { series: (await store.series([{ sid, model: 'Example/1', partition }])).get(sid)!, sid }
}
const stored = (series: number) => store.readings(series, epochMs(0), epochMs(Infinity), 1000)
const dueOf = async (partition: number) => (await store.dueAmendments(at(DAY), [partition], 100)).map(({ series, windowStart, sizeMs, cause }) => ({ series, start: windowStart - T0, sizeMs, cause }))

test('readings move in bounded steps, oldest first, and both sides have their windows written again', async () => {
  const [from, to] = [await newSeries(1), await newSeries(2)]
  const rows = [at(-DAY), at(0), at(1000), at(MINUTE), at(MINUTE + 31_000)].map(time => rowOf(from.series, time))
  await store.commit(commitOf({ fresh: [...rows, rowOf(from.series, at(2 * MINUTE))] }))
  const step = { ...ALL, from: from.series, to: to.series, until: at(2 * MINUTE), limit: 2 }
  const moved = []
  for (let result = await store.moveReadings(step); result.moved > 0; result = await store.moveReadings(step)) moved.push(result)
  expect(moved).toEqual([{ moved: 2, dropped: 0, conflicts: 0 }, { moved: 2, dropped: 0, conflicts: 0 }, { moved: 1, dropped: 0, conflicts: 0 }])
  expect(await stored(to.series)).toEqual(rows.map(row => ({ ...row, series: to.series })))
  expect((await stored(from.series)).map(({ takenAt }) => takenAt)).toEqual([at(2 * MINUTE)])
  const windows = [[-DAY, MINUTE], [0, MINUTE], [MINUTE, MINUTE], [-DAY, 30_000], [0, 30_000], [MINUTE, 30_000], [MINUTE + 30_000, 30_000]]
  const expected = (series: number) => windows.map(([start, sizeMs]) => ({ series, start, sizeMs, cause: 'association' }))
  expect((await dueOf(1))).toEqual(expect.arrayContaining(expected(from.series)))
  expect((await dueOf(2))).toEqual(expect.arrayContaining(expected(to.series)))
  // And the window before each, whose deficit looks ahead, where it is none of these.
  expect([(await dueOf(1)).length, (await dueOf(2)).length]).toEqual([12, 12])
})

test('a reading that the target holds already is merged: what is absent is filled, the one that came first stands, and the sums hold', async () => {
  const [from, to] = [await newSeries(3), await newSeries(4)]
  const hour = epochMs(Date.UTC(2026, 1, 11, 8))
  const counter = (series: number) => ({ series, hour, accepted: 3, stored: 3, duplicate: 0, conflict: 0 })
  await store.commit(commitOf({
    fresh: [
      rowOf(from.series, at(0), { values: [1] }), rowOf(from.series, at(1), { values: [3], flags: 1 }), rowOf(from.series, at(3)),
      rowOf(to.series, at(0), { values: [2, 7] }), rowOf(to.series, at(1), { values: [undefined, 8], flags: 2 }), rowOf(to.series, at(2))
    ],
    counters: [counter(from.series), counter(to.series)]
  }))
  expect(await store.moveReadings({ ...ALL, from: from.series, to: to.series, limit: 10 })).toEqual({ moved: 1, dropped: 2, conflicts: 1 })
  const merged = await stored(to.series)
  expect(merged.map(({ values }) => [values[0], values[1]])).toEqual([[1, 7], [3, 8], [41.2, 97.5], [41.2, 97.5]])
  expect(merged[1]!.flags).toBe(3)
  const counts = await store.countsBySid()
  const [one, two] = [counts.get(from.sid)!, counts.get(to.sid)!]
  expect(one.stored + two.stored).toBe(4)
  expect([two.duplicate, two.conflict]).toEqual([1, 1])
  expect(one.accepted + two.accepted).toBe(one.stored + two.stored + one.duplicate + two.duplicate + one.conflict + two.conflict)
})

test('taken readings are deleted once they were kept elsewhere, and stay when that failed', async () => {
  const from = await newSeries(5)
  const rows = [rowOf(from.series, at(0)), rowOf(from.series, at(0), { sequence: 2 }), rowOf(from.series, at(DAY - 1))]
  await store.commit(commitOf({ fresh: rows }))
  const step = { ...ALL, from: from.series, limit: 2 }
  await expect(store.takeReadings(step, async () => { throw new Error('quarantine is away') })).rejects.toThrow('quarantine is away')
  expect(await stored(from.series)).toEqual(rows)
  expect(await dueOf(5)).toEqual([])
  const kept: unknown[] = []
  const take = () => store.takeReadings(step, async taken => { kept.push(...taken) })
  expect([await take(), await take(), await take()]).toEqual([2, 1, 0])
  expect(kept).toEqual(rows)
  expect(await stored(from.series)).toEqual([])
  expect((await dueOf(5)).length).toBe(8)
})

test('windows of the readings that look back to a moved one are marked, as far as the models look back and no further', async () => {
  const [from, to] = [await newSeries(6), await newSeries(7)]
  const later = [5, 9, 9.5, 14, 20].map(minutes => rowOf(from.series, at(minutes * MINUTE)))
  await store.commit(commitOf({ fresh: [rowOf(from.series, at(0)), ...later] }))
  await store.moveReadings({ ...ALL, sizesMs: [MINUTE], from: from.series, to: to.series, until: at(MINUTE), limit: 10, lookback: 4 })
  const starts = (await dueOf(6)).map(({ start }) => start / MINUTE).sort((a, b) => a - b)
  expect(starts).toEqual([-1, 0, 5, 9, 14])
})
