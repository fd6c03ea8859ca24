/** `oxbow archive verify`: the manifest, every object and quarantine's book → what is proved, and what was found instead (docs/archive.md says how). */

import type { Pool, PoolClient } from 'pg'
import { type EpochMs, epochMs } from '../../model/units.ts'
import type { KeyRing } from '../../platform/keys/key-ring.ts'
import { KEPT, type ObjectStore } from '../../platform/objects/object-store.ts'
import { storeQuery, withClient } from '../../platform/postgres/pool.ts'
import { createBoundedMemory } from '../../security/bounded-memory.ts'
import { type Manifest, NO_DIGEST, sha256 } from './manifest.ts'
import { archivedToByPartition, knownObjects, type ManifestRow, manifestRows, objectOfDigest, type PartitionHead, readHeads } from './manifest-rows.ts'
import { type ObjectFindingKind, verifyObject, type VerifyObjectParts } from './verify-object.ts'
import { addPlaces, dropSnapshot, judgeRequests, nameRequests, type RequestVerdict, type Snapshot, takeSnapshot } from './verify-places.ts'
import { underwaySince, type WaitParts, waitForSlices } from './verify-underway.ts'

export type FindingKind = ObjectFindingKind | 'object-unknown' | 'manifest-changed' | 'range-gap' | 'range-overlap' | 'bus-younger' | 'range-gone' | 'book-differs' | WrongRequest
type FineRequest = 'complete' | 'redelivered' | 'unanswered' | 'unplaced' | 'unjudged'
type WrongRequest = Exclude<RequestVerdict, FineRequest>

/** `object`: where one is at fault. No sid, no device. */
export interface Finding { kind: FindingKind, object?: string, detail: string }

export interface Report {
  /** Nothing was found. */
  ok: boolean
  /** The first of each kind; `counts` has all. */
  findings: readonly Finding[]
  counts: Readonly<Partial<Record<FindingKind, number>>>
  objects: number
  bytes: number
  /** Records of the topic that stand in the objects read. */
  records: number
  /** Opened now; erased: the key of their sid was destroyed, after they were archived or before. */
  readings: { opened: number, erased: number }
  /** Objects that are being written, and records of the topic that no object has yet. */
  underway: { objects: number, records: number }
  /** Absent when only a part was asked for. */
  requests: Readonly<Record<FineRequest, number>> | undefined
  quarantine: Snapshot['kept'] | undefined
}

export interface VerifyParts extends WaitParts {
  /** Offset of the first record of the topic that the bus still has, by partition; where it has none, the end. */
  begins: () => Promise<ReadonlyMap<number, number>>
  /** Login `oxbow_archive`. */
  pool: Pool
  objects: Pick<ObjectStore, 'get' | 'list'>
  keyRing: Pick<KeyRing, 'unwrap'>
}

/** Objects with records that came in within are read; absent: all, and then that nothing is missing is proved too. */
export interface VerifySpan { from?: EpochMs | undefined, to?: EpochMs | undefined }

const NAMED_MAX = 100
const FINE: ReadonlySet<string> = new Set(['complete', 'redelivered', 'unanswered', 'unplaced', 'unjudged'] satisfies FineRequest[])
const isFine = (verdict: RequestVerdict): verdict is FineRequest => FINE.has(verdict)
const WRONG_REQUESTS: readonly WrongRequest[] = ['place-missing', 'place-doubled', 'place-beyond', 'release-missing', 'release-unknown']
const REQUEST_WORDS: Readonly<Record<WrongRequest, string>> = {
  'place-missing': 'neither archived nor in quarantine, and the request was acknowledged',
  'place-doubled': 'more than once: archived twice, or archived and in quarantine',
  'place-beyond': 'behind the last record of the request',
  'release-missing': 'released from quarantine and not archived',
  'release-unknown': 'archived as released, and quarantine does not know of them'
}

/** Keys in memory, about 400 bytes each. */
const KEYS_MAX = 100_000

