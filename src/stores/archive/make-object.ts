/** Sealed records of the raw topic → one object: opened, gathered by sid, and sealed again, each sid under its own key; foreign ones are told apart. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RawFrame } from '../../ingest/raw-frame.ts'
import { sourceText } from '../../ingest/source-position.ts'
import type { Sid } from '../../model/reading.ts'
import { RAW } from '../../model/streams.ts'
import type { EpochMs } from '../../model/units.ts'
import { type DataKeys, type HeldKey, rawContext } from '../../security/data-keys.ts'
import { open } from '../../security/envelope.ts'
import { createDoubts, type RawRecord, sortOut } from './foreign-records.ts'
import { type Facts, type Manifest, sha256 } from './manifest.ts'
import {
  type Directory, directoryContext, encodeDirectory, encodeFrame, type FrameEntry, frameContext, joinObject, type OpenedRecord, type Parcel, sealPart
} from './object-bytes.ts'

export interface ArchiveKeys {
  /** Seals the directories. */
  directory: HeldKey
  ofSids: DataKeys['heldForSids']
  /** Which of these were ever given to a device that is worn. */
  knownSids: (sids: readonly Sid[]) => Promise<{ has (sid: Sid): boolean }>
}

/** Where the object stands in the archive; its records are those of the offsets between. */
export type Place = Pick<Facts, 'object' | 'partition' | 'first' | 'next' | 'previous' | 'oxbow'>

export interface MadeObject {
  bytes: Buffer
  manifest: Manifest
  /** Not in it, but for their offsets: they must be kept elsewhere before its row is written. */
  foreign: readonly RawRecord[]
}

/** So many are opened and sealed at a time: requests at the door are answered between. */
const RECORDS_AT_ONCE = 200
const FRAMES_AT_ONCE = 20

/** @param records ascending in offset, without gaps. @throws ServiceError KEY_CONTEXT when one of ours does not open; unavailable STORE_UNAVAILABLE */
export async function makeObject (place: Place, records: readonly RawRecord[], keys: ArchiveKeys, now: EpochMs): Promise<MadeObject> {
  const { ours, strange } = sortOut(records)
  const held = await keys.ofSids([...new Set(ours.map(({ sid }) => sid))])
  const doubts = createDoubts()
  const tally = createTally()
  const bySid = new Map<Sid, { key: HeldKey, opened: OpenedRecord[], parcels: Parcel[] }>()
  const lost: Parcel[] = []
  for (const [count, one] of ours.entries()) {
    if (count % RECORDS_AT_ONCE === RECORDS_AT_ONCE - 1) await nextTurn()
    const { record: { offset }, sid, frame } = one
    const key = held.get(sid)
    if (key === undefined) { lost.push(tally.count(offset, frame, false)); continue }
    const originals = doubts.opened(one, key, () => open(key.key, rawContext(sid), frame.sealed))
    if (originals === undefined) continue
    const group = bySid.get(sid) ?? { key, opened: [], parcels: [] }
    bySid.set(sid, group)
    group.opened.push({ offset, frame, originals })
    group.parcels.push(tally.count(offset, frame, true))
  }
  const foreign = [...strange, ...await doubts.foreign(keys.knownSids)].sort((a, b) => a.offset - b.offset)
  const entries: FrameEntry[] = []
  const frames: Buffer[] = []
  let at = 0
  for (const [sid, { key, opened, parcels }] of bySid) {
    if (frames.length % FRAMES_AT_ONCE === FRAMES_AT_ONCE - 1) await nextTurn()
    const sealed = await sealPart(key.key, frameContext(place.object, frames.length), encodeFrame(opened))
    entries.push({ sid, key: key.id, at, length: sealed.length, parcels })
    frames.push(sealed)
    at += sealed.length
  }
  const facts: Facts = { v: 1, ...place, topic: RAW, madeAt: new Date(now).toISOString(), ...tally.facts() }
  const directory: Directory = { ...facts, origins: tally.origins, frames: entries, lost, foreign: foreign.map(({ offset }) => offset) }
  const bytes = joinObject(await sealPart(keys.directory.key, directoryContext(place.object), encodeDirectory(directory)), frames)
  return { bytes, manifest: manifestOf(directory, keys.directory.id, bytes), foreign }
}

