import { afterAll, beforeAll, expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import { viewsOf } from '../../../../src/model/view-ids.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { commitOf, revisionOf, rowOf, sidOf } from '../../../support/series.ts'

const day = (month: number, date: number, ms = 0) => epochMs(Date.UTC(2026, month - 1, date) + ms)
const LAST_MS = 86_399_999
const sid = sidOf(1)
let database: TestDatabase
let store: SeriesStore
let series: number

beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
  series = (await store.series([{ sid, model: 'Example/1', partition: 0 }])).get(sid)!
})
afterAll(async () => { await database.drop() })

const days = async () => (await store.readings(series, epochMs(0), epochMs(Infinity), 1000)).map(({ takenAt }) => new Date(takenAt).toISOString().slice(5, 10))

test('readings go by whole days, and none that the archive does not have', async () => {
  await store.commit(commitOf({ fresh: [day(1, 1), day(1, 1, LAST_MS), day(1, 2), day(1, 3), day(2, 1)].map(time => rowOf(series, time)) }))
  expect(await store.dropBefore('reading', day(3, 1), undefined)).toEqual([])
  expect(await store.dropBefore('reading', day(3, 1), day(1, 1, LAST_MS))).toEqual([])
  expect(await days()).toHaveLength(5)
  expect(await store.dropBefore('reading', day(3, 1), day(1, 2))).toEqual(['reading_20260101'])
  expect(await store.dropBefore('reading', day(1, 3, 5), day(3, 1))).toEqual(['reading_20260102'])
  expect(await days()).toEqual(['01-03', '02-01'])
  expect((await store.states([series])).get(series)!.rows).toHaveLength(2)
})

test('windows go by whole months, with the ids of their Observations', async () => {
  const windows = [day(1, 31, LAST_MS + 1 - 60_000), day(2, 1), day(3, 1)].map(windowStart => revisionOf(series, sid, { windowStart }))
  await store.commit(commitOf({ revisions: windows }))
  expect(await store.dropBefore('window', day(2, 28), undefined)).toEqual(['window_revision_202601'])
  expect(await store.dropBefore('window', day(3, 1), undefined)).toEqual(['window_revision_202602'])
  expect((await store.ledger.afterNumber(0, 0, 10)).map(({ number }) => number)).toEqual([3])
  const found = await store.ledger.byViewIds(windows.flatMap(viewsOf).map(({ id }) => id))
  expect(found.map(({ view }) => view.windowStart)).toEqual([day(3, 1)])
  expect((await database.owner.query('select count(*)::int as n from series.view')).rows).toEqual([{ n: 1 }])
})

test('a partition in use stays, and goes with the next call', async () => {
  const reader = await database.pool.connect()
  await reader.query('begin')
  await reader.query('select * from series.reading')
  await expect(store.dropBefore('reading', day(1, 5), day(1, 5))).rejects.toMatchObject({ code: '55P03' })
  await reader.query('commit')
  reader.release()
  expect(await store.dropBefore('reading', day(1, 5), day(1, 5))).toEqual(['reading_20260103'])
})
