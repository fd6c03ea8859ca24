import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { addKekVersion } from '../../../../src/platform/keys/key-file.ts'
import type { KeyRing } from '../../../../src/platform/keys/key-ring.ts'
import { createLocalKeyRing } from '../../../../src/platform/keys/local.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { keyRingContract } from '../../../support/key-ring.contract.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'

const now = () => epochMs(Date.UTC(2026, 1, 3, 4, 5, 6))
const context = { store: 'archive', object: 's1000000000000000000000000000', purpose: 'raw' }

let folder: string
let file: string
let database: TestDatabase
let ring: KeyRing

const openRing = (path = file, pool = database.pool) => createLocalKeyRing({ file: path, pool, now })
const failing = (code: string) => expect.objectContaining({ name: 'ServiceError', code })

beforeAll(async () => {
  folder = temporaryFolder('keys')
  file = join(folder, 'keys.json')
  database = await testDatabase('keys')
  ring = await openRing()
})

afterAll(async () => {
  await database?.drop()
  await rm(folder, { recursive: true, force: true })
})

async function wrappedForm (id: string): Promise<Buffer | undefined> {
  const { rows } = await database.owner.query<{ wrapped: Buffer | null }>('SELECT wrapped FROM keys.wrapped_key WHERE id = $1', [id])
  return rows[0]?.wrapped ?? undefined
}

/** The table's file as it lies on the disk. */
async function tableBytes (): Promise<Buffer> {
  const url = new URL(inject('adminUrl'))
  url.pathname = new URL(database.url).pathname
  const admin = new Client({ connectionString: url.href })
  await admin.connect()
  try {
    await admin.query('CHECKPOINT')
    const { rows } = await admin.query<{ bytes: Buffer }>(`SELECT pg_read_binary_file(pg_relation_filepath('keys.wrapped_key')) AS bytes`)
    return rows[0]!.bytes
  } finally {
    await admin.end()
  }
}

keyRingContract(() => ({ ring, openAnother: () => openRing(), addKekVersion: kek => addKekVersion(file, kek), wrappedForm }))

test('the key file is made at the first start, for its owner alone', async () => {
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const form = JSON.parse(await readFile(file, 'utf8')) as { keks: object, signing: object }
  expect(Object.keys(form.keks).sort()).toEqual(['archive', 'audit', 'delivery', 'linkage', 'quarantine', 'release'])
  expect(Object.keys(form.signing).sort()).toEqual(['export-sign', 'log-sign'])
})

test('processes that start first at the same time use one key file', async () => {
  const fresh = await testDatabase('keys')
  try {
    const path = join(folder, 'new', 'together.json')
    const rings = await Promise.all(Array.from({ length: 4 }, () => openRing(path, fresh.pool)))
    const keys = await Promise.all(rings.map(each => each.dek('archive', context)))
    for (const key of keys) expect(key).toEqual(keys[0])
  } finally {
    await fresh.drop()
  }
})

test('a key file that others may read is refused', async () => {
  const path = join(folder, 'open.json')
  await writeFile(path, await readFile(file))
  await chmod(path, 0o640)
  await expect(openRing(path)).rejects.toEqual(failing('KEY_FILE'))
})

test('a missing key file is not replaced while the database holds keys', async () => {
  const path = join(folder, 'lost.json')
  await expect(openRing(path)).rejects.toEqual(failing('KEY_FILE'))
  await expect(stat(path)).rejects.toThrow('ENOENT')
})

test('the key file of another deployment is refused', async () => {
  const other = await testDatabase('keys')
  try {
    const path = join(folder, 'other.json')
    await openRing(path, other.pool)
    await expect(openRing(path)).rejects.toEqual(failing('KEY_FILE'))
  } finally {
    await other.drop()
  }
})

test('a damaged key file is refused without quoting it', async () => {
  const text = await readFile(file, 'utf8')
  for (const damaged of [text.slice(0, -10), '{}', 'null', text.replace('"archive"', '"archives"'), text.replace(/"1": "[^"]+"/, '"1": "c2hvcnQ"'), text.replace(/"1"/, '"0"')]) {
    const path = join(folder, 'damaged.json')
    await rm(path, { force: true })
    await writeFile(path, damaged, { mode: 0o600 })
    const error = await openRing(path).catch((thrown: Error) => thrown)
    expect(error).toEqual(failing('KEY_FILE'))
    expect(String((error as Error).message)).not.toContain('c2hvcnQ')
  }
})

test('the wrapped form is 0x01, version of the kek, IV, key, tag, under the newest version', async () => {
  const newest = await addKekVersion(file, 'release')
  const { id } = await (await openRing()).newDek('release', context)
  const wrapped = (await wrappedForm(id))!
  expect(wrapped.length).toBe(1 + 4 + 12 + 32 + 16)
  expect(wrapped[0]).toBe(1)
  expect(wrapped.readUInt32BE(1)).toBe(newest)
})

test('a version the file does not hold is refused', async () => {
  const { id } = await ring.newDek('archive', context)
  await expect(ring.rewrap(id, 4_000)).rejects.toEqual(failing('KEY_FILE'))
})

test('a changed byte of the wrapped form does not unwrap', async () => {
  const { id } = await ring.newDek('archive', context)
  const wrapped = (await wrappedForm(id))!
  for (const place of [0, 5, 20, wrapped.length - 1]) {
    const changed = Buffer.from(wrapped)
    changed[place]! ^= 1
    await database.owner.query('UPDATE keys.wrapped_key SET wrapped = $2 WHERE id = $1', [id, changed])
    await expect(ring.unwrap(id, context)).rejects.toEqual(failing('KEY_CONTEXT'))
  }
})

test('a destroyed key leaves neither wrapped form nor context in the table file', async () => {
  const bound = { ...context, object: 'erase-me-from-the-disk' }
  const { id } = await ring.dek('archive', bound)
  const wrapped = (await wrappedForm(id))!
  expect((await tableBytes()).includes(wrapped)).toBe(true)
  const receipt = await ring.destroy(id, 'erasure')
  const bytes = await tableBytes()
  expect(bytes.includes(wrapped)).toBe(false)
  expect(bytes.includes('erase-me-from-the-disk')).toBe(false)
  expect(receipt).toEqual({ id, destroyedAt: '2026-02-03T04:05:06.000Z', horizon: '2026-03-05T04:05:06.000Z' })
})

test('the server can neither delete a key row nor move it to another context', async () => {
  await expect(database.pool.query('DELETE FROM keys.wrapped_key')).rejects.toThrow('permission denied')
  await expect(database.pool.query(`UPDATE keys.wrapped_key SET kek = 'audit'`)).rejects.toThrow('permission denied')
})
