/** Consume the raw topic → slices → objects → manifest → release. Any failure throws the memory away and begins again where the manifest ends.
 *
 *  Invariants (test/integration/stores/archive/writer.test.ts):
 *  W1  a name and its range stand in the manifest before the object is written, so no object is ever without a row;
 *  W2  a range that was reserved is the next one written, under the name reserved: the object that is found there is taken for what it says, else exactly
 *      that range is gathered again, so no record is archived twice;
 *  W3  a partition goes on only from the row it was known by: of two writers one is refused;
 *  W4  a record is released to the bus only when its object and its row are durable;
 *  W5  what Oxbow did not write stands in quarantine before the object that only names its offset is written. */

import { randomBytes } from 'node:crypto'
import { ServiceError } from '../../model/errors.ts'
import type { SetAside } from '../../model/foreign-record.ts'
import { RAW } from '../../model/streams.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Bus } from '../../platform/bus/bus.ts'
import { takeFor } from '../../platform/bus/take-for.ts'
import { KEPT, type ObjectStore } from '../../platform/objects/object-store.ts'
import { pause } from '../../platform/pause.ts'
import { within } from '../../platform/within.ts'
import { type ArchiveKeys, makeObject, manifestOf } from './make-object.ts'
import type { Manifest } from './manifest.ts'
import type { PartitionHead, Reservation } from './manifest-rows.ts'
import { openObject } from './open-object.ts'
import { createSlices, type Slice, type SliceLimits, type Slices } from './slices.ts'

/** Of `manifest-rows.ts`. */
export interface ManifestRows {
  openHeads (partitions: readonly number[]): Promise<readonly PartitionHead[]>
  reserve (head: PartitionHead, range: Reservation): Promise<void>
  commitObject (head: PartitionHead, manifest: Manifest): Promise<PartitionHead>
}

export interface ArchiveWriterParts extends SliceLimits {
  bus: Pick<Bus, 'consume' | 'partitionCount'>
  rows: ManifestRows
  objects: Pick<ObjectStore, 'put' | 'get'>
  keys: ArchiveKeys
  /** Keeps what Oxbow did not write; again, it is known by its place. */
  setAside: SetAside
  /** Version and commit of Oxbow. */
  oxbow: string
  now: () => EpochMs
  /** Most records taken at once, how long to wait for the first of them before the clock is looked at, and between one take and the next at least. */
  recordsMax: number
  tickMs: number
  paceMs: number
  /** Wait after a failure, doubled up to `retryMaxMs`. */
  retryMs: number
  retryMaxMs: number
  /** How long stopping waits for what is open to be written. */
  stopMs: number
  report: ArchiveReport
}

export interface ArchiveReport {
  archived (manifest: Manifest): void
  /** So many records that Oxbow did not write were set aside; after a failure they are told of again. */
  foreign (count: number): void
  /** The archive stands still until it is over. */
  failed (error: unknown): void
  recovered (): void
}

export interface ArchiveWriter {
  /** Writes what is open, unless that takes too long: then it waits on the bus. */
  stop (): Promise<void>
}

interface Writer extends ArchiveWriterParts {
  heads: Map<number, PartitionHead>
  slices: Slices
  /** One range is written or looked for at a time: a group may be shared anew while one is being written. */
  turn: Promise<unknown>
}

export function startArchiveWriter (parts: ArchiveWriterParts): ArchiveWriter {
  const stop = new AbortController()
  const running = keepRunning(parts, stop.signal)
  return { stop: async () => {
    stop.abort()
    await within(parts.stopMs, running)
  } }
}

async function keepRunning (parts: ArchiveWriterParts, stop: AbortSignal): Promise<void> {
  let waitMs = parts.retryMs
  const isFine = (): void => {
    parts.report.recovered()
    waitMs = parts.retryMs
  }
  while (!stop.aborted) {
    try {
      await runOnce({ ...parts, heads: new Map(), slices: createSlices(parts), turn: Promise.resolve() }, stop, isFine)
    } catch (error) {
      parts.report.failed(error)
      await pause(waitMs, stop)
      waitMs = Math.min(waitMs * 2, parts.retryMaxMs)
    }
  }
}

