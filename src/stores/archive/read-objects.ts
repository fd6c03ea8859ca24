/** The archive from the oldest object on → the records of the sids asked for, opened; what cannot be opened is counted. */

import type { Pool } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import type { Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import type { KeyRing } from '../../platform/keys/key-ring.ts'
import type { ObjectReader } from '../../platform/objects/object-store.ts'
import { OF_SID } from '../../security/data-keys.ts'
import { DIRECTORY_KEY } from './directory-key.ts'
import type { Manifest } from './manifest.ts'
import { manifestRows } from './manifest-rows.ts'
import type { OpenedRecord } from './object-bytes.ts'
import { openFrame, openObject } from './open-object.ts'
import { askedFor } from './verify-object.ts'

export interface ReadObjectsParts {
  /** Login `oxbow_archive`. */
  pool: Pool
  objects: Pick<ObjectReader, 'get'>
  keyRing: Pick<KeyRing, 'unwrap'>
}

export interface Wanted {
  /** Objects made at this time or later: what they hold may have come in long before, and waited in quarantine. */
  madeFrom: EpochMs
  /** By partition: objects up to here. */
  heads: ReadonlyMap<number, number>
  /** Only objects behind this one. */
  after: { partition: number, first: number } | undefined
  /** Absent: all. */
  sids: ReadonlySet<Sid> | undefined
}

export interface ReadObject {
  partition: number
  first: number
  /** By sid, ascending in offset within each. */
  records: readonly OpenedRecord[]
  /** Readings whose key was destroyed. */
  erased: number
  /** Readings in what is not there, or does not open: `oxbow archive verify` says why. */
  unreadable: number
}

/** By partition and offset. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function * readObjects (parts: ReadObjectsParts, { madeFrom, heads, after, sids }: Wanted): AsyncGenerator<ReadObject> {
  for await (const { partition, first, manifest } of manifestRows(parts.pool, { after })) {
    if (manifest === undefined || first >= (heads.get(partition) ?? 0)) continue
    const facts = JSON.parse(manifest) as Manifest
    if (Date.parse(facts.madeAt) >= madeFrom) yield { partition, first, ...await readObject(parts, facts, sids) }
  }
}

async function readObject (parts: ReadObjectsParts, manifest: Manifest, sids: ReadonlySet<Sid> | undefined): Promise<Pick<ReadObject, 'records' | 'erased' | 'unreadable'>> {
  const opened = await unlessBroken(openWhole(parts, manifest))
  // Of which sids they were is not known any more.
  let erased = sids === undefined ? manifest.erased.readings : 0
  if (opened === undefined) return { records: [], erased, unreadable: manifest.readings }
  const records: OpenedRecord[] = []
  let unreadable = 0
  for (const entry of opened.directory.frames) {
    if (sids !== undefined && !sids.has(entry.sid)) continue
    const count = entry.parcels.reduce((sum, [, , readings]) => sum + readings!, 0)
    const key = await askedFor(parts.keyRing, entry.key, OF_SID(entry.sid))
    if (key === 'destroyed') { erased += count; continue }
    const frame = typeof key === 'string' ? undefined : await unlessBroken(openFrame(opened, entry, key))
    if (frame === undefined) { unreadable += count; continue }
    records.push(...frame)
  }
  return { records, erased, unreadable }
}

async function openWhole (parts: ReadObjectsParts, { object, key }: Manifest) {
  const directoryKey = await askedFor(parts.keyRing, key, DIRECTORY_KEY)
  if (typeof directoryKey === 'string') throw new ServiceError('fault', 'KEY_UNKNOWN', 'the key of the directory is not there')
  return openObject(await parts.objects.get(object), object, directoryKey)
}

/** What a repeated call may bring is thrown on. */
function unlessBroken<T> (opening: Promise<T>): Promise<T | undefined> {
  return opening.catch(error => {
    if (error instanceof ServiceError && error.category !== 'unavailable') return undefined
    throw error
  })
}
