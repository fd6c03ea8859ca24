import { afterEach, beforeEach, expect, test } from 'vitest'
import { ServiceError } from '../../../../../src/model/errors.ts'
import type { Sid } from '../../../../../src/model/reading.ts'
import { type EpochMs, epochMs } from '../../../../../src/model/units.ts'
import { PAGE_ROWS } from '../../../../../src/stores/archive/parquet/encode-day.ts'
import { openDay } from '../../../../../src/stores/archive/parquet/seal-day.ts'
import type { DayWriter, DaySource } from '../../../../../src/stores/archive/parquet/write-days.ts'
import type { RowIn } from '../../../../../src/stream/sink.ts'
import { askDuckDb, type Cells, metadataOf, rowsByHyparquet } from '../../../../support/parquet.ts'
import { type ParquetSystem, parquetSystem, QUIET_MS } from '../../../../support/parquet-system.ts'
import { commitOf, rowOf } from '../../../../support/series.ts'

const DAY_MS = 86_400_000
const DAY = Date.UTC(2026, 1, 10) / DAY_MS
const onDay = (day: number, ms = 0): EpochMs => epochMs((DAY + day) * DAY_MS + ms)
let system: ParquetSystem
let one: { series: number, sid: Sid }

beforeEach(async () => {
  system = await parquetSystem()
  one = await system.newSeries()
})
afterEach(async () => { await system.close() })

const store = (...fresh: RowIn[]) => system.series.commit(commitOf({ fresh }))
const late = (...rows: RowIn[]) => system.series.commit(commitOf({ late: rows }))

/** `day/version` of every current file. */
async function files (): Promise<string[]> {
  const found: string[] = []
  for await (const { day, version, isUpToDate } of system.view.list({})) found.push(`${day - DAY}/${version}${isUpToDate ? '' : ' changed'}`)
  return found
}
const fileOf = async (day: number, series = one.series) => (await system.view.open({ whose: { series }, day: DAY + day })).file
const rowsOf = async (day: number): Promise<Cells[]> => rowsByHyparquet(await fileOf(day))
/** Turns until what changed by now has been quiet long enough. */
async function quietTurns (writer: DayWriter): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    expect((await system.turn(writer)).errors).toEqual([])
    system.now = epochMs(system.now + QUIET_MS)
  }
  expect((await system.turn(writer)).errors).toEqual([])
}

test('each day that is over is written once, with every reading of it, and DuckDB reads equal counts and sums', async () => {
  const other = await system.newSeries()
  const rows = Array.from({ length: 2_000 }, (_, place) => rowOf(one.series, onDay(0, place * 43_200), { values: place % 7 === 0 ? [undefined, place] : [place / 8], sequence: place % 3, offset: place }))
  await store(...rows, rowOf(one.series, onDay(2)), rowOf(other.series, onDay(1)))
  const writer = system.writer()
  expect(await system.turn(writer)).toMatchObject({ written: 2, rows: 2_001, erased: 0, errors: [] })
  expect(await files()).toEqual(['0/1', '1/1'])
  const stored = (await system.seriesOwner.query('select count(*), sum(v0) as v0, sum(v1) as v1, sum(sequence)::float8 as sequences, count(v0) as v0s from series.reading where series = $1 and taken_at < $2', [one.series, new Date(onDay(1))])).rows[0]
  const [read] = await askDuckDb(await fileOf(0), 'select count(*) as count, sum("tissue-po2") as v0, sum(spo2) as v1, sum(sequence_number)::double as sequences, count("tissue-po2") as v0s from day')
  expect(read).toEqual({ ...stored, count: BigInt(stored.count), v0s: BigInt(stored.v0s) })
  expect((await rowsOf(0)).map(row => (row['taken_at'] as Date).getTime())).toEqual(rows.map(({ takenAt }) => takenAt))
  for (let turn = 0; turn < 3; turn++) {
    system.now = epochMs(system.now + QUIET_MS)
    expect(await system.turn(writer)).toEqual({ written: 0, bytes: 0, rows: 0, erased: 0, errors: [] })
  }
  expect(await system.names()).toHaveLength(2)
})

