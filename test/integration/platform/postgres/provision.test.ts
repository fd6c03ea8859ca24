import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createPool } from '../../../../src/platform/postgres/pool.ts'
import { STORE_NAMES, STORES } from '../../../../src/platform/postgres/stores.ts'
import { testStores, testUrl } from '../../../support/postgres.ts'

let stores: Awaited<ReturnType<typeof testStores>>
beforeAll(async () => { stores = await testStores() })
afterAll(async () => { await stores.drop() })

const everyLogin = STORE_NAMES.flatMap(store => STORES[store].logins.map(({ role }) => ({ store, role })))

async function tryConnect (role: string, database: string): Promise<string> {
  const pool = createPool({ url: testUrl(role, database) })
  try {
    await pool.query('SELECT 1')
    return 'connected'
  } catch (error) {
    return (error as { code: string }).code
  } finally {
    await pool.end()
  }
}
const databaseOf = (url: string) => new URL(url).pathname.slice(1)

describe.each(everyLogin)('login $role', ({ store, role }) => {
  test('connects to the database of its store', async () => {
    expect(await tryConnect(role, databaseOf(stores[store].url))).toBe('connected')
  })

  test.each(STORE_NAMES.filter(other => other !== store))('cannot connect to the database of %s', async other => {
    expect(await tryConnect(role, databaseOf(stores[other].url))).toBe('42501')
  })

  test('cannot connect to the databases of the cluster itself', async () => {
    expect([await tryConnect(role, 'postgres'), await tryConnect(role, 'template1')]).toEqual(['42501', '42501'])
  })

  test('cannot make a table, a schema, a role or a database', async () => {
    const pool = stores[store].poolOf(role)
    const denied = ['CREATE TABLE public.x (y int)', 'CREATE SCHEMA x', 'CREATE ROLE x', 'CREATE DATABASE x', 'SELECT * FROM public.oxbow_migration']
    for (const sql of denied) await expect(pool.query(sql), sql).rejects.toMatchObject({ code: '42501' })
  })
})

test.each(STORE_NAMES)('the owner of %s cannot connect to the database of another store', async store => {
  for (const other of STORE_NAMES.filter(name => name !== store)) {
    expect(await tryConnect(STORES[store].owner, databaseOf(stores[other].url))).toBe('42501')
  }
})

test('only a writer that stages may make temporary tables', async () => {
  await stores.series.pool.query('CREATE TEMPORARY TABLE staging (x int)')
  await expect(stores.bus.pool.query('CREATE TEMPORARY TABLE staging (x int)')).rejects.toMatchObject({ code: '42501' })
})