/** From where the manifest ends until told to stop. */
async function runOnce (writer: Writer, stop: AbortSignal, isFine: () => void): Promise<void> {
  const { bus, slices, now } = writer
  const partitions = Array.from({ length: bus.partitionCount(RAW) }, (_, partition) => partition)
  const consumer = await bus.consume({ topic: RAW, partitions, resumeFrom: wanted => oneAtATime(writer, () => resumeFrom(writer, wanted)) })
  const headOf = (partition: number): PartitionHead => writer.heads.get(partition)!
  const writeAll = async (closed: readonly Slice[]): Promise<void> => {
    for (const slice of closed) {
      await oneAtATime(writer, () => write(writer, slice))
      consumer.release(slice.partition, slice.next)
      isFine()
    }
  }
  try {
    if ([...writer.heads.values()].every(({ reserved }) => reserved === undefined)) isFine()
    while (!stop.aborted) {
      const taken = await takeOrReassigned(consumer, writer.recordsMax, writer.tickMs, stop)
      if (taken === 'reassigned') { slices.keepOnly(consumer.partitions); continue }
      const pace = taken.length > 0 ? pause(writer.paceMs, stop) : undefined
      await writeAll(slices.add(taken, headOf, now()))
      await writeAll(slices.takeOld(headOf, now()))
      await pace
    }
    for (let take = 0; take < LAST_TAKES_MAX; take++) {
      const taken = await takeOrReassigned(consumer, writer.recordsMax, LAST_TICK_MS)
      if (taken === 'reassigned' || taken.length === 0) break
      await writeAll(slices.add(taken, headOf, now()))
    }
    await writeAll(slices.takeAll(headOf))
  } finally {
    await consumer.close()
  }
}

/** Where the manifest ends; a range whose object was written before its row is finished first (W2). */
async function resumeFrom (writer: Writer, partitions: readonly number[]): Promise<ReadonlyMap<number, number>> {
  for (const head of await writer.rows.openHeads(partitions)) {
    const found = head.reserved === undefined ? undefined : await adopted(writer, head, head.reserved)
    writer.heads.set(head.partition, found === undefined ? head : await finish(writer, head, found))
  }
  return new Map(partitions.map(partition => [partition, writer.heads.get(partition)!.next]))
}

/** @throws ServiceError conflict STORE_CONFLICT when another process went on with the partition */
async function write (writer: Writer, { partition, first, next, records }: Slice): Promise<void> {
  const head = writer.heads.get(partition)
  if (head?.next !== first) throw new ServiceError('fault', 'INTERNAL', `a slice of partition ${partition} does not follow on what is archived`)
  const range = head.reserved ?? { next, object: newName() }
  if (head.reserved === undefined) await writer.rows.reserve(head, range)
  const place = { object: range.object, partition, first, next, previous: head.digest, oxbow: writer.oxbow }
  const { bytes, manifest, foreign } = await makeObject(place, records, writer.keys, writer.now())
  if (foreign.length > 0) {
    await writer.setAside(foreign.map(({ offset, value }) => ({ partition, offset, value })))
    writer.report.foreign(foreign.length)
  }
  const isNew = await writer.objects.put(range.object, bytes).then(() => true, falseWhenExisting)
  // Another process was first with this range: its object stands, and says what it holds.
  const standing = isNew ? manifest : await adopted(writer, head, range)
  writer.heads.set(partition, await finish(writer, head, standing!))
}

/** The manifest of the object that stands under a name reserved; `undefined`: none does. @throws ServiceError fault INTERNAL when it is not that range */
async function adopted ({ objects, keys }: Writer, head: PartitionHead, { next, object }: Reservation): Promise<Manifest | undefined> {
  const bytes = await objects.get(object).catch(undefinedWhenMissing)
  if (bytes === undefined) return undefined
  const { directory } = await openObject(bytes, object, keys.directory.key)
  const isThat = directory.partition === head.partition && directory.first === head.next && directory.next === next && directory.previous === head.digest
  if (!isThat) throw new ServiceError('fault', 'INTERNAL', `${object} stands under a name that was reserved for other records`)
  return manifestOf(directory, keys.directory.id, bytes)
}

async function finish ({ rows, report }: Writer, head: PartitionHead, manifest: Manifest): Promise<PartitionHead> {
  const moved = await rows.commitObject(head, manifest)
  report.archived(manifest)
  return moved
}

/** 128 random bits: a name tells nothing of what it holds. */
function newName (): string {
  const random = randomBytes(16).toString('hex')
  return `${KEPT}${random.slice(0, 2)}/${random.slice(2)}`
}

function oneAtATime<T> (writer: Writer, work: () => Promise<T>): Promise<T> {
  const result = writer.turn.then(work)
  writer.turn = result.catch(() => {})
  return result
}

/** Once the door is closed nothing comes any more; where another server goes on, there is an end all the same. */
const LAST_TICK_MS = 50
const LAST_TAKES_MAX = 10

async function takeOrReassigned (...words: Parameters<typeof takeFor>): Promise<Awaited<ReturnType<typeof takeFor>> | 'reassigned'> {
  try {
    return await takeFor(...words)
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'BUS_REASSIGNED') return 'reassigned'
    throw error
  }
}

function falseWhenExisting (error: unknown): false {
  if (error instanceof ServiceError && error.code === 'OBJECT_EXISTS') return false
  throw error
}

function undefinedWhenMissing (error: unknown): undefined {
  if (error instanceof ServiceError && error.code === 'OBJECT_MISSING') return undefined
  throw error
}
