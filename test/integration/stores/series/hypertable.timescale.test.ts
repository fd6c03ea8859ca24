import { afterAll, beforeAll, expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import { migrateStore } from '../../../../src/platform/postgres/migrate.ts'
import { STORES } from '../../../../src/platform/postgres/stores.ts'
import { heldByHour } from '../../../../src/stores/series/held.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { batchesOf, chunksOf, compressAll, jobsOf, runJob } from '../../../support/hypertable.ts'
import { addTimescale, emptyDatabase, type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { at, commitOf, MINUTE, rowOf, sidOf } from '../../../support/series.ts'

const DAY = 86_400_000
const ALL = { from: epochMs(0), until: epochMs(Infinity) }
let database: TestDatabase
let store: SeriesStore
let nextSid = 1

beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
})
afterAll(async () => { await database.drop() })

async function newSeries (of = store): Promise<number> {
  const sid = sidOf(nextSid++)
  return (await of.series([{ sid, model: 'Example/1', partition: 0 }])).get(sid)!
}
const stored = (series: number, of = store) => of.readings(series, ALL.from, ALL.until, 1_000_000)
const seconds = (series: number, count: number, from = 0) => Array.from({ length: count }, (_, n) => rowOf(series, at(from + n * 1000), { offset: n }))
const stepOf = (series: number) => ({ from: series, since: ALL.from, until: ALL.until, sizesMs: [MINUTE], lookback: 0, limit: 1500, now: at(DAY) })

test('a database that has the extension at its first start keeps readings in a hypertable, with a job that compresses and one that counts', async () => {
  expect(await jobsOf(database)).toEqual(['policy_compression', 'policy_refresh_continuous_aggregate'])
  expect((await database.owner.query('select drops from series.hypertable')).rows).toEqual([{ drops: 0 }])
})

test('the job compresses the days that are more than a week old, and no others', async () => {
  const series = await newSeries()
  const now = Date.now()
  const [old, young] = [10, 2].map(days => rowOf(series, epochMs(now - days * DAY)))
  await store.commit(commitOf({ fresh: [old!, young!] }))
  await runJob(database, 'policy_compression')
  const day = (time: number) => new Date(time).toISOString().slice(0, 10)
  expect(await chunksOf(database)).toEqual([{ day: day(now - 10 * DAY), compressed: true }, { day: day(now - 2 * DAY), compressed: false }])
  expect(await stored(series)).toEqual([old, young])
})

test('readings for days that stand compressed are stored once, conflict where they stand already, and may be filled', async () => {
  const series = await newSeries()
  const rows = seconds(series, 2500)
  await store.commit(commitOf({ fresh: rows }))
  await compressAll(database)
  expect(await batchesOf(database, series)).toBeGreaterThan(1)
  await expect(store.commit(commitOf({ fresh: [rowOf(series, at(1_234_000))] }))).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
  const between = [rowOf(series, at(-500)), rowOf(series, at(1_000_500))]
  await store.commit(commitOf({ fresh: [between[0]!], late: [between[1]!, ...rows.map(row => ({ ...row, values: [0] }))] }))
  await store.commit(commitOf({ fills: [
    { series, takenAt: at(3000), sequence: 0, field: 2, value: 0.1 + 0.2 }, { series, takenAt: at(3000), sequence: 0, field: 0, value: 1 }, { series, takenAt: at(9), sequence: 0, field: 2, value: 1 }
  ] }))
  const expected = [...rows.map(row => row.takenAt === at(3000) ? { ...row, values: [...row.values, 0.1 + 0.2] } : row), ...between].sort((a, b) => a.takenAt - b.takenAt)
  expect(await stored(series)).toEqual(expected)
  expect((await chunksOf(database)).every(({ compressed }) => compressed)).toBe(true)
  // What came late is packed with the rest by the next run.
  await compressAll(database)
  expect(await stored(series)).toEqual(expected)
})

