import { afterAll, beforeEach, expect, test } from 'vitest'
import { type EpochMs, epochMs } from '../../../../src/model/units.ts'
import { correctReadings } from '../../../../src/stores/series/reprocess-rows.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import type { RowIn } from '../../../../src/stream/sink.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { commitOf, MINUTE, rowOf, sidOf } from '../../../support/series.ts'

const DAY_MS = 86_400_000
const FIRST = Date.UTC(2026, 1, 10) / DAY_MS
const onDay = (day: number, ms = 0): EpochMs => epochMs((FIRST + day) * DAY_MS + ms)
const databases: TestDatabase[] = []
let database: TestDatabase
let store: SeriesStore
let one: number
let two: number

beforeEach(async () => {
  database = await testDatabase('series')
  databases.push(database)
  store = createSeriesStore(database.pool)
  const numbers = await store.series([{ sid: sidOf(1), model: 'Example/1', partition: 0 }, { sid: sidOf(2), model: 'Example/1', partition: 0 }])
  one = numbers.get(sidOf(1))!
  two = numbers.get(sidOf(2))!
})
afterAll(async () => { await Promise.all(databases.map(each => each.drop())) })

/** `series/day` of what is noted, those that changed after they were first watched with a `+`. */
async function noted (): Promise<string[]> {
  return (await store.days.changed(Number.MAX_SAFE_INTEGER, 100)).map(({ series, day, number }) => `${series === one ? 'one' : 'two'}/${day - FIRST}${number > 0 ? '+' : ''}`).sort()
}
async function settleAll (): Promise<void> {
  for (const each of await store.days.changed(Number.MAX_SAFE_INTEGER, 100)) await store.days.settle(each)
}
const watch = (day: number) => store.days.watch(FIRST + day)
const fresh = (...rows: RowIn[]) => store.commit(commitOf({ fresh: rows }))

test('before anybody watches nothing is noted; then every day that holds readings, once', async () => {
  await fresh(rowOf(one, onDay(0)), rowOf(one, onDay(1)), rowOf(two, onDay(1)), rowOf(one, onDay(2)))
  expect(await store.days.pending()).toEqual({ count: 0, highest: 0 })
  await watch(1)
  expect(await noted()).toEqual(['one/0', 'one/1', 'two/1'])
  await settleAll()
  await watch(1)
  await watch(0)
  expect(await noted()).toEqual([])
  await watch(5)
  expect(await noted()).toEqual(['one/2'])
})

test('where much is stored it is watched step by step, past days without readings, so that no commit waits for long', async () => {
  const days = [-9_000, -8_999, -5, -4, -3, -2, -1, 0, 1, 2]
  await fresh(...days.map(day => rowOf(one, onDay(day))))
  const steps: number[] = []
  for (const day of [20, 20, 1, 20]) {
    await watch(day)
    steps.push((await noted()).length)
  }
  expect(steps).toEqual([7, 10, 10, 10])
  await settleAll()
  await fresh(rowOf(two, onDay(15)), rowOf(two, onDay(21)))
  expect(await noted()).toEqual(['two/15+'])
})

test('readings of watched days are noted with a new number each time, those of later days are not', async () => {
  await watch(1)
  await fresh(rowOf(one, onDay(1)), rowOf(one, onDay(2)))
  const [before] = await store.days.changed(Number.MAX_SAFE_INTEGER, 10)
  expect(before).toMatchObject({ series: one, sid: sidOf(1), model: 'Example/1', day: FIRST + 1, life: 0 })
  expect(await store.days.isUnchanged(before!)).toBe(true)
  await fresh(rowOf(one, onDay(1, 5)), rowOf(two, onDay(0)))
  expect(await store.days.isUnchanged(before!)).toBe(false)
  await store.days.settle(before!)
  expect(await noted()).toEqual(['one/1+', 'two/0+'])
  expect(await store.days.changed(before!.number, 10)).toEqual([])
})

test('a late reading or a filled field is noted where it changed something', async () => {
  await fresh(rowOf(one, onDay(0), { quality: undefined, values: [1] }))
  await watch(0)
  await settleAll()
  await store.commit(commitOf({ late: [rowOf(one, onDay(0))], fills: [{ series: one, takenAt: onDay(0), sequence: 0, field: 0, value: 2 }] }))
  expect(await noted()).toEqual([])
  await store.commit(commitOf({ fills: [{ series: one, takenAt: onDay(0), sequence: 0, field: 'quality', value: 90 }] }))
  expect(await noted()).toEqual(['one/0+'])
  await settleAll()
  await store.commit(commitOf({ late: [rowOf(one, onDay(0)), rowOf(one, onDay(0, 1)), rowOf(one, onDay(1))] }))
  expect(await noted()).toEqual(['one/0+'])
})