interface Run extends VerifyParts, Pick<VerifyObjectParts, 'known'> {
  db: PoolClient
  span: VerifySpan
  heads: ReadonlyMap<number, PartitionHead>
  /** As the topic ended after the snapshot. */
  bus: ReadonlyMap<number, number>
  counts: Partial<Record<FindingKind, number>>
  findings: Finding[]
  report: Pick<Report, 'objects' | 'bytes' | 'records' | 'readings' | 'underway'>
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE when the database or the store of objects does not answer */
export function verifyArchive (parts: VerifyParts, span: VerifySpan = {}): Promise<Report> {
  return withClient(parts.pool, async db => {
    const isWhole = span.from === undefined && span.to === undefined
    const mark = isWhole ? await waitForSlices(parts, () => readHeads(db)) : undefined
    // Asked before the snapshot: nothing is removed from the bus before it is archived, so no partition may begin behind what the snapshot has.
    const begins = await parts.begins()
    const { heads, snapshot, archivedTo } = await snapshotOf(db)
    const run: Run = {
      ...parts, db, span, known: createBoundedMemory({ sizeMax: KEYS_MAX, now: parts.now }), heads: new Map(heads.map(head => [head.partition, head])),
      // Asked after the snapshot: what was appended before it is archived in it, or counts as under way.
      bus: await parts.ends(), counts: {}, findings: [],
      report: { objects: 0, bytes: 0, records: 0, readings: { opened: 0, erased: 0 }, underway: { objects: 0, records: 0 } }
    }
    try {
      verifyEnds(run)
      verifyBegins(run, begins)
      await verifyRows(run)
      await verifyNames(run)
      const requests = mark === undefined ? undefined : await verifyRequests(run, snapshot, underwaySince({ ...run, mark, archivedTo }))
      const { counts, findings, report } = run
      return { ok: findings.length === 0, findings, counts, ...report, requests, quarantine: isWhole ? snapshot.kept : undefined }
    } finally {
      // A connection that broke takes them along.
      await dropSnapshot(db).catch(() => {})
    }
  })
}

/** Heads of the manifest and the book of one moment: what is written meanwhile is not looked at. */
async function snapshotOf (db: PoolClient): Promise<{ heads: PartitionHead[], archivedTo: ReadonlyMap<number, EpochMs>, snapshot: Snapshot }> {
  await dropSnapshot(db)
  await storeQuery(db, 'BEGIN ISOLATION LEVEL REPEATABLE READ')
  const heads = await readHeads(db)
  const archivedTo = await archivedToByPartition(db)
  const snapshot = await takeSnapshot(db)
  await storeQuery(db, 'COMMIT')
  return { heads, archivedTo, snapshot }
}

function found (run: Run, finding: Finding): void {
  const count = (run.counts[finding.kind] ?? 0) + 1
  run.counts[finding.kind] = count
  if (count <= NAMED_MAX) run.findings.push(finding)
}

/** Of the partitions that either of them has. */
function verifyEnds (run: Run): void {
  for (const partition of new Set([...run.heads.keys(), ...run.bus.keys()])) {
    const next = run.heads.get(partition)?.next ?? 0
    const end = run.bus.get(partition)
    if ((end ?? 0) >= next) run.report.underway.records += (end ?? 0) - next
    else if (end === undefined) found(run, { kind: 'bus-younger', detail: `the archive of partition ${partition} ends at ${next} and the bus has no such partition: they are not of one time, or the bus is another one` })
    else found(run, { kind: 'bus-younger', detail: `the archive of partition ${partition} ends at ${next} and the bus at ${end}: they are not of one time` })
  }
}

/** What no object has must still be on the bus. */
function verifyBegins (run: Run, begins: ReadonlyMap<number, number>): void {
  for (const [partition, begin] of begins) {
    const next = run.heads.get(partition)?.next ?? 0
    if (begin > next) found(run, { kind: 'range-gone', detail: `offsets ${next} to ${begin - 1} of partition ${partition} stand in no object, and the bus has removed them as archived` })
  }
}

interface Link { next: number, digest: string, object: string | undefined }

/** The rows of a partition follow on, each names the digest of the one before, and the last one is the one that the partition names. */
async function verifyRows (run: Run): Promise<void> {
  let partition = -1
  let link: Link = { next: 0, digest: NO_DIGEST, object: undefined }
  const seen = new Set<number>()
  for await (const row of manifestRows(run.db)) {
    if (row.partition !== partition) {
      if (partition !== -1) verifyEnd(run, partition, link)
      partition = row.partition
      seen.add(partition)
      link = { next: 0, digest: NO_DIGEST, object: undefined }
    }
    if (row.first >= (run.heads.get(partition)?.next ?? 0)) {
      if (row.manifest === undefined) run.report.underway.objects++
      continue
    }
    link = await verifyRow(run, row, link)
  }
  if (partition !== -1) verifyEnd(run, partition, link)
  for (const head of run.heads.values()) if (!seen.has(head.partition)) verifyEnd(run, head.partition, { next: 0, digest: NO_DIGEST, object: undefined })
}

async function verifyRow (run: Run, row: ManifestRow, link: Link): Promise<Link> {
  const { partition, first, next, object } = row
  if (first > link.next) found(run, { kind: 'range-gap', detail: `offsets ${link.next} to ${first - 1} of partition ${partition} stand in no object` })
  if (first < link.next) found(run, { kind: 'range-overlap', object, detail: `it begins at offset ${first} of partition ${partition}, the one before ends at ${link.next}` })
  const text = row.manifest ?? ''
  const manifest = parsed(text)
  const after: Link = { next: Math.max(next, link.next), digest: sha256(text), object }
  if (manifest === undefined || !names(manifest, row)) {
    found(run, { kind: 'manifest-changed', object, detail: 'its row does not say what its manifest says' })
    return after
  }
  if (first === link.next && manifest.previous !== link.digest) {
    found(run, { kind: 'manifest-changed', object: link.object ?? object, detail: `its manifest is not the one that the next one of partition ${partition} names` })
  }
  if (isWithin(manifest, run.span)) await verifyOne(run, manifest, text)
  return after
}

function verifyEnd (run: Run, partition: number, link: Link): void {
  const head = run.heads.get(partition)
  if (head === undefined) return
  if (head.next !== link.next) found(run, { kind: 'range-gap', detail: `offsets ${link.next} to ${head.next - 1} of partition ${partition} stand in no object` })
  else if (head.digest !== link.digest) found(run, { kind: 'manifest-changed', ...(link.object === undefined ? {} : { object: link.object }), detail: `its manifest is not the one that partition ${partition} ends with` })
}

async function verifyOne (run: Run, manifest: Manifest, text: string): Promise<void> {
  const { report, db } = run
  const { findings, directory, sums } = await verifyObject({ ...run, objectOf: digest => objectOfDigest(db, digest) }, manifest, text)
  for (const { kind, detail } of findings) found(run, { kind, object: manifest.object, detail })
  report.objects++
  report.bytes += manifest.bytes
  if (directory === undefined) return
  report.records += manifest.next - manifest.first
  report.readings.opened += sums.readings
  report.readings.erased += sums.erasedReadings + manifest.erased.readings
  if (run.span.from === undefined && run.span.to === undefined) await addPlaces(db, directory)
}

/** Every object in the store is one that the manifest names; asked of the manifest as it is now, for a name is reserved before its object is written. */
async function verifyNames (run: Run): Promise<void> {
  let names: string[] = []
  const check = async (): Promise<void> => {
    const known = await knownObjects(run.db, names)
    for (const object of names) if (!known.has(object)) found(run, { kind: 'object-unknown', object, detail: 'it stands in the store, and the manifest does not know of it' })
    names = []
  }
  for await (const { name } of run.objects.list(KEPT)) if (names.push(name) === NAMES_AT_ONCE) await check()
  await check()
}

const NAMES_AT_ONCE = 500

/** @param since what is under way can be of then or later */
async function verifyRequests (run: Run, { kept, counted }: Snapshot, since: EpochMs | undefined): Promise<Report['requests']> {
  const booked = Object.values(kept).reduce((sum, count) => sum + count, 0)
  if (booked !== counted) found(run, { kind: 'book-differs', detail: `quarantine counted ${counted} arrivals and has ${booked}` })
  const requests = { complete: 0, redelivered: 0, unanswered: 0, unplaced: 0, unjudged: 0 }
  const wrong = new Set<RequestVerdict>()
  for (const { verdict, requests: count } of await judgeRequests(run.db, since)) {
    if (isFine(verdict)) requests[verdict] += count
    else {
      wrong.add(verdict)
      run.counts[verdict] = count
    }
  }
  for (const verdict of WRONG_REQUESTS.filter(one => wrong.has(one))) {
    for (const { request, places } of await nameRequests(run.db, since, [verdict], NAMED_MAX)) run.findings.push({ kind: verdict, detail: `places ${places} of request ${request} are ${REQUEST_WORDS[verdict]}` })
  }
  return requests
}

function parsed (text: string): Manifest | undefined {
  try {
    const manifest = JSON.parse(text) as Manifest
    return manifest.v === 1 ? manifest : undefined
  } catch {
    return undefined
  }
}

function names (manifest: Manifest, { partition, first, next, object }: ManifestRow): boolean {
  return manifest.partition === partition && manifest.first === first && manifest.next === next && manifest.object === object
}

function isWithin ({ receivedFrom, receivedTo }: Manifest, { from, to }: VerifySpan): boolean {
  return (from === undefined || epochMs(Date.parse(receivedTo)) >= from) && (to === undefined || epochMs(Date.parse(receivedFrom)) < to)
}