/** What the row of an object says, told by the object itself. */
export function manifestOf ({ origins: _, frames: __, lost: ___, foreign: ____, ...facts }: Directory, key: string, bytes: Buffer): Manifest {
  return { ...facts, key, bytes: bytes.length, sha256: sha256(bytes) }
}

type Counted = Pick<Facts, 'receivedFrom' | 'receivedTo' | 'readings' | 'readingBytes' | 'erased' | 'schemas' | 'sources'>

function createTally () {
  const origins: (readonly [string, number, number])[] = []
  const originIndex = new Map<string, number>()
  const schemas = new Map<string, { content: RawFrame['content'], id: number, readings: number }>()
  const sources = new Map<string, { inlet: string, from: number, to: number, readings: number }>()
  const total = { readings: 0, readingBytes: 0, receivedFrom: Number.POSITIVE_INFINITY, receivedTo: Number.NEGATIVE_INFINITY }
  const erased = { records: 0, readings: 0 }

  function indexOf (origin: RawFrame['origins'][number]): number {
    const name = sourceText(origin)
    const known = originIndex.get(name) ?? origins.push([origin.inlet, origin.number, origin.records]) - 1
    originIndex.set(name, known)
    return known
  }
  function countSource ({ inlet, number }: RawFrame['origins'][number], readings: number): void {
    const source = sources.get(inlet) ?? { inlet, from: number, to: number, readings: 0 }
    sources.set(inlet, source)
    source.from = Math.min(source.from, number)
    source.to = Math.max(source.to, number)
    source.readings += readings
  }
  function countSchema ({ content, schemaId, lengths }: RawFrame): void {
    const name = `${content}/${schemaId}`
    const schema = schemas.get(name) ?? { content, id: schemaId, readings: 0 }
    schemas.set(name, schema)
    schema.readings += lengths.length
  }
  return {
    origins,
    /** Gives what the directory says of the record. */
    count (offset: number, frame: RawFrame, isOpen: boolean): Parcel {
      total.receivedFrom = Math.min(total.receivedFrom, frame.receivedAt)
      total.receivedTo = Math.max(total.receivedTo, frame.receivedAt)
      const indexes = frame.origins.map(indexOf)
      const [origin] = frame.origins
      if (frame.runs.length === 0 && origin !== undefined) countSource(origin, frame.lengths.length)
      for (const run of frame.runs) countSource(frame.origins[run.origin]!, run.count)
      if (isOpen) {
        countSchema(frame)
        total.readings += frame.lengths.length
        total.readingBytes += frame.lengths.reduce((sum, length) => sum + length, 0)
      } else {
        erased.records++
        erased.readings += frame.lengths.length
      }
      const runs = frame.runs.flatMap(({ origin, first, count }) => [indexes[origin]!, first, count])
      return [offset, frame.way === 'released' ? 1 : 0, frame.lengths.length, ...runs]
    },
    facts: (): Counted => ({
      readings: total.readings, readingBytes: total.readingBytes, erased,
      receivedFrom: timeText(total.receivedFrom), receivedTo: timeText(total.receivedTo),
      schemas: [...schemas.values()].sort((a, b) => a.id - b.id || (a.content < b.content ? -1 : 1)),
      sources: [...sources.values()].sort((a, b) => a.inlet < b.inlet ? -1 : 1)
    })
  }
}

/** 1970 where every record is foreign: when those came in is not known, and nobody may take them for newer than they are. */
function timeText (time: number): string { return new Date(Number.isFinite(time) ? time : 0).toISOString() }
