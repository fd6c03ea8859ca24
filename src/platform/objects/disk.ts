/** Objects as files below one folder: written beside it, made durable, and linked to their name, which never replaces a file. */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, link, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ServiceError } from '../../model/errors.ts'
import type { EpochMs } from '../../model/units.ts'
import { syncFolder } from '../sync-folder.ts'
import {
  assertObjectBytes, assertObjectName, assertPrefix, assertRemovable, type ObjectEntry, objectExists, objectMissing, type ObjectReader, type ObjectStore
} from './object-store.ts'

export interface DiskStoreOptions {
  /** Made when missing, for its owner alone. */
  folder: string
  now: () => EpochMs
}

/** No name begins with a dot, so no object lies here. */
const DRAFTS = '.drafts'
/** Nobody writes one object for as long; the draft was left by a process that ended. */
const DRAFT_AGE_MAX_MS = 3_600_000
const FOLDER_MODE = 0o700
/** Nobody writes to an object a second time, its owner neither. */
const FILE_MODE = 0o400

/** @throws ServiceError unavailable STORE_UNAVAILABLE when the folder cannot be made or written */
export async function openDiskStore ({ folder, now }: DiskStoreOptions): Promise<ObjectStore> {
  const drafts = join(folder, DRAFTS)
  await orUnavailable(async () => {
    await makeFolder(drafts)
    await removeOldDrafts(drafts, now())
  })
  return {
    ...readDiskStore(folder),
    put: async (name, bytes) => {
      assertObjectName(name)
      assertObjectBytes(bytes.length)
      await orUnavailable(() => putFile(drafts, join(folder, name), bytes))
    },
    remove: async name => {
      assertObjectName(name)
      assertRemovable(name)
      await orUnavailable(() => removeFile(join(folder, name)))
    }
  }
}

/** A folder that is missing holds nothing. */
export function readDiskStore (folder: string): ObjectReader {
  return {
    kind: 'disk',
    get: async name => {
      assertObjectName(name)
      return await orUnavailable(() => readWhole(join(folder, name)))
    },
    list: prefix => {
      assertPrefix(prefix)
      return filesBelow(folder, prefix)
    }
  }
}

async function putFile (drafts: string, path: string, bytes: Uint8Array): Promise<void> {
  const draft = join(drafts, randomBytes(16).toString('hex'))
  try {
    await writeDraft(draft, bytes)
    await makeFolder(dirname(path))
    const isTaken = !await linkUnlessTaken(draft, path)
    // Taken, too: who linked it may have ended before its name was durable.
    await syncFolder(dirname(path))
    if (isTaken) throw objectExists()
  } finally {
    await rm(draft, { force: true })
  }
}

/** A link appears whole or not at all, and never replaces a file that is there. */
async function linkUnlessTaken (draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  }
}

async function writeDraft (path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', FILE_MODE)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function readWhole (path: string): Promise<Buffer> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    throw hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR') ? objectMissing() : error
  }
  try {
    const { size } = await file.stat()
    assertObjectBytes(size)
    return await file.readFile()
  } catch (error) {
    throw hasCode(error, 'EISDIR') ? objectMissing() : error
  } finally {
    await file.close()
  }
}

async function removeFile (path: string): Promise<void> {
  try {
    await rm(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return
    throw error
  }
  await syncFolder(dirname(path))
}

/** A folder sorts as its name with the `/` that its objects have behind it. */
async function * filesBelow (folder: string, prefix: string): AsyncGenerator<ObjectEntry> {
  const entries = await orUnavailable(() => entriesOf(join(folder, prefix)))
  const names = entries.flatMap(entry => entry.name.startsWith('.') ? [] : entry.isDirectory() ? [`${entry.name}/`] : entry.isFile() ? [entry.name] : [])
  for (const name of names.sort((a, b) => a < b ? -1 : 1)) {
    if (name.endsWith('/')) yield * filesBelow(folder, prefix + name)
    else {
      const bytes = await orUnavailable(() => sizeOf(join(folder, prefix, name)))
      if (bytes !== undefined) yield { name: prefix + name, bytes }
    }
  }
}

async function entriesOf (folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return []
    throw error
  }
}

async function sizeOf (path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** A folder whose name is lost takes its objects with it: each that was made is made durable in the one above. */
async function makeFolder (folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

async function removeOldDrafts (drafts: string, now: EpochMs): Promise<void> {
  for (const name of await readdir(drafts)) {
    const path = join(drafts, name)
    const { mtimeMs } = await stat(path)
    if (now - mtimeMs > DRAFT_AGE_MAX_MS) await rm(path, { force: true })
  }
}

/** The texts of the system name paths: only their code is repeated. */
async function orUnavailable<T> (act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', `the folder of the archive cannot be read or written (${code})`, { cause })
  }
}

function hasCode (error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