test('however many compressed rows one commit touches, it is done', async () => {
  const numbers = [...(await store.series(Array.from({ length: 130 }, () => ({ sid: sidOf(nextSid++), model: 'Example/1' as const, partition: 0 })))).values()]
  await store.commit(commitOf({ fresh: numbers.flatMap(series => seconds(series, 1000)) }))
  await compressAll(database)
  await store.commit(commitOf({ fills: numbers.map(series => ({ series, takenAt: at(500_000), sequence: 0, field: 5, value: series })) }))
  expect((await Promise.all(numbers.map(series => store.readings(series, at(500_000), at(500_001), 1)))).map(([row]) => row!.values[5])).toEqual(numbers)
})

test('readings move out of compressed days, and into them, and nothing of them is left in what is compressed', async () => {
  const [from, to] = [await newSeries(), await newSeries()]
  const rows = [...seconds(from, 3000, -DAY), ...seconds(from, 3000)]
  await store.commit(commitOf({ fresh: [...rows, ...rows.slice(100, 200).map(row => ({ ...row, series: to, values: [undefined, undefined, 7] }))] }))
  await compressAll(database)
  const moved = []
  for (let step = await store.moveReadings({ ...stepOf(from), to }); step.moved + step.dropped > 0; step = await store.moveReadings({ ...stepOf(from), to })) moved.push(step)
  expect(moved).toEqual([{ moved: 1400, dropped: 100, conflicts: 0 }, ...Array(3).fill({ moved: 1500, dropped: 0, conflicts: 0 })])
  expect(await stored(from)).toEqual([])
  expect(await stored(to)).toEqual(rows.map((row, n) => ({ ...row, series: to, values: n >= 100 && n < 200 ? [...row.values, 7] : row.values })))
  expect(await batchesOf(database, from)).toBe(0)
})

test('readings that are taken out of compressed days are handed on whole and in order, and are gone from what is compressed', async () => {
  const [series, other] = [await newSeries(), await newSeries()]
  const rows = [...seconds(series, 2000), ...seconds(series, 2000, DAY)]
  await store.commit(commitOf({ fresh: [...rows, ...seconds(other, 2000)] }))
  await compressAll(database)
  const kept: unknown[] = []
  await expect(store.takeReadings(stepOf(series), async () => { throw new Error('quarantine is away') })).rejects.toThrow('quarantine is away')
  expect(await stored(series)).toEqual(rows)
  while (await store.takeReadings(stepOf(series), async taken => { kept.push(...taken) }) > 0);
  expect(kept).toEqual(rows)
  expect(await stored(series)).toEqual([])
  expect(await batchesOf(database, series)).toBe(0)
  expect(await stored(other)).toHaveLength(2000)
})

test('retention drops compressed days as it does others, and a writer that noted one of them notes it again', async () => {
  const own = await testDatabase('series')
  try {
    const [writer, retention] = [createSeriesStore(own.pool), createSeriesStore(own.pool)]
    const series = await newSeries(writer)
    await writer.commit(commitOf({ fresh: [rowOf(series, at(-DAY)), rowOf(series, at(0))] }))
    await compressAll(own)
    expect(await retention.dropBefore('reading', at(2 * DAY), undefined)).toEqual([])
    expect(await retention.dropBefore('reading', at(2 * DAY), at(0))).toEqual(['reading_20260210'])
    expect(await retention.dropBefore('reading', at(2 * DAY), at(2 * DAY))).toEqual(['reading_20260211'])
    await writer.commit(commitOf({ late: [rowOf(series, at(1000))] }))
    expect(await stored(series, writer)).toEqual([rowOf(series, at(1000))])
    expect((await own.owner.query('select count(*)::int as n from series.day')).rows).toEqual([{ n: 1 }])
  } finally {
    await own.drop()
  }
})