test('a reading that is put right from its original is noted', async () => {
  await fresh(rowOf(one, onDay(0)), rowOf(two, onDay(0)), rowOf(one, onDay(1)))
  await watch(1)
  await settleAll()
  const { values, battery, quality, flags } = rowOf(one, onDay(0))
  await correctReadings(database.pool, { rows: [{ series: one, takenAt: onDay(0), sequence: 0, values: values.map(() => 41), battery, quality, flags }], sizesMs: [MINUTE], lookback: 0 })
  expect(await noted()).toEqual(['one/0+'])
})

test('a writer that does not know that more is watched writes all of its commit, and notes it', async () => {
  const other = createSeriesStore(database.pool)
  await fresh(rowOf(one, onDay(0)))
  await other.days.watch(FIRST)
  await settleAll()
  await fresh(rowOf(one, onDay(0, 1)), rowOf(two, onDay(1)))
  expect(await noted()).toEqual(['one/0+'])
  await other.days.watch(FIRST + 1)
  await settleAll()
  await store.commit(commitOf({ late: [rowOf(two, onDay(1, 1))] }))
  expect(await noted()).toEqual(['two/1+'])
  expect(await store.readings(two, onDay(0), onDay(3), 10)).toHaveLength(2)
})

test('to watch more waits for what is being committed, so that nothing slips through', async () => {
  const writer = await database.pool.connect()
  await writer.query('begin')
  await writer.query(`select series.begin_rows(null)`)
  await writer.query(`select series.ensure_day('2026-02-10')`)
  const watching = watch(0)
  await expect.poll(async () => (await database.owner.query("select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())")).rowCount).toBe(1)
  await writer.query(`select series.note_days($1, $2)`, [[one], [FIRST]])
  await writer.query('commit')
  writer.release()
  await watching
  expect(await noted()).toEqual(['one/0'])
})

test('readings that move or leave change every day they stood on, on both sides', async () => {
  await fresh(rowOf(one, onDay(0)), rowOf(one, onDay(1)), rowOf(one, onDay(2)), rowOf(two, onDay(2, 7)))
  await watch(5)
  await settleAll()
  const step = { from: one, since: onDay(0, 1), until: onDay(2, 1), sizesMs: [MINUTE], lookback: 0, limit: 10, now: onDay(3) }
  expect(await store.moveReadings({ ...step, to: two })).toMatchObject({ moved: 2 })
  expect(await noted()).toEqual(['one/0+', 'one/1+', 'one/2+', 'two/1+', 'two/2+'])
  await settleAll()
  expect(await store.moveReadings({ ...step, to: two })).toMatchObject({ moved: 0 })
  expect(await noted()).toEqual([])
  await expect(store.takeReadings({ ...step, since: onDay(0) }, async () => { throw new Error('away') })).rejects.toThrow('away')
  expect(await noted()).toEqual([])
  expect(await store.takeReadings({ ...step, since: onDay(0) }, async () => {})).toBe(1)
  expect(await noted()).toEqual(['one/0+'])
  await settleAll()
  await store.days.mark([two], onDay(0), onDay(2))
  expect(await noted()).toEqual(['two/1+'])
})

test('retention waits where readings are being taken out, and neither ends the other', async () => {
  await fresh(rowOf(one, onDay(0)), rowOf(one, onDay(0, 1)))
  await watch(0)
  await settleAll()
  let dropping: Promise<unknown> | undefined
  let isDropping = true
  const waiting = async () => (await database.owner.query('select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())')).rowCount
  const step = { from: one, since: onDay(0), until: onDay(0, 1), sizesMs: [MINUTE], lookback: 0, limit: 10, now: onDay(3) }
  expect(await store.takeReadings(step, async () => {
    dropping = store.dropBefore('reading', onDay(9), onDay(9)).catch(error => error.code).finally(() => { isDropping = false })
    await expect.poll(async () => !isDropping || await waiting() === 1, { timeout: 20_000 }).toBe(true)
  })).toBe(1)
  // Having waited it finds a day that is not settled; or it waited for too long.
  expect([[], '55P03']).toContainEqual(await dropping)
  expect(await noted()).toEqual(['one/0+'])
})

