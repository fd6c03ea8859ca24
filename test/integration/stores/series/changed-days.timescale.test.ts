import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EpochMs, epochMs } from '../../../../src/model/units.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { chunksOf, compressAll } from '../../../support/hypertable.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { commitOf, MINUTE, rowOf, sidOf } from '../../../support/series.ts'

const DAY_MS = 86_400_000
const FIRST = Date.UTC(2026, 1, 10) / DAY_MS
const onDay = (day: number, ms = 0): EpochMs => epochMs((FIRST + day) * DAY_MS + ms)
let database: TestDatabase
let store: SeriesStore
let one: number
let two: number

beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
  const numbers = await store.series([{ sid: sidOf(1), model: 'Example/1', partition: 0 }, { sid: sidOf(2), model: 'Example/1', partition: 0 }])
  one = numbers.get(sidOf(1))!
  two = numbers.get(sidOf(2))!
  await store.commit(commitOf({ fresh: [0, 1, 2].flatMap(day => Array.from({ length: 1200 }, (_, n) => rowOf(one, onDay(day, n * 1000), { quality: undefined }))) }))
  await compressAll(database)
  await store.days.watch(FIRST + 2)
})
afterAll(async () => { await database.drop() })

/** `series/day` of what changed since the last call, and nothing is noted any more. */
async function changed (): Promise<string[]> {
  const found = await store.days.changed(Number.MAX_SAFE_INTEGER, 100)
  for (const each of found) await store.days.settle(each)
  return found.map(({ series, day }) => `${series === one ? 'one' : 'two'}/${day - FIRST}`).sort()
}

test('what changes in compressed days is noted where something changed, and nowhere else', async () => {
  expect((await chunksOf(database)).map(({ compressed }) => compressed)).toEqual([true, true, true])
  expect(await changed()).toEqual(['one/0', 'one/1', 'one/2'])
  await store.commit(commitOf({ late: [rowOf(one, onDay(0)), rowOf(one, onDay(2, 5000))] }))
  expect(await changed()).toEqual([])
  await store.commit(commitOf({ late: [rowOf(one, onDay(0)), rowOf(one, onDay(1, 500))] }))
  expect(await changed()).toEqual(['one/1'])
  await store.commit(commitOf({ fills: [{ series: one, takenAt: onDay(2, 7000), sequence: 0, field: 'quality', value: 90 }, { series: one, takenAt: onDay(0, 7), sequence: 0, field: 'quality', value: 90 }] }))
  expect(await changed()).toEqual(['one/2'])
  await store.commit(commitOf({ fresh: [rowOf(two, onDay(0, 9)), rowOf(two, onDay(3))] }))
  expect(await changed()).toEqual(['two/0'])
  const pages = []
  for await (const page of store.days.pages({ series: one, sid: sidOf(1), model: 'Example/1', day: FIRST + 1, number: 0, life: 0 }, 500)) pages.push(page)
  expect(pages.map(page => page.length)).toEqual([500, 500, 201])
  expect(pages.flat()).toEqual(await store.readings(one, onDay(1), onDay(2), 10_000))
})

test('readings that leave compressed days change them, and retention drops those alone whose changes are settled', async () => {
  const step = { from: one, sizesMs: [MINUTE], lookback: 0, limit: 2000, now: onDay(9) }
  expect(await store.moveReadings({ ...step, to: two, since: onDay(1), until: onDay(1, 60_000) })).toEqual({ moved: 61, dropped: 0, conflicts: 0 })
  expect(await changed()).toEqual(['one/1', 'two/1'])
  expect(await store.takeReadings({ ...step, since: onDay(2), until: onDay(2, 60_000) }, async () => {})).toBe(60)
  expect(await store.dropBefore('reading', onDay(9), onDay(9))).toEqual(['reading_20260210', 'reading_20260211'])
  expect(await store.dropBefore('reading', onDay(9), onDay(9))).toEqual([])
  expect(await changed()).toEqual(['one/2'])
  expect(await store.dropBefore('reading', onDay(9), onDay(9))).toEqual(['reading_20260212'])
  // A writer that knows nothing of it: the day is noted again, and begins anew.
  await store.commit(commitOf({ fresh: [rowOf(one, onDay(2, 1))] }))
  const [again] = await store.days.changed(Number.MAX_SAFE_INTEGER, 10)
  expect(again).toMatchObject({ series: one, day: FIRST + 2 })
  expect(again!.life).toBeGreaterThan(0)
})
