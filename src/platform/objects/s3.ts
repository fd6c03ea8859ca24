/** Objects in a bucket of S3, or of another store that speaks its API: written under a condition that no name is taken, below `raw/` locked as well. */

import { hash, randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { ServiceError } from '../../model/errors.ts'
import type { EpochMs } from '../../model/units.ts'
import { CHANGED_ON_THE_WAY, clientOptions, reasonOf, type ServiceSettings, unavailable } from '../aws.ts'
import { assertObjectBytes, assertObjectName, assertPrefix, assertRemovable, type ObjectEntry, objectMissing, type ObjectReader, type ObjectStore } from './object-store.ts'
import { type Bucket, compositeOf, type Sdk, writeOnce } from './s3-write.ts'

export interface S3Settings extends ServiceSettings {
  bucket: string
  /** The bucket in the path, not in the host name. */
  isPathStyle: boolean
  /** Of objects below `raw/`. */
  objectLock: 'off' | 'governance' | 'compliance'
  lockDays: number
  /** How long one try of a call may take, and the reading of one object. Default 60 s. */
  answerTimeoutMs?: number
}

/** A part of an object on a slow line. */
const ANSWER_TIMEOUT_MS = 60_000

/** @throws ServiceError unavailable STORE_UNAVAILABLE; incorrect CONFIG_INVALID when the bucket keeps no lock that the settings ask for, or replaces what stands */
export async function openS3Store ({ settings, now }: { settings: S3Settings, now: () => EpochMs }): Promise<ObjectStore> {
  const bucket = await openBucket(settings, now)
  const store = s3Store(bucket, settings.answerTimeoutMs ?? ANSWER_TIMEOUT_MS)
  await assertLock(bucket)
  await assertWritesOnce(store)
  return store
}

/** Without asking for locks or trying how it writes. */
export async function readS3Store ({ settings, now }: { settings: S3Settings, now: () => EpochMs }): Promise<ObjectReader> {
  const { kind, get, list } = s3Store(await openBucket(settings, now), settings.answerTimeoutMs ?? ANSWER_TIMEOUT_MS)
  return { kind, get, list }
}

/** What keeps the bucket from serving; nothing is written. */
export async function bucketProblems (settings: S3Settings, now: () => EpochMs): Promise<string[]> {
  try {
    await assertLock(await openBucket(settings, now))
    return []
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    return [error.message]
  }
}

async function openBucket (settings: S3Settings, now: () => EpochMs): Promise<Bucket> {
  const sdk: Sdk = await import('@aws-sdk/client-s3')
  const client = new sdk.S3Client({
    ...clientOptions(settings, settings.answerTimeoutMs ?? ANSWER_TIMEOUT_MS),
    forcePathStyle: settings.isPathStyle,
    // We say what is checked; other stores do not know the SDK's own choice.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED'
  })
  const { objectLock, lockDays } = settings
  return { sdk, client, name: settings.bucket, now, lock: objectLock === 'off' ? undefined : { mode: objectLock === 'governance' ? 'GOVERNANCE' : 'COMPLIANCE', days: lockDays } }
}

function s3Store (bucket: Bucket, readTimeoutMs: number): ObjectStore {
  return {
    kind: 's3',
    put: async (name, bytes) => {
      assertObjectName(name)
      assertObjectBytes(bytes.length)
      await orUnavailable(() => writeOnce(bucket, name, bytes, () => readWhole(bucket, name, readTimeoutMs)))
    },
    get: async name => {
      assertObjectName(name)
      return await orUnavailable(() => readWhole(bucket, name, readTimeoutMs))
    },
    list: prefix => {
      assertPrefix(prefix)
      return pages(bucket, prefix)
    },
    remove: async name => {
      assertObjectName(name)
      assertRemovable(name)
      await orUnavailable(() => bucket.client.send(new bucket.sdk.DeleteObjectCommand({ Bucket: bucket.name, Key: name })))
    }
  }
}

async function readWhole ({ sdk, client, name: Bucket }: Bucket, name: string, timeoutMs: number): Promise<Buffer> {
  const answer = await client.send(new sdk.GetObjectCommand({ Bucket, Key: name, ChecksumMode: 'ENABLED' })).catch(missingOr)
  const body = answer.Body as Readable
  const timer = setTimeout(() => { body.destroy(Object.assign(new Error(), { name: 'TimeoutError' })) }, timeoutMs)
  try {
    assertObjectBytes(answer.ContentLength ?? 0)
    const chunks: Buffer[] = []
    let length = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length
      assertObjectBytes(length)
      chunks.push(chunk)
    }
    const bytes = Buffer.concat(chunks)
    assertArrived(bytes, answer.ContentLength, answer.ChecksumSHA256)
    return bytes
  } finally {
    clearTimeout(timer)
    body.destroy()
  }
}