test('retention drops no day that is not watched or not settled, and what comes for a dropped day begins anew', async () => {
  await fresh(rowOf(one, onDay(0)), rowOf(one, onDay(1)), rowOf(one, onDay(2)), rowOf(one, onDay(3)))
  await watch(2)
  const drop = () => store.dropBefore('reading', onDay(9), onDay(9))
  expect(await drop()).toEqual([])
  const [first] = await store.days.changed(0, 1)
  await store.days.settle(first!)
  expect(await drop()).toEqual(['reading_20260210'])
  await settleAll()
  expect(await drop()).toEqual(['reading_20260211', 'reading_20260212'])
  await fresh(rowOf(one, onDay(1, 9)), rowOf(two, onDay(3)))
  const [late] = await store.days.changed(Number.MAX_SAFE_INTEGER, 10)
  expect(late).toMatchObject({ day: FIRST + 1 })
  expect(late!.life).toBeGreaterThan(0)
  await settleAll()
  expect(await drop()).toEqual(['reading_20260211'])
  expect(await store.days.isUnchanged(late!)).toBe(false)
})

test('a day is read page by page in the order of its identities', async () => {
  const rows = [0, 1, 1, 1, 2, DAY_MS - 1].map((ms, place) => rowOf(one, onDay(1, ms), { sequence: place === 1 ? -7 : place }))
  await fresh(rowOf(one, onDay(0, DAY_MS - 1), { sequence: 9 }), ...rows, rowOf(one, onDay(2)), rowOf(two, onDay(1)))
  await watch(1)
  const day = (await store.days.changed(0, 10)).find(({ series, day }) => series === one && day === FIRST + 1)!
  for (const size of [1, 2, 3, 6, 100]) {
    const pages: (readonly RowIn[])[] = []
    for await (const page of store.days.pages(day, size)) pages.push(page)
    expect(pages.flat()).toEqual(rows)
    expect(Math.max(...pages.map(page => page.length))).toBe(Math.min(size, rows.length))
  }
})

test('whatever is written, moved and read at once: what was read last of each settled day is what stands there', async () => {
  const stores = [store, createSeriesStore(database.pool), createSeriesStore(database.pool)]
  const copies = new Map<string, readonly RowIn[]>()
  let isWriting = true
  async function copyDays (): Promise<void> {
    for (const each of await store.days.changed(Number.MAX_SAFE_INTEGER, 5)) {
      const rows: RowIn[] = []
      for await (const page of store.days.pages(each, 3)) rows.push(...page)
      if (!await store.days.isUnchanged(each)) continue
      copies.set(`${each.series}/${each.day}`, rows)
      await store.days.settle(each)
    }
  }
  /** As a runner does, when days were watched twice while it wrote. */
  async function commitAgain (writer: number, commit: ReturnType<typeof commitOf>): Promise<void> {
    await stores[writer]!.commit(commit).catch(error => {
      if (error.code !== 'STORE_CONFLICT') throw error
      return commitAgain(writer, commit)
    })
  }
  async function write (writer: number): Promise<void> {
    for (let round = 0; round < 60; round++) {
      const time = onDay(Math.floor((round + (round % 3) * 20) / 12), writer * 1_000 + round)
      const series = round % 2 === 0 ? one : two
      const late = round % 5 === 0 ? [rowOf(one, onDay(1, round % 7))] : []
      const fills = round % 4 === 3 ? [{ series, takenAt: time, sequence: 0, field: 'quality' as const, value: 5 }] : []
      await commitAgain(writer, commitOf({ writer, fresh: [rowOf(series, time, { quality: undefined })], late, fills }))
      if (round % 20 === 19) await stores[writer]!.moveReadings({ from: one, to: two, since: onDay(2), until: onDay(3), sizesMs: [MINUTE], lookback: 0, limit: 3, now: onDay(9) })
    }
  }
  async function read (): Promise<void> {
    for (let day = 0; isWriting; day++) {
      await watch(Math.min(Math.floor(day / 4), 9))
      await copyDays()
    }
  }
  await Promise.all([Promise.all(stores.map((_, writer) => write(writer))).finally(() => { isWriting = false }), read()])
  for (let step = 0; step < 3; step++) await watch(9)
  while ((await store.days.pending()).count > 0) await copyDays()
  for (const series of [one, two]) {
    const days = Map.groupBy(await store.readings(series, onDay(0), onDay(10), 10_000), ({ takenAt }) => Math.floor(takenAt / DAY_MS))
    expect(days.size).toBeGreaterThan(3)
    for (const [day, rows] of days) expect(copies.get(`${series}/${day}`)).toEqual(rows)
  }
})
