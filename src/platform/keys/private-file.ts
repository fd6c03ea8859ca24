/** Files that hold keys: takes a path and what to write at the first start, gives the text; readable by their owner alone. */

import { randomBytes } from 'node:crypto'
import { link, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ServiceError } from '../../model/errors.ts'
import { syncFolder } from '../sync-folder.ts'

const OTHERS = 0o077

/** `undefined` when there is no such file. @throws ServiceError KEY_FILE when others may read it or it cannot be read */
export async function readPrivateFile (path: string): Promise<string | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const { mode } = await file.stat()
      if ((mode & OTHERS) !== 0) throw keyFileError('a key file may be read by others: set its mode to 0600')
      return await file.readFile('utf8')
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof ServiceError) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw keyFileError('a key file cannot be read', error)
  }
}

/** Writes the file unless another process was first; gives what stands there afterwards. @throws ServiceError KEY_FILE */
export async function createPrivateFile (path: string, text: string): Promise<string> {
  const draft = await writeDraft(path, text)
  try {
    // A link appears whole or not at all, and never replaces a file that is there.
    await link(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw keyFileError('a key file cannot be created', error)
  } finally {
    await rm(draft, { force: true })
  }
  await syncFolder(dirname(path))
  const standing = await readPrivateFile(path)
  if (standing === undefined) throw keyFileError('a key file was removed while it was being created')
  return standing
}

/** Replaces the whole file at once. @throws ServiceError KEY_FILE */
export async function replacePrivateFile (path: string, text: string): Promise<void> {
  const draft = await writeDraft(path, text)
  await rename(draft, path)
  await syncFolder(dirname(path))
}

async function writeDraft (path: string, text: string): Promise<string> {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(text, 'utf8')
      await file.sync()
    } finally {
      await file.close()
    }
    return draft
  } catch (error) {
    await rm(draft, { force: true })
    throw keyFileError('a key file cannot be written', error)
  }
}


export function keyFileError (message: string, cause?: unknown): ServiceError {
  return new ServiceError('incorrect', 'KEY_FILE', message, { cause })
}
