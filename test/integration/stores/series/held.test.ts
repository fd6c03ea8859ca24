import { afterAll, beforeAll, expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import { heldByHour } from '../../../../src/stores/series/held.ts'
import { createSeriesStore } from '../../../../src/stores/series/series-store.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { commitOf, rowOf, sidOf } from '../../../support/series.ts'

const HOUR = 3_600_000
const MIDNIGHT = epochMs(Date.UTC(2026, 1, 12))
let database: TestDatabase
beforeAll(async () => { database = await testDatabase('series') })
afterAll(async () => { await database.drop() })

test('readings are counted in the hour in which they were taken, over all series, in whole hours', async () => {
  const store = createSeriesStore(database.pool)
  const [one, two] = [...(await store.series([1, 2].map(n => ({ sid: sidOf(n), model: 'Example/1' as const, partition: 0 })))).values()]
  const at = (series: number, ...times: number[]) => times.map(time => rowOf(series, epochMs(MIDNIGHT + time)))
  await store.commit(commitOf({ fresh: [...at(one!, -HOUR, -1, 0, HOUR - 1, 2 * HOUR), ...at(two!, 0, 1)] }))
  const hours = [[-1, 2, 1], [0, 4, 2], [2, 1, 1]].map(([hour, readings, series]) => ({ hour: MIDNIGHT + hour! * HOUR, readings, series }))
  expect(await heldByHour(database.pool, epochMs(MIDNIGHT - 5 * HOUR), epochMs(MIDNIGHT + 5 * HOUR))).toEqual(hours)
  expect(await heldByHour(database.pool, MIDNIGHT, epochMs(MIDNIGHT + 2 * HOUR))).toEqual(hours.slice(1, 2))
  expect(await heldByHour(database.poolOf('oxbow_series_ro'), epochMs(MIDNIGHT + 30_000), epochMs(MIDNIGHT + HOUR + 30_000))).toEqual(hours.slice(1, 2))
  expect(await heldByHour(database.pool, epochMs(0), epochMs(HOUR))).toEqual([])
})
