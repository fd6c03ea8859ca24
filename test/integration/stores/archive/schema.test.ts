import type { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import { type Manifest, NO_DIGEST } from '../../../../src/stores/archive/manifest.ts'
import { commitObject, manifestRows, openHeads, readHeads, reserve } from '../../../../src/stores/archive/manifest-rows.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
let pool: Pool

beforeAll(async () => {
  database = await testDatabase('bus')
  pool = database.poolOf('oxbow_archive')
})
afterAll(() => database?.drop())

const denied = expect.objectContaining({ code: '42501' })
const conflict = expect.objectContaining({ name: 'ServiceError', category: 'conflict', code: 'STORE_CONFLICT' })

function manifest (partition: number, first: number, next: number, previous: string, object = `raw/${partition}/${first}`): Manifest {
  return {
    v: 1, object, topic: 'oxbow.raw.v1', partition, first, next, previous, oxbow: 'test', madeAt: '2026-03-01T00:10:00.000Z', receivedFrom: '2026-03-01T00:00:00.000Z', receivedTo: '2026-03-01T00:09:00.000Z',
    readings: 1, readingBytes: 1, erased: { records: 0, readings: 0 }, schemas: [], sources: [], key: 'k', bytes: 1, sha256: NO_DIGEST
  }
}

async function all<T> (rows: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const row of rows) found.push(row)
  return found
}

async function write (partition: number, count: number): Promise<void> {
  let [head] = await openHeads(pool, [partition])
  for (let written = 0; written < count; written++) {
    const next = head!.next + 10
    await reserve(pool, head!, { next, object: `raw/${partition}/${head!.next}` })
    head = await commitObject(pool, head!, manifest(partition, head!.next, next, head!.digest))
  }
}

test('rows of a partition follow on, and each makes the digest that the next one names', async () => {
  await write(0, 3)
  const [head] = await readHeads(pool)
  expect(head).toMatchObject({ partition: 0, next: 30, reserved: undefined })
  const rows = await all(manifestRows(pool))
  expect(rows.map(({ first, next }) => [first, next])).toEqual([[0, 10], [10, 20], [20, 30]])
})

test('a range that is reserved is told until it is written, and no other is reserved beside it', async () => {
  const [head] = await openHeads(pool, [1])
  await reserve(pool, head!, { next: 5, object: 'raw/1/a' })
  expect((await openHeads(pool, [1]))[0]).toEqual({ partition: 1, next: 0, digest: NO_DIGEST, reserved: { next: 5, object: 'raw/1/a' } })
  await expect(reserve(pool, head!, { next: 7, object: 'raw/1/b' })).rejects.toEqual(conflict)
  await commitObject(pool, head!, manifest(1, 0, 5, NO_DIGEST, 'raw/1/a'))
  await expect(reserve(pool, head!, { next: 5, object: 'raw/1/c' })).rejects.toEqual(conflict)
})

test('who knows a partition as it was before is refused, and nothing is written', async () => {
  const [head] = await openHeads(pool, [2])
  await write(2, 1)
  await expect(commitObject(pool, head!, manifest(2, 0, 10, NO_DIGEST, 'raw/2/0'))).rejects.toEqual(conflict)
  const [now] = await openHeads(pool, [2])
  await reserve(pool, now!, { next: 12, object: 'raw/2/x' })
  await expect(commitObject(pool, { ...now!, digest: NO_DIGEST }, manifest(2, 10, 12, NO_DIGEST, 'raw/2/x'))).rejects.toEqual(conflict)
  await expect(commitObject(pool, now!, manifest(2, 10, 12, now!.digest, 'raw/2/y'))).rejects.toEqual(conflict)
  expect((await openHeads(pool, [2]))[0]).toEqual({ ...now!, reserved: { next: 12, object: 'raw/2/x' } })
})

test('more rows than a page are each given once, and by the time in which their records came in', async () => {
  await write(3, 1_003)
  const rows = (await all(manifestRows(pool))).filter(({ partition }) => partition === 3)
  expect(rows.map(({ first }) => first)).toEqual(Array.from({ length: 1_003 }, (_, place) => place * 10))
  const at = (time: string) => epochMs(Date.parse(time))
  const count = async (from: string, to: string) => (await all(manifestRows(pool, { from: at(from), to: at(to) }))).length
  const written = (await all(manifestRows(pool))).filter(row => row.manifest !== undefined).length
  expect([await count('2026-03-01T00:09:00Z', '2026-03-02T00:00:00Z'), await count('2026-03-01T00:09:00.001Z', '2026-03-02T00:00:00Z'), await count('2026-02-01T00:00:00Z', '2026-03-01T00:00:00Z')]).toEqual([written, 0, 0])
})

test.each([
  'DELETE FROM archive.object', 'DELETE FROM archive.partition', 'TRUNCATE archive.object', 'UPDATE archive.object SET name = name', 'UPDATE archive.object SET next_offset = 1',
  'ALTER TABLE archive.object DISABLE TRIGGER keep_manifest', 'CREATE TABLE archive.mine (a int)',
  'SELECT sealed FROM quarantine.item', 'SELECT device_index FROM quarantine.item', 'SELECT event_time FROM quarantine.item', 'SELECT * FROM quarantine.item', 'DELETE FROM quarantine.item',
  'UPDATE quarantine.book SET places = places', 'SELECT device_index FROM ingest.quarantined', 'SELECT bytes FROM bus.batch', 'SELECT * FROM bus.partition'
])('the login of the archive may not: %s', async statement => {
  await expect(pool.query(statement)).rejects.toEqual(denied)
})

test.each(['oxbow_bus', 'oxbow_ingest'])('%s sees nothing of the archive', async role => {
  for (const table of ['archive.object', 'archive.partition']) await expect(database.poolOf(role).query(`SELECT * FROM ${table}`)).rejects.toEqual(denied)
})

test('a manifest that is written is changed by nobody who keeps the guard', async () => {
  await expect(pool.query("UPDATE archive.object SET manifest = 'x' WHERE manifest IS NOT NULL")).rejects.toThrowError('a manifest of the archive is not changed')
  await expect(database.owner.query("UPDATE archive.object SET manifest = 'x' WHERE manifest IS NOT NULL")).rejects.toThrowError('a manifest of the archive is not changed')
})
