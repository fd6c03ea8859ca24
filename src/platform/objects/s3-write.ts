/** One object of S3 written once: whole, or in parts where it is large; with the checksums that the store compares. */

import { hash } from 'node:crypto'
import { ServiceError } from '../../model/errors.ts'
import { DAY_MS, type EpochMs } from '../../model/units.ts'
import { createAtMost } from '../at-most.ts'
import { unavailable } from '../aws.ts'
import { KEPT, objectExists } from './object-store.ts'

export type Sdk = typeof import('@aws-sdk/client-s3')

export interface Bucket {
  sdk: Sdk
  client: InstanceType<Sdk['S3Client']>
  name: string
  /** Of objects below `raw/`. */
  lock: { mode: 'GOVERNANCE' | 'COMPLIANCE', days: number } | undefined
  now: () => EpochMs
}

/** A larger object goes in parts of this size, the last one smaller; S3 takes none below 5 MiB before the last. */
const PART_BYTES = 8 * 1024 * 1024
/** Of one object, on their way at once. */
const PARTS_AT_ONCE_MAX = 4
/** How often an object is sent anew because another one of its name was being written. */
const ROUNDS_MAX = 5

type Outcome = 'written' | 'taken' | 'contended'

/** @param readBack the object as it stands. @throws ServiceError OBJECT_EXISTS, STORE_UNAVAILABLE, and whatever the SDK throws */
export async function writeOnce (bucket: Bucket, name: string, bytes: Uint8Array, readBack: () => Promise<Buffer>): Promise<void> {
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    const outcome = await send(bucket, name, bytes).then((): Outcome => 'written', error => outcomeOf(error, bytes, readBack))
    if (outcome === 'written') return
    if (outcome === 'taken') throw objectExists()
  }
  throw unavailable('others go on writing an object of this name')
}

function send (bucket: Bucket, name: string, bytes: Uint8Array): Promise<void> {
  return bytes.length <= PART_BYTES ? sendWhole(bucket, name, bytes) : sendInParts(bucket, name, bytes)
}

async function outcomeOf (error: unknown, bytes: Uint8Array, readBack: () => Promise<Buffer>): Promise<Outcome> {
  if (!(error instanceof Error)) throw error
  if (error.name === 'ConditionalRequestConflict') return 'contended'
  if (error.name !== 'PreconditionFailed' && error.name !== 'NoSuchUpload') throw error
  // Of a call that was tried again the first try may be the one that took the name.
  if (triesOf(error) > 1 && await stands(bytes, readBack)) return 'written'
  if (error.name === 'PreconditionFailed') return 'taken'
  throw error
}

async function stands (bytes: Uint8Array, readBack: () => Promise<Buffer>): Promise<boolean> {
  try {
    return (await readBack()).equals(bytes)
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'OBJECT_MISSING') return false
    throw error
  }
}

function triesOf (error: Error): number {
  return (error as { $metadata?: { attempts?: number } }).$metadata?.attempts ?? 1
}

async function sendWhole ({ sdk, client, ...bucket }: Bucket, name: string, bytes: Uint8Array): Promise<void> {
  await client.send(new sdk.PutObjectCommand({
    Bucket: bucket.name, Key: name, Body: bytes, IfNoneMatch: '*', ChecksumAlgorithm: 'SHA256', ChecksumSHA256: hash('sha256', bytes, 'base64'), ...lockOf(bucket, name)
  }))
}

/** Parts of an upload that was neither completed nor aborted stay until the bucket's own rule removes them (docs/operations.md). */
async function sendInParts (bucket: Bucket, name: string, bytes: Uint8Array): Promise<void> {
  const { sdk, client } = bucket
  const place = { Bucket: bucket.name, Key: name }
  const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand({ ...place, ChecksumAlgorithm: 'SHA256', ...lockOf(bucket, name) }))
  const upload = { ...place, UploadId: UploadId! }
  try {
    const Parts = await sendParts(bucket, upload, bytes)
    await client.send(new sdk.CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts }, IfNoneMatch: '*' }))
  } catch (error) {
    await client.send(new sdk.AbortMultipartUploadCommand(upload)).catch(() => { /* the bucket's rule does it */ })
    throw error
  }
}

/** In the end no part is on its way any more, also when one failed. */
async function sendParts ({ sdk, client }: Bucket, upload: { Bucket: string, Key: string, UploadId: string }, bytes: Uint8Array) {
  const atMost = createAtMost(PARTS_AT_ONCE_MAX)
  const sent = await Promise.allSettled(partsOf(bytes).map((part, index) => atMost(async () => {
    const checksum = hash('sha256', part, 'base64')
    const { ETag } = await client.send(new sdk.UploadPartCommand({ ...upload, PartNumber: index + 1, Body: part, ChecksumAlgorithm: 'SHA256', ChecksumSHA256: checksum }))
    return { PartNumber: index + 1, ETag, ChecksumSHA256: checksum }
  })))
  return sent.map(result => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}

function lockOf ({ lock, now }: Pick<Bucket, 'lock' | 'now'>, name: string) {
  if (lock === undefined || !name.startsWith(KEPT)) return {}
  return { ObjectLockMode: lock.mode, ObjectLockRetainUntilDate: new Date(now() + lock.days * DAY_MS) }
}

function partsOf (bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / PART_BYTES) }, (_, index) => bytes.subarray(index * PART_BYTES, (index + 1) * PART_BYTES))
}

/** What S3 keeps of an object that came in parts: the SHA-256 of the SHA-256 of each, and their number. */
export function compositeOf (bytes: Uint8Array): string {
  const sums = partsOf(bytes).map(part => hash('sha256', part, 'buffer'))
  return `${hash('sha256', Buffer.concat(sums), 'base64')}-${sums.length}`
}
