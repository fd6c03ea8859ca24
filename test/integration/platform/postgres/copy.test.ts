import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCopyBuffer } from '../../../../src/platform/postgres/copy.ts'
import { copyInto } from '../../../support/copy-into.ts'
import { transaction, withClient } from '../../../../src/platform/postgres/pool.ts'
import { emptyDatabase, type TestDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await emptyDatabase('series')
  await database.owner.query(`CREATE TABLE every_type (row int, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, t timestamptz,
    s text, u uuid, y bytea, a4 int4[], a8 int8[], r float4[], d float8[])`)
})
afterAll(() => database.drop())

const int = (bits: number) => fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
const float = fc.float({ noNaN: true })
const double = fc.double({ noNaN: true })
const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 5 })
const row = fc.record({
  b: orNull(fc.boolean()),
  i2: orNull(int(16)),
  i4: orNull(int(32)),
  i8: orNull(fc.maxSafeInteger()),
  f4: orNull(float),
  f8: orNull(double),
  t: orNull(fc.date({ min: new Date('1715-01-01T00:00Z'), max: new Date('2285-01-01T00:00Z'), noInvalidDate: true })),
  s: orNull(fc.string({ unit: 'binary' }).map(text => text.replaceAll('\0', ''))),
  u: orNull(fc.uuid()),
  y: orNull(fc.uint8Array()),
  a4: orNull(fc.array(int(32))),
  a8: orNull(fc.array(fc.maxSafeInteger())),
  r: orNull(fc.array(orNull(float))),
  d: orNull(fc.array(orNull(double)))
})
type Row = typeof row extends fc.Arbitrary<infer T> ? T : never

const SINGLE: ReadonlySet<string> = new Set(['f4', 'r'])

test('every value of every type comes back as it went in', async () => {
  const copy = createCopyBuffer(64)
  await fc.assert(fc.asyncProperty(fc.array(row, { maxLength: 20 }), async rows => {
    copy.reset()
    for (const [index, values] of rows.entries()) writeRow(index, values)
    const stored = await withClient(database.owner, async client => {
      await client.query('TRUNCATE every_type')
      expect(await copyInto(client, 'COPY every_type FROM STDIN (FORMAT binary)', copy)).toBe(rows.length)
      return client.query('SELECT * FROM every_type ORDER BY row')
    })
    expect(stored.rows.map(readRow)).toEqual(rows.map(expected))
  }), { numRuns: 150 })

  function writeRow (index: number, values: Row): void {
    copy.row(15)
    copy.int4(index)
    const put = <T>(value: T | undefined, write: (value: T) => void) => { value === undefined ? copy.null() : write(value) }
    put(values.b, copy.bool)
    put(values.i2, copy.int2)
    put(values.i4, copy.int4)
    put(values.i8, copy.int8)
    put(values.f4, copy.float4)
    put(values.f8, copy.float8)
    put(values.t?.getTime(), copy.timestamptz)
    put(values.s, copy.text)
    put(values.u, copy.uuid)
    put(values.y, copy.bytea)
    put(values.a4, copy.int4Array)
    put(values.a8, copy.int8Array)
    put(values.r, copy.float4Array)
    put(values.d, copy.float8Array)
  }
})

/** Both sides in one form: NULL, dates as ms, bytes as hex, UTF-8 text, and single precision read from its shortest decimal. */
function expected (values: Row): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, comparable(value, SINGLE.has(name))]))
}
function readRow ({ row: _, ...values }: Record<string, unknown>): Record<string, unknown> {
  return expected(values as Row)
}
function comparable (value: unknown, single: boolean): unknown {
  if (value === undefined || value === null) return null
  if (typeof value === 'number') return (single ? Math.fround(value) : value) + 0
  if (typeof value === 'string') return Buffer.from(value).toString()
  if (value instanceof Date) return value.getTime()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  return Array.isArray(value) ? value.map(item => comparable(item, single)) : value
}

test('a row that breaks a constraint stores none of the rows, and the connection stays usable', async () => {
  await database.owner.query('CREATE TABLE once (i int PRIMARY KEY)')
  const copy = createCopyBuffer()
  for (const value of [1, 2, 1]) {
    copy.row(1)
    copy.int4(value)
  }
  await withClient(database.owner, async client => {
    await expect(copyInto(client, 'COPY once FROM STDIN (FORMAT binary)', copy)).rejects.toMatchObject({ code: '23505' })
    expect((await client.query('SELECT count(*) AS n FROM once')).rows).toEqual([{ n: 0 }])
  })
})

test('a failed copy rolls its transaction back', async () => {
  await database.owner.query('CREATE TABLE twice (i int PRIMARY KEY)')
  const copy = createCopyBuffer()
  copy.row(2)
  copy.int4(1)
  copy.int4(2)
  await expect(transaction(database.owner, async client => {
    await client.query('INSERT INTO twice VALUES (7)')
    await copyInto(client, 'COPY twice FROM STDIN (FORMAT binary)', copy)
  })).rejects.toMatchObject({ code: '22P04' })
  expect((await database.owner.query('SELECT * FROM twice')).rows).toEqual([])
})
