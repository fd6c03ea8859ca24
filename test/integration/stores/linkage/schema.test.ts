import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatHandle } from '../../../../src/security/sid.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('linkage') })
afterAll(async () => { await database.drop() })

async function isSid (name: string): Promise<boolean> {
  const { rows } = await database.pool.query<{ yes: boolean }>(`select linkage.is_pseudonym('s1', $1) as yes`, [name])
  return rows[0]!.yes
}

test('the database takes the vectors of the specification and what the server draws', async () => {
  for (const name of ['s1000000000000000000000000000', 's100041061050r3gg28a1c60t3gf6', 's151m6gt38d1m6gt38d1m6gt38d17']) expect(await isSid(name)).toBe(true)
  for (let n = 0; n < 200; n++) {
    const name = formatHandle('s1', Uint8Array.from({ length: 16 }, (_, place) => n * 37 + place * 101))
    if (name !== undefined) expect(await isSid(name)).toBe(true)
  }
})

test('the database refuses a wrong check symbol, upper case, another length and another kind', async () => {
  for (const name of [
    's1000000000000000000000000001', 's100041061050R3GG28A1C60T3GF6', 's10004106105', 's100041061050r3gg28a1c60t3gf6 ', 'j100041061050r3gg28a1c60t3gf6',
    's180041061050r3gg28a1c60t3gf6', 's1u0041061050r3gg28a1c60t3gf6'
  ]) expect(await isSid(name)).toBe(false)
})

test('the server login owns nothing and cannot change the tables', async () => {
  const { rows } = await database.owner.query(`select c.relname from pg_class c join pg_roles r on r.oid = c.relowner
    where r.rolname = 'oxbow_linkage'`)
  expect(rows).toEqual([])
  await expect(database.pool.query('drop table linkage.sid_map')).rejects.toMatchObject({ code: '42501' })
  await expect(database.pool.query('create table linkage.other (a int)')).rejects.toMatchObject({ code: '42501' })
  await expect(database.pool.query('update linkage.sid_map set device = device')).rejects.toMatchObject({ code: '42501' })
})

test('the database takes no content that a statement cannot look into', async () => {
  const put = (note: string) => database.pool.query(`insert into fhir.resource (type, id, version, last_updated, content) values ('Device', 'spoilt', 1, now(), $1)`, [`{"note":"${note}"}`])
  await expect(put('cut \\ud83d')).rejects.toMatchObject({ code: '22P02' })
  await expect(put('nul \\u0000')).rejects.toMatchObject({ code: '22P05' })
})