test('a day is over once it has been for as long as it must be quiet', async () => {
  await store(rowOf(one.series, onDay(0)))
  const writer = system.writer()
  system.now = onDay(1, QUIET_MS - 1)
  expect(await system.turn(writer)).toMatchObject({ written: 0 })
  system.now = onDay(1, QUIET_MS)
  expect(await system.turn(writer)).toMatchObject({ written: 1 })
})

test('late readings make a new version once they are quiet; the object of the old one goes', async () => {
  await store(rowOf(one.series, onDay(0)))
  const writer = system.writer()
  await system.turn(writer)
  const [first] = await system.names()
  await late(rowOf(one.series, onDay(0, 5)))
  expect(await files()).toEqual(['0/1 changed'])
  expect(await system.turn(writer)).toMatchObject({ written: 0 })
  expect(await rowsOf(0)).toHaveLength(1)
  await quietTurns(writer)
  expect(await files()).toEqual(['0/2'])
  expect(await rowsOf(0)).toHaveLength(2)
  await system.turn(writer)
  const left = await system.names()
  expect(left).toHaveLength(1)
  expect(left).not.toContain(first)
  expect(metadataOf(await fileOf(0)).key_value_metadata).toContainEqual({ key: 'oxbow.version', value: '2' })
  await late(rowOf(one.series, onDay(0, 5)))
  await quietTurns(writer)
  expect(await files()).toEqual(['0/2'])
})

