/** One object against what its row says of it: every byte read, every frame opened that its key opens. */

import { createSecretKey } from 'node:crypto'
import { ServiceError } from '../../model/errors.ts'
import type { EpochMs } from '../../model/units.ts'
import { contextText, type KeyContext, type KeyRing } from '../../platform/keys/key-ring.ts'
import type { ObjectStore } from '../../platform/objects/object-store.ts'
import type { BoundedMemory } from '../../security/bounded-memory.ts'
import { KEY_TTL_MS, OF_SID } from '../../security/data-keys.ts'
import type { SealingKey } from '../../security/envelope.ts'
import { DIRECTORY_KEY } from './directory-key.ts'
import { manifestOf } from './make-object.ts'
import { type Manifest, manifestText, sha256 } from './manifest.ts'
import type { Directory, FrameEntry, OpenedRecord, Parcel } from './object-bytes.ts'
import { type OpenedObject, openFrame, openObject } from './open-object.ts'

export type ObjectFindingKind =
  | 'object-missing' | 'object-truncated' | 'object-swapped' | 'object-changed' | 'wrong-key' | 'key-missing' | 'facts-differ'

export interface ObjectFinding { kind: ObjectFindingKind, detail: string }

export interface ObjectSums { readings: number, readingBytes: number, erasedFrames: number, erasedReadings: number }

export interface VerifiedObject {
  findings: readonly ObjectFinding[]
  /** Absent when the object is not what its row says: then nothing in it counts. */
  directory: Directory | undefined
  sums: ObjectSums
}

export interface VerifyObjectParts {
  objects: Pick<ObjectStore, 'get'>
  keyRing: Pick<KeyRing, 'unwrap'>
  now: () => EpochMs
  /** Keys that were asked for before, by id and context: most sids stand in many objects. */
  known: BoundedMemory<SealingKey | NoKey>
  /** Which object of the manifest has this digest. */
  objectOf: (digest: string) => Promise<string | undefined>
}

const NOTHING: ObjectSums = { readings: 0, readingBytes: 0, erasedFrames: 0, erasedReadings: 0 }

/** @param text of the row · @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function verifyObject (parts: VerifyObjectParts, manifest: Manifest, text: string): Promise<VerifiedObject> {
  const notThat = (kind: ObjectFindingKind, detail: string): VerifiedObject => ({ findings: [{ kind, detail }], directory: undefined, sums: NOTHING })
  const bytes = await bytesOf(parts, manifest.object)
  if (typeof bytes === 'string') return notThat(bytes === 'missing' ? 'object-missing' : 'object-changed', bytes === 'missing' ? 'the store has no such object' : 'it is larger than any object of the archive')
  const digest = sha256(bytes)
  if (digest !== manifest.sha256) {
    const other = await parts.objectOf(digest)
    if (other !== undefined) return notThat('object-swapped', `its bytes are those of ${other}`)
    if (bytes.length < manifest.bytes) return notThat('object-truncated', `it has ${bytes.length} of ${manifest.bytes} bytes`)
    return notThat('object-changed', bytes.length > manifest.bytes ? `it has ${bytes.length} bytes, more than the ${manifest.bytes} written` : `its ${bytes.length} bytes are not those that were written`)
  }
  const key = await keyOf(parts, manifest.key, DIRECTORY_KEY)
  if (typeof key === 'string') return notThat(key === 'wrong' ? 'wrong-key' : 'key-missing', `the key of its directory ${KEY_WORDS[key]}`)
  const opened = await read(openObject(bytes, manifest.object, key), 'directory')
  if ('kind' in opened) return notThat(opened.kind, opened.detail)
  if (manifestText(manifestOf(opened.directory, manifest.key, bytes)) !== text) return notThat('facts-differ', 'its directory says something else than its row')
  return verifyFrames(parts, opened)
}

async function verifyFrames (parts: VerifyObjectParts, opened: OpenedObject): Promise<VerifiedObject> {
  const { directory } = opened
  const findings: ObjectFinding[] = []
  const sums = { ...NOTHING }
  for (const [place, entry] of directory.frames.entries()) {
    const key = await keyOf(parts, entry.key, OF_SID(entry.sid))
    if (key === 'destroyed') {
      sums.erasedFrames++
      sums.erasedReadings += countOf(entry.parcels)
      continue
    }
    if (typeof key === 'string') { findings.push({ kind: key === 'wrong' ? 'wrong-key' : 'key-missing', detail: `the key of its frame ${place} ${KEY_WORDS[key]}` }); continue }
    const records = await read(openFrame(opened, entry, key), `frame ${place}`)
    if ('kind' in records) { findings.push(records); continue }
    if (!holds(entry, records)) findings.push({ kind: 'facts-differ', detail: `its frame ${place} does not hold the records that its directory names` })
    for (const { frame, originals } of records) {
      sums.readings += frame.lengths.length
      sums.readingBytes += originals.length
    }
  }
  findings.push(...wrongSums(directory, sums, findings.length === 0))
  return { findings, directory, sums }
}

/** What its directory says in sum, where every frame that is not erased was read; and each offset of its range once. */
function wrongSums (directory: Directory, sums: ObjectSums, isRead: boolean): ObjectFinding[] {
  const wrong: ObjectFinding[] = []
  const differs = (detail: string) => { wrong.push({ kind: 'facts-differ', detail }) }
  const parcels = [...directory.frames.flatMap(frame => frame.parcels), ...directory.lost]
  const offsets = [...parcels.map(([offset]) => offset!), ...directory.foreign].sort((a, b) => a - b)
  if (offsets.length !== directory.next - directory.first || offsets.some((offset, place) => offset !== directory.first + place)) differs('it does not hold each offset of its range once')
  if (isRead && sums.readings + sums.erasedReadings !== directory.readings) differs(`it holds ${sums.readings + sums.erasedReadings} readings, its row says ${directory.readings}`)
  if (isRead && sums.erasedFrames === 0 && sums.readingBytes !== directory.readingBytes) differs(`it holds ${sums.readingBytes} bytes of readings, its row says ${directory.readingBytes}`)
  return wrong
}

