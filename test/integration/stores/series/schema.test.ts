import { afterAll, beforeAll, expect, test } from 'vitest'
import { isTimescale, type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('series') })
afterAll(async () => { await database.drop() })

const isSid = async (text: string): Promise<boolean> => (await database.pool.query('select series.is_sid($1) as yes', [text])).rows[0].yes

test('the vectors of privacy.md §4.1 are sids', async () => {
  for (const sid of ['s1000000000000000000000000000', 's100041061050r3gg28a1c60t3gf6', 's151m6gt38d1m6gt38d1m6gt38d17']) {
    expect(await isSid(sid), sid).toBe(true)
  }
})

test('a wrong check symbol, upper case, a wrong length and foreign symbols are no sids', async () => {
  const wrong = [
    's100041061050r3gg28a1c60t3gf7', 's100041061050R3GG28A1C60T3GF6', 's100041061050r3gg28a1c60t3gf', 's100041061050r3gg28a1c60t3gf66',
    's180041061050r3gg28a1c60t3gf6', 's10004106105ur3gg28a1c60t3gf6', 's100041061050r3gg28a1c60t3gf6\n', '', 'device-42'
  ]
  for (const text of wrong) expect(await isSid(text), JSON.stringify(text)).toBe(false)
})

test('the table of series refuses what is no sid', async () => {
  const insert = database.pool.query('insert into series.sid (sid, model) values ($1, $2)', ['s100041061050r3gg28a1c60t3gf7', 'M/1'])
  await expect(insert).rejects.toMatchObject({ code: '23514' })
})

test('the server login may neither delete nor truncate readings nor change the ledger', async () => {
  for (const sql of ['delete from series.reading', 'truncate series.reading', 'update series.reading set series = 1', 'update series.window_revision set status = 3',
    'delete from series.window_revision', 'delete from series.view', 'create table series.x ()', 'drop table series.reading']) {
    await expect(database.pool.query(sql), sql).rejects.toMatchObject({ code: '42501' })
  }
})

test('the reading login sees everything and changes nothing', async () => {
  const reader = database.poolOf('oxbow_series_ro')
  await reader.query('select * from series.reading, series.window_revision, series.rollup_minute, series.rollup_hour')
  for (const sql of ["insert into series.metric (name) values ('x')", "select series.ensure_day('2026-01-01')", "select series.drop_before('reading', now())"]) {
    await expect(reader.query(sql), sql).rejects.toMatchObject({ code: '42501' })
  }
})

test('partitions of any day from 2000 on are made once, whoever asks and however many at once', async () => {
  const days = ['2000-01-01', '2012-02-29', '2026-02-11', '2026-02-11', '2026-02-11', '2026-02-12']
  await Promise.all(days.map(day => database.pool.query('select series.ensure_day($1), series.ensure_month($1)', [day])))
  // In a hypertable those of readings come with their first row.
  const { rows } = await database.owner.query("select inhrelid::regclass::text as name from pg_inherits where inhparent in ('series.reading'::regclass, 'series.window_revision'::regclass) order by 1")
  expect(rows.map(({ name }) => name)).toEqual([
    ...isTimescale ? [] : ['series.reading_20000101', 'series.reading_20120229', 'series.reading_20260211', 'series.reading_20260212'],
    'series.window_revision_200001', 'series.window_revision_201202', 'series.window_revision_202602'
  ])
})
