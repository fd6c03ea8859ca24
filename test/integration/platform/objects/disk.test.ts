import { chmod, readdir, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import { openDiskStore } from '../../../../src/platform/objects/disk.ts'
import { OBJECT_BYTES_MAX, type ObjectStore } from '../../../../src/platform/objects/object-store.ts'
import { all, objectStoreContract } from '../../../support/object-store.contract.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'

const NOW = epochMs(Date.UTC(2026, 1, 3, 4, 5, 6))
const failing = (code: string) => expect.objectContaining({ name: 'ServiceError', code })

let root: string
let folder: string
let store: ObjectStore

const openStore = (path = folder) => openDiskStore({ folder: path, now: () => NOW })

beforeAll(async () => {
  root = temporaryFolder('objects')
  folder = join(root, 'a', 'b')
  store = await openStore()
})

afterAll(async () => { await rm(root, { recursive: true, force: true }) })

describe('the contract', () => {
  objectStoreContract(() => ({ store, openAnother: () => openStore() }))
})

test('files and folders are for their owner alone, and nobody writes to an object', async () => {
  await store.put('modes/a/b', Buffer.from('x'))
  expect((await stat(join(folder, 'modes', 'a', 'b'))).mode & 0o777).toBe(0o400)
  for (const path of [folder, join(folder, 'modes'), join(folder, 'modes', 'a')]) expect((await stat(path)).mode & 0o777).toBe(0o700)
})

test('no draft is left behind, neither by what was written nor by what was refused', async () => {
  await store.put('drafts/a', Buffer.from('x'))
  await expect(store.put('drafts/a', Buffer.from('y'))).rejects.toEqual(failing('OBJECT_EXISTS'))
  await expect(store.put('drafts/a/b', Buffer.from('y'))).rejects.toEqual(failing('STORE_UNAVAILABLE'))
  expect(await readdir(join(folder, '.drafts'))).toEqual([])
})

test('a draft that a process left is removed at the next start once nobody can be writing it', async () => {
  const old = join(folder, '.drafts', 'old')
  const fresh = join(folder, '.drafts', 'fresh')
  for (const path of [old, fresh]) await writeFile(path, 'half')
  await utimes(old, new Date(NOW - 3_600_001), new Date(NOW - 3_600_001))
  await utimes(fresh, new Date(NOW - 3_599_000), new Date(NOW - 3_599_000))
  await openStore()
  expect(await readdir(join(folder, '.drafts'))).toEqual(['fresh'])
  await rm(fresh)
})

test('a link is no object: nothing outside the folder is read', async () => {
  await store.put('links/a', Buffer.from('x'))
  await writeFile(join(root, 'outside'), 'outside')
  await symlink(join(root, 'outside'), join(folder, 'links', 'b'))
  await expect(store.get('links/b')).rejects.toEqual(failing('STORE_UNAVAILABLE'))
  expect((await all(store.list('links/'))).map(({ name }) => name)).toEqual(['links/a'])
})

test('a file that somebody made larger than any object is not read', async () => {
  await store.put('large/a', Buffer.from('x'))
  const path = join(folder, 'large', 'a')
  await chmod(path, 0o600)
  await truncate(path, OBJECT_BYTES_MAX + 1)
  await expect(store.get('large/a')).rejects.toEqual(failing('OBJECT_TOO_LARGE'))
  await rm(path)
})

test('a folder that cannot be made is said with its code and without its path', async () => {
  await writeFile(join(root, 'file'), '')
  const error = await openStore(join(root, 'file', 'archive')).catch((thrown: unknown) => thrown as Error)
  expect(error).toEqual(failing('STORE_UNAVAILABLE'))
  expect((error as Error).message).toContain('(ENOTDIR)')
  expect((error as Error).message).not.toContain(root)
})