function holds ({ parcels }: FrameEntry, records: readonly OpenedRecord[]): boolean {
  return parcels.length === records.length && records.every(({ offset, frame, originals }, place) => {
    const [at, way, count, ...runs] = parcels[place]!
    const places = runs.filter((_, index) => index % 3 !== 0)
    return at === offset && count === frame.lengths.length && (way === 1) === (frame.way === 'released') &&
      originals.length === frame.lengths.reduce((sum, length) => sum + length, 0) && sameNumbers(places, frame.runs.flatMap(({ first, count: length }) => [first, length]))
  })
}

function sameNumbers (some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((one, place) => one === others[place])
}

function countOf (parcels: readonly Parcel[]): number { return parcels.reduce((sum, [, , count]) => sum + count!, 0) }

/** Why there is no key to open with. */
export type NoKey = 'destroyed' | 'missing' | 'wrong'
const KEY_WORDS: Readonly<Record<NoKey, string>> = {
  destroyed: 'was destroyed', missing: 'is not in the key ring', wrong: 'does not unwrap: the key ring is another one, or its entry was changed'
}

async function keyOf ({ keyRing, known, now }: VerifyObjectParts, id: string, context: KeyContext): Promise<SealingKey | NoKey> {
  const name = `${id} ${contextText(context)}`
  const key = known.get(name) ?? await askedFor(keyRing, id, context)
  known.set(name, key, now() + KEY_TTL_MS)
  return key
}

/** The key, or why there is none. */
export async function askedFor (keyRing: VerifyObjectParts['keyRing'], id: string, context: KeyContext): Promise<SealingKey | NoKey> {
  try {
    return createSecretKey(await keyRing.unwrap(id, context))
  } catch (error) {
    const code = error instanceof ServiceError ? error.code : ''
    if (code === 'KEY_DESTROYED') return 'destroyed'
    if (code === 'KEY_UNKNOWN') return 'missing'
    if (code === 'KEY_CONTEXT' || code === 'KEY_FILE') return 'wrong'
    throw error
  }
}

async function bytesOf ({ objects }: VerifyObjectParts, name: string): Promise<Buffer | 'missing' | 'too large'> {
  try {
    return await objects.get(name)
  } catch (error) {
    const code = error instanceof ServiceError ? error.code : ''
    if (code === 'OBJECT_MISSING') return 'missing'
    if (code === 'OBJECT_TOO_LARGE') return 'too large'
    throw error
  }
}

/** What opens, or why it does not although its bytes are those that were written. */
async function read<T extends object> (opening: Promise<T>, part: string): Promise<T | ObjectFinding> {
  try {
    return await opening
  } catch (error) {
    if (!(error instanceof ServiceError && error.category === 'fault')) throw error
    if (error.code === 'KEY_CONTEXT') return { kind: 'wrong-key', detail: `its bytes are unchanged, and its ${part} does not open` }
    return { kind: 'facts-differ', detail: `its ${part} opens, and is nothing that was written there` }
  }
}
