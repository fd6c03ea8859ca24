import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPool, transaction, withClient } from '../../../../src/platform/postgres/pool.ts'
import { asAdmin, emptyDatabase, type TestDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await emptyDatabase('series')
  await database.owner.query('CREATE TABLE fact (x int PRIMARY KEY)')
})
afterAll(() => database.drop())
const facts = async () => (await database.owner.query<{ x: number }>('SELECT x FROM fact ORDER BY x')).rows.map(({ x }) => x)

test('a transaction keeps all of its work', async () => {
  const result = await transaction(database.owner, async client => {
    await client.query('INSERT INTO fact VALUES (1)')
    await client.query('INSERT INTO fact VALUES (2)')
    return 'done'
  })
  expect(result).toBe('done')
  expect(await facts()).toEqual([1, 2])
})

test('a transaction that throws keeps nothing, throws what was thrown, and gives its connection back', async () => {
  const pool = createPool({ url: database.ownerUrl, connectionsMax: 1 })
  const reason = new Error('mine')
  await expect(transaction(pool, async client => {
    await client.query('INSERT INTO fact VALUES (3)')
    throw reason
  })).rejects.toBe(reason)
  await expect(transaction(pool, client => client.query('INSERT INTO fact VALUES (1)'))).rejects.toMatchObject({ code: '23505' })
  expect(await facts()).toEqual([1, 2])
  expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  await pool.end()
})

test('a connection that breaks in a transaction is a store that is unavailable, and the pool goes on', async () => {
  const broken = transaction(database.owner, async client => {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await asAdmin(admin => admin.query('SELECT pg_terminate_backend($1)', [rows[0]!.pid]))
    await client.query('SELECT pg_sleep(60)')
  })
  await expect(broken).rejects.toMatchObject({ category: 'unavailable', code: 'STORE_UNAVAILABLE' })
  expect(await facts()).toEqual([1, 2])
})

test('a server that is not there is a store that is unavailable', async () => {
  const pool = createPool({ url: 'postgres://oxbow_series:x@127.0.0.1:1/oxbow_series' })
  await expect(withClient(pool, async () => {})).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  await pool.end()
})

test('bigint is a number, alone and in arrays', async () => {
  const { rows } = await database.owner.query("SELECT 9007199254740991::bigint AS one, ARRAY[1, NULL, -9007199254740991]::bigint[] AS many, '{}'::bigint[] AS none, count(*) FROM fact")
  expect(rows).toEqual([{ one: Number.MAX_SAFE_INTEGER, many: [1, null, Number.MIN_SAFE_INTEGER], none: [], count: 2 }])
})