test('readings that were moved to another series leave the file of the old one, and a day without readings has none', async () => {
  const other = await system.newSeries()
  await store(rowOf(one.series, onDay(0)), rowOf(one.series, onDay(1)))
  const writer = system.writer()
  await system.turn(writer)
  await system.series.moveReadings({ from: one.series, to: other.series, since: onDay(1), until: onDay(2), sizesMs: [60_000], lookback: 0, limit: 10, now: system.now })
  await quietTurns(writer)
  await system.turn(writer)
  expect(await files()).toEqual(['0/1', '1/1'])
  await expect(fileOf(1)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(await rowsByHyparquet(await fileOf(1, other.series))).toHaveLength(1)
  expect(await system.names()).toHaveLength(2)
})

test('a calibration that was recorded later stands in the next version', async () => {
  await store(rowOf(one.series, onDay(0)), rowOf(one.series, onDay(0, 10)))
  const writer = system.writer()
  await system.turn(writer)
  system.calibrations.push({ number: 12, metric: 'tissue-po2', kind: 'offset', coefficients: { offset: 1 }, from: onDay(0, 5), state: 'calibrated' })
  await system.series.days.mark([one.series], onDay(0, 5), onDay(9))
  await quietTurns(writer)
  expect((await rowsOf(0)).map(row => row['tissue-po2_calibration'])).toEqual([null, 12])
})

test('sealed bytes open with the key of their sid and under their name alone; catalogue and names hold no sid', async () => {
  const other = await system.newSeries()
  await store(rowOf(one.series, onDay(0)), rowOf(other.series, onDay(0)))
  await system.turn(system.writer())
  const { entry } = await system.view.open({ whose: { series: one.series }, day: DAY })
  const object = await system.objects.get(entry.name)
  const [own, foreign] = [(await system.keyOf(one.sid))!, (await system.keyOf(other.sid))!]
  expect(openDay(own.key, entry.name, object).subarray(0, 4).toString()).toBe('PAR1')
  const [name] = (await system.names()).filter(each => each !== entry.name)
  expect(() => openDay(own.key, name!, object)).toThrowError(expect.objectContaining({ code: 'KEY_CONTEXT' }))
  expect(() => openDay(foreign.key, entry.name, object)).toThrowError(expect.objectContaining({ code: 'KEY_CONTEXT' }))
  expect(entry.keyId).toBe(own.id)
  expect(entry.bytes).toBe(object.length)
  const rows = JSON.stringify((await system.bus.owner.query('select * from archive.parquet')).rows)
  for (const sid of [one.sid, other.sid]) {
    expect(rows).not.toContain(sid)
    expect(object.includes(sid)).toBe(false)
  }
})

test('what a destroyed key has sealed is not written, is said so and holds nothing up', async () => {
  const other = await system.newSeries()
  await store(rowOf(one.series, onDay(0)), rowOf(other.series, onDay(0)))
  const writer = system.writer()
  await system.turn(writer)
  await system.destroyKey(one.sid)
  await expect(fileOf(0)).rejects.toMatchObject({ code: 'KEY_DESTROYED', message: expect.stringContaining('was destroyed') })
  await late(rowOf(one.series, onDay(0, 1)), rowOf(other.series, onDay(0, 1)))
  await system.turn(writer)
  system.now = epochMs(system.now + QUIET_MS)
  await system.turn(writer)
  system.now = epochMs(system.now + QUIET_MS)
  expect(await system.turn(writer)).toMatchObject({ written: 1, erased: 1, errors: [] })
  expect((await system.series.days.pending()).count).toBe(0)
  expect(await rowsByHyparquet(await fileOf(0, other.series))).toHaveLength(2)
})

test('what changes while a day is read is read again: no file mixes two states', async () => {
  await store(rowOf(one.series, onDay(0)), rowOf(one.series, onDay(0, 10)))
  const days: DaySource = {
    ...system.series.days,
    pages: async function * (of) {
      for await (const page of system.series.days.pages(of, 1)) {
        yield page
        if (page[0]!.takenAt === onDay(0)) await late(rowOf(one.series, onDay(0, 5)))
      }
    }
  }
  const writer = system.writer({ days })
  expect(await system.turn(writer)).toMatchObject({ written: 0, errors: [] })
  expect(await system.names()).toEqual([])
  await quietTurns(writer)
  expect(await rowsOf(0)).toHaveLength(3)
  expect(await files()).toEqual(['0/1'])
})

test('a process that ends anywhere leaves a whole catalogue: the next one finishes, and no object stays that nobody knows', async () => {
  await store(rowOf(one.series, onDay(0)))
  const gone = new Error('gone')
  const ends = async (): Promise<never> => { throw gone }
  const { objects, days } = { objects: system.objects, days: system.series.days }
  const crashes = [
    { change: { objects: { ...objects, put: ends } }, left: 0 },
    { change: { objects: { ...objects, put: async (name: string, bytes: Uint8Array) => { await objects.put(name, bytes); throw gone } } }, left: 1 },
    { change: { days: { ...days, settle: ends } }, left: 1 }
  ]
  for (const { change, left } of crashes) {
    expect((await system.turn(system.writer(change))).errors).toEqual([gone])
    expect(await system.names()).toHaveLength(left)
  }
  expect(await files()).toEqual(['0/3 changed'])
  expect(await system.turn(system.writer())).toMatchObject({ written: 0, errors: [] })
  expect(await files()).toEqual(['0/3'])
  expect(await system.names()).toHaveLength(1)
  await late(rowOf(one.series, onDay(0, 1)))
  const last = system.writer({ objects: { ...objects, remove: ends } })
  await system.turn(last)
  system.now = epochMs(system.now + QUIET_MS)
  expect(await system.turn(last)).toMatchObject({ written: 1, errors: [] })
  await expect(last.turn(new AbortController().signal)).rejects.toBe(gone)
  expect(await system.names()).toHaveLength(2)
  await system.turn(system.writer())
  expect(await system.names()).toHaveLength(1)
  expect(await rowsOf(0)).toHaveLength(2)
})

test('a file that another process took for one that was left is not finished, and its object goes', async () => {
  await store(rowOf(one.series, onDay(0)))
  const objects = { ...system.objects, put: async (name: string, bytes: Uint8Array) => {
    await system.pool.query('update archive.parquet set removed_at = now() where name = $1', [name])
    await system.objects.put(name, bytes)
  } }
  const { errors } = await system.turn(system.writer({ objects }))
  expect(errors).toEqual([expect.objectContaining({ code: 'STORE_CONFLICT' })])
  expect(await system.names()).toEqual([])
})

test('one process at a time writes files', async () => {
  await store(rowOf(one.series, onDay(0)), rowOf(one.series, onDay(1)))
  const inside = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const first = system.writer({ rest: async () => {
    inside.resolve()
    await goOn.promise
  } }).turn(new AbortController().signal)
  await inside.promise
  expect(await system.writer().turn(new AbortController().signal)).toBeUndefined()
  goOn.resolve()
  expect(await first).toMatchObject({ written: 2 })
})

test('a turn does so many days and no more; one that cannot be written keeps no other from its turn and is reported', async () => {
  const { series: strange } = await system.newSeries()
  await system.seriesOwner.query(`update series.sid set model = 'Gone/1' where number = $1`, [strange])
  await store(...[0, 1, -1].flatMap(day => [rowOf(strange, onDay(day)), rowOf(one.series, onDay(day))]))
  const writer = system.writer({ daysMax: 2 })
  const reports = [await system.turn(writer), await system.turn(writer), await system.turn(writer)]
  expect(reports.map(({ written, errors }) => written + errors.length)).toEqual([2, 2, 2])
  expect(reports.reduce((sum, { written }) => sum + written, 0)).toBe(3)
  const errors = reports.flatMap(report => report.errors)
  expect(errors).toHaveLength(3)
  expect(errors[0]).toBeInstanceOf(ServiceError)
  expect(errors[0]).toMatchObject({ code: 'MODEL_INVALID', message: expect.stringContaining('Gone/1') })
  await expect.poll(async () => (await system.turn(writer)).errors.length).toBe(2)
})

test('a turn that is told to end begins nothing more and leaves nothing half done', async () => {
  await store(rowOf(one.series, onDay(0)), rowOf(one.series, onDay(1)))
  const end = new AbortController()
  const writer = system.writer({ rest: async () => { end.abort() } })
  expect(await writer.turn(end.signal)).toMatchObject({ written: 1, errors: [] })
  expect(await files()).toHaveLength(1)
  expect(await system.turn(system.writer())).toMatchObject({ written: 1 })
})

test('readings that come for a day that retention dropped stand in a file of their own, beside those of before', async () => {
  await store(rowOf(one.series, onDay(0)), rowOf(one.series, onDay(0, 1)))
  const writer = system.writer()
  await system.turn(writer)
  await system.series.dropBefore('reading', onDay(1), onDay(1))
  await store(rowOf(one.series, onDay(0, 2)))
  await quietTurns(writer)
  await late(rowOf(one.series, onDay(0, 3)))
  await quietTurns(writer)
  expect(await files()).toEqual(['0/1', '0/3'])
  await expect(fileOf(0)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('--version 1 or 3') })
  const counts = await Promise.all([1, 3].map(async version => (await rowsByHyparquet((await system.view.open({ whose: { series: one.series }, day: DAY, version })).file)).length))
  expect(counts).toEqual([2, 2])
})

