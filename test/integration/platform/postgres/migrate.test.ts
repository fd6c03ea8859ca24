import { hash } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { migrateStore } from '../../../../src/platform/postgres/migrate.ts'
import { STORE_NAMES, STORES, type Store } from '../../../../src/platform/postgres/stores.ts'
import { emptyDatabase, type TestDatabase } from '../../../support/postgres.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'

let database: TestDatabase
let folder: string
beforeEach(async () => {
  database = await emptyDatabase('series')
  folder = temporaryFolder('migrate')
})
afterEach(async () => {
  await database.drop()
  await rm(folder, { recursive: true })
})

const storeOf = (...rooms: string[]): Store => ({ ...STORES.series, migrations: rooms.map(room => ({ room, url: pathToFileURL(join(folder, room) + '/') })) })
const migrate = (...rooms: string[]) => migrateStore(database.ownerUrl, storeOf(...rooms))
async function write (path: string, sql: string): Promise<void> {
  await mkdir(join(folder, path, '..'), { recursive: true })
  await writeFile(join(folder, path), sql)
}
const refusal = (text: string) => expect.objectContaining({ category: 'fault', code: 'STORE_MIGRATION', message: expect.stringContaining(text) })
const tables = async () => (await database.owner.query<{ t: string }>("SELECT tablename AS t FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")).rows.map(({ t }) => t)

test.each(STORE_NAMES)('the migrations of %s run on an empty database, and not a second time', async name => {
  const empty = await emptyDatabase(name)
  try {
    await migrateStore(empty.ownerUrl, STORES[name])
    expect(await migrateStore(empty.ownerUrl, STORES[name])).toBe(0)
  } finally {
    await empty.drop()
  }
})

test('files run in the order of folders and numbers, each once; new ones are added', async () => {
  await write('b/0001-first.sql', 'CREATE TABLE one (x int)')
  await write('b/0002-second.sql', 'ALTER TABLE one ADD COLUMN y int; CREATE TABLE two (x int)')
  await write('a/0001-first.sql', 'ALTER TABLE two ADD COLUMN y int')
  expect(await migrate('b', 'a')).toBe(3)
  expect(await migrate('b', 'a')).toBe(0)
  await write('b/0003-third.sql', 'CREATE TABLE three (x int)')
  expect(await migrate('b', 'a')).toBe(1)
  expect(await tables()).toEqual(['one', 'oxbow_migration', 'three', 'two'])
})

test('a missing folder holds no migrations', async () => {
  expect(await migrate('nowhere')).toBe(0)
})

test('a file that fails leaves nothing of its run behind, and is named', async () => {
  await write('a/0001-good.sql', 'CREATE TABLE one (x int)')
  await write('a/0002-bad.sql', 'CREATE TABLE two (x int); SELECT 1 / 0')
  await expect(migrate('a')).rejects.toEqual(refusal('a/0002-bad.sql failed: division by zero'))
  expect(await tables()).toEqual([])
  await write('a/0002-bad.sql', 'CREATE TABLE two (x int)')
  expect(await migrate('a')).toBe(2)
})

test('a file that has changed since it was run is refused', async () => {
  await write('a/0001-first.sql', 'CREATE TABLE one (x int)')
  await migrate('a')
  await write('a/0001-first.sql', 'CREATE TABLE one (x int, y int)')
  await expect(migrate('a')).rejects.toEqual(refusal('a/0001-first.sql has changed'))
})

test('a file that says which wording it stands for is taken for it, and for no other', async () => {
  const wording = 'CREATE TABLE one (x int)'
  await write('a/0001-first.sql', wording)
  await migrate('a')
  await write('a/0001-first.sql', `-- same as ${hash('sha256', wording)}\nCREATE TABLE one ();\nALTER TABLE one ADD COLUMN x int`)
  expect(await migrate('a')).toBe(0)
  await write('a/0001-first.sql', `-- same as ${hash('sha256', 'CREATE TABLE two (x int)')}\n${wording}`)
  await expect(migrate('a')).rejects.toEqual(refusal('a/0001-first.sql has changed'))
})

test('a database that a newer version has used is refused', async () => {
  await write('a/0001-first.sql', 'CREATE TABLE one (x int)')
  await migrate('a')
  await rm(join(folder, 'a'), { recursive: true })
  await expect(migrate('a')).rejects.toEqual(refusal('newer version'))
})

test('a name without number, and a number that stands twice, are refused', async () => {
  await write('a/first.sql', 'SELECT 1')
  await expect(migrate('a')).rejects.toEqual(refusal('a/first.sql is not named NNNN-name.sql'))
  await write('b/0001-one.sql', 'SELECT 1')
  await write('b/0001-two.sql', 'SELECT 1')
  await expect(migrate('b')).rejects.toEqual(refusal('same number'))
})

test('of several starts at once each file is run by one', async () => {
  await write('a/0001-first.sql', 'CREATE TABLE one (x int)')
  await write('a/0002-second.sql', 'CREATE TABLE two (x int)')
  const runs = await Promise.all(Array.from({ length: 4 }, () => migrate('a')))
  expect(runs.sort()).toEqual([0, 0, 0, 2])
})