test('retention waits for what is being committed, also for a day that was not there, and gives up when that takes long', async () => {
  const own = await testDatabase('series')
  const other = createSeriesStore(own.pool)
  const series = await newSeries(other)
  await other.commit(commitOf({ fresh: [rowOf(series, at(-3 * DAY))] }))
  const writer = await own.pool.connect()
  try {
    await writer.query('begin')
    await writer.query(`insert into series.reading (series, schema_id, taken_at, sequence, src_offset, firmware, flags, partition) values (${series}, 1, '2026-02-07T09:00:00Z', 1, 1, 1, 0, 0)`)
    await expect(other.dropBefore('reading', at(0), at(0))).rejects.toMatchObject({ code: '55P03' })
    await writer.query('commit')
    expect(await other.dropBefore('reading', at(0), at(0))).toEqual(['reading_20260207', 'reading_20260208'])
  } finally {
    writer.release()
    await own.drop()
  }
})

test('counts by hour follow what is moved, taken and dropped once their job has run', async () => {
  const own = await testDatabase('series')
  try {
    const other = createSeriesStore(own.pool)
    const [one, two] = [await newSeries(other), await newSeries(other)]
    await other.commit(commitOf({ fresh: [...seconds(one, 10, -DAY), ...seconds(one, 10), ...seconds(two, 5)] }))
    const counts = async () => {
      await runJob(own, 'policy_refresh_continuous_aggregate')
      return (await heldByHour(own.pool, at(-2 * DAY), at(DAY))).map(({ readings, series }) => [readings, series])
    }
    expect(await counts()).toEqual([[10, 1], [15, 2]])
    await other.moveReadings({ ...stepOf(one), to: two })
    expect(await counts()).toEqual([[10, 1], [10, 1]])
    await other.commit(commitOf({ late: [rowOf(one, at(3_600_000))] }))
    await other.dropBefore('reading', at(0), at(0))
    expect(await counts()).toEqual([[10, 1], [1, 1]])
    await other.takeReadings(stepOf(two), async () => {})
    expect(await counts()).toEqual([[1, 1]])
    // Also where a day before it is filled again.
    await other.commit(commitOf({ fresh: [...seconds(two, 3, -DAY), ...seconds(two, 4)] }))
    expect(await counts()).toEqual([[3, 1], [4, 1], [1, 1]])
    await other.dropBefore('reading', at(DAY), at(DAY))
    await other.commit(commitOf({ fresh: [rowOf(two, at(-DAY)), rowOf(two, at(DAY))] }))
    expect(await counts()).toEqual([[1, 1]])
  } finally {
    await own.drop()
  }
})

test('a deployment without the extension stays as it is when the extension comes, and is moved by hand', async () => {
  const own = await emptyDatabase('series', false)
  try {
    await migrateStore(own.ownerUrl, STORES.series)
    const before = createSeriesStore(own.pool)
    const series = await newSeries(before)
    const rows = [...seconds(series, 100, -40 * DAY), ...seconds(series, 100)]
    await before.commit(commitOf({ fresh: rows }))
    await expect(own.owner.query('select series.use_hypertable()')).rejects.toThrow('only where the extension timescaledb is made in this database')
    await addTimescale(new URL(own.url).pathname.slice(1))
    expect(await migrateStore(own.ownerUrl, STORES.series)).toBe(0)
    await before.commit(commitOf({ fresh: seconds(series, 1, DAY) }))
    expect(await chunksOf(own)).toEqual([])

    await own.owner.query('select series.use_hypertable()')
    await own.owner.query('select series.use_hypertable()')
    expect((await chunksOf(own)).map(({ day }) => day)).toEqual(['2026-01-02', '2026-02-11', '2026-02-12'])
    const after = createSeriesStore(own.pool)
    await compressAll(own)
    await after.commit(commitOf({ late: seconds(series, 5, 100_500), fills: [{ series, takenAt: at(0), sequence: 0, field: 'battery', value: 1 }] }))
    expect(await stored(series, after)).toEqual([...rows, ...seconds(series, 5, 100_500), ...seconds(series, 1, DAY)])
    for (const sql of ['delete from series.reading', 'truncate series.reading', 'update series.reading set series = 1', 'select series.use_hypertable()']) {
      await expect(own.pool.query(sql), sql).rejects.toMatchObject({ code: '42501' })
    }
  } finally {
    await own.drop()
  }
})