test('a day of 864,000 readings is read, encoded and kept a page at a time', { timeout: 300_000 }, async () => {
  await system.seriesOwner.query(`select series.ensure_day('2026-02-10')`)
  await system.seriesOwner.query(`insert into series.day values ($1, '2026-02-10')`, [one.series])
  await system.seriesOwner.query(`insert into series.reading (series, schema_id, taken_at, sequence, src_offset, firmware, flags, partition, quality, battery, v0, v1)
    select $1, 2, timestamptz '2026-02-10T00:00Z' + n * interval '100 ms', n % 10, n / 10, 1, 0, 3, 90, 3700, 40 + (n::bigint * 7919 % 130) / 10.0, case when n % 5 > 0 then 97 end from generate_series(0, 863999) n`, [one.series])
  const sizes: number[] = []
  const days: DaySource = {
    ...system.series.days,
    pages: async function * (of, rowsMax) {
      for await (const page of system.series.days.pages(of, rowsMax)) {
        sizes.push(page.length)
        yield page
      }
    }
  }
  expect(await system.turn(system.writer({ days }))).toMatchObject({ written: 1, rows: 864_000, errors: [] })
  expect(Math.max(...sizes)).toBe(PAGE_ROWS)
  expect(sizes.length).toBe(Math.ceil(864_000 / PAGE_ROWS))
  const file = await fileOf(0)
  expect(file.length).toBeLessThan(4 * 864_000)
  expect(metadataOf(file).row_groups.every(({ num_rows: rows }) => rows <= BigInt(PAGE_ROWS))).toBe(true)
  const [read] = await askDuckDb(file, 'select count(*) as rows, sum("tissue-po2") as po2, count(spo2) as spo2s, max(taken_at) as last, count(distinct (taken_at, sequence_number)) as keys from day')
  const stored = (await system.seriesOwner.query('select sum(v0) as po2 from series.reading')).rows[0]
  expect(read).toMatchObject({ rows: 864_000n, spo2s: 691_200n, last: new Date(onDay(1, -100)), keys: 864_000n })
  expect(read!['po2'] as number).toBeCloseTo(stored.po2, 3)
})