function missingOr (error: unknown): never {
  throw error instanceof Error && error.name === 'NoSuchKey' ? objectMissing() : error
}

/** @param checksum what the store keeps of it: of the whole, or of its parts with their number behind; none where somebody else wrote it */
function assertArrived (bytes: Buffer, length: number | undefined, checksum: string | undefined): void {
  const sum = checksum?.includes('-') === true ? compositeOf(bytes) : hash('sha256', bytes, 'base64')
  if ((length !== undefined && length !== bytes.length) || (checksum !== undefined && checksum !== sum)) throw Object.assign(new Error(), { name: 'ChecksumMismatch' })
}

/** S3 lists by the bytes of the names. A name that ends with `/` is a folder that some tool made. */
async function * pages ({ sdk, client, name: Bucket }: Bucket, prefix: string): AsyncGenerator<ObjectEntry> {
  let next: string | undefined
  do {
    const token = next
    const page = await orUnavailable(() => client.send(new sdk.ListObjectsV2Command({ Bucket, Prefix: prefix, ...(token === undefined ? {} : { ContinuationToken: token }) })))
    for (const { Key = '', Size = 0 } of page.Contents ?? []) if (!Key.endsWith('/')) yield { name: Key, bytes: Size }
    next = page.IsTruncated === true ? page.NextContinuationToken : undefined
  } while (next !== undefined)
}

/** Also where no lock is asked for: that the bucket is there, and that this login may see it. Asked by a list, whose refusals say why. */
async function assertLock ({ sdk, client, name: Bucket, lock }: Bucket): Promise<void> {
  await orUnavailable(() => client.send(new sdk.ListObjectsV2Command({ Bucket, MaxKeys: 1 })))
  if (lock === undefined) return
  const state = await orUnavailable(() => client.send(new sdk.GetObjectLockConfigurationCommand({ Bucket })).catch(noLockOr))
  if (state?.ObjectLockConfiguration?.ObjectLockEnabled !== 'Enabled') {
    throw new ServiceError('incorrect', 'CONFIG_INVALID', `s3.objectLock is ${lock.mode.toLowerCase()} and the bucket keeps no locks: switch object lock on for it, or set s3.objectLock to off`)
  }
}

function noLockOr (error: unknown): undefined {
  if (error instanceof Error && error.name === 'ObjectLockConfigurationNotFoundError') return undefined
  throw error
}

/** A store that does not know the condition would replace an object in silence. */
async function assertWritesOnce (store: ObjectStore): Promise<void> {
  const name = `probe/${randomBytes(16).toString('hex')}`
  await store.put(name, Buffer.from('first'))
  try {
    await store.put(name, Buffer.from('second'))
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'OBJECT_EXISTS') return
    throw error
  } finally {
    await store.remove(name)
  }
  throw new ServiceError('incorrect', 'CONFIG_INVALID', 's3.endpoint: this store replaces an object where it is told not to (If-None-Match); it cannot hold the archive')
}

const WORDS: Readonly<Record<string, string>> = {
  NoSuchBucket: 'there is no such bucket', PermanentRedirect: 'the bucket is in another region', AuthorizationHeaderMalformed: 'the bucket is in another region',
  ChecksumMismatch: CHANGED_ON_THE_WAY, BadDigest: 'what arrived is not what was sent'
}

async function orUnavailable<T> (act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof ServiceError) throw error
    throw unavailable(`the bucket of the archive cannot be read or written: ${reasonOf(error, WORDS)}`, error)
  }
}
