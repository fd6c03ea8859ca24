/** Consume → pipeline → commit → release, for the partitions that one runner has. Any failure, and partitions given anew, throw the memory away and
 *  begin again at the resume point. */

import { ServiceError } from '../model/errors.ts'
import type { SetAside } from '../model/foreign-record.ts'
import type { Sid } from '../model/reading.ts'
import { READINGS } from '../model/streams.ts'
import type { EpochMs } from '../model/units.ts'
import type { AmendmentCause } from '../model/window.ts'
import type { Bus, BusConsumer } from '../platform/bus/bus.ts'
import { takeFor } from '../platform/bus/take-for.ts'
import { pause } from '../platform/pause.ts'
import type { WriteClock } from '../platform/write-clock.ts'
import type { TakenRecords } from './arrivals.ts'
import { createPipeline, type Pipeline } from './pipeline.ts'
import type { PipelineParts } from './pipeline-parts.ts'
import { portionsOf } from './portions.ts'
import type { SeriesCommit } from './sink.ts'

export interface RunnerParts extends Omit<PipelineParts, 'topic' | 'writer' | 'partitions' | 'owner'> {
  bus: Bus
  /** Tells the runners of this process apart in reports. */
  runner: number
  /** Those it would take. */
  partitions: readonly number[]
  now: () => EpochMs
  /** Gives the times of issue. */
  writes: WriteClock
  setAside: SetAside
  /** Most readings in one commit, and how long to wait for the first of them before the clock is looked at. */
  readingsMax: number
  tickMs: number
  /** From the beginning of a commit that held several records to the next one, at least: they come from many at once, and a commit costs as much as dozens of them. */
  paceMs: number
  /** Wait after a failure, doubled up to `retryMaxMs`. */
  retryMs: number
  retryMaxMs: number
  report: RunnerReport
}

export interface RunnerReport {
  stored (readings: number): void
  suppressed (kind: 'duplicate' | 'conflict', count: number): void
  windowsClosed (count: number): void
  windowsAmended (cause: AmendmentCause, count: number): void
  /** Series whose windows cannot be closed, or windows that cannot be written again, while the file of their device model is missing. */
  withoutModel (count: number): void
  /** Set aside, and passed over. */
  foreign (records: number): void
  /** The runner stands still until it is over. */
  failed (runner: number, error: unknown): void
  recovered (runner: number): void
}

export interface Runner {
  /** `'all'`: changes may have been missed; all memory is thrown away after the step at hand and read again from the store. */
  contextChanged (sids: readonly Sid[] | 'all'): void
  /** Lets the commit in flight finish; resolves when the runner stands. */
  stop (): Promise<void>
}

export function startRunner (parts: RunnerParts): Runner {
  const stop = new AbortController()
  let current: Memory | undefined
  const running = keepRunning(parts, stop.signal, started => { current = started })
  return {
    contextChanged: sids => {
      if (sids === 'all') current?.isStale.abort()
      else current?.pipeline.contextChanged(sids)
    },
    stop: async () => {
      stop.abort()
      await running
    }
  }
}

interface Ownership {
  /** Changes when partitions are taken from another one. */
  token: string | undefined
  /** Commits refused one after the other. */
  conflicts: number
}

/** What a runner knows between two steps; aborted when it can no longer be trusted as a whole. */
interface Memory { pipeline: Pipeline, isStale: AbortController }

async function keepRunning (parts: RunnerParts, stop: AbortSignal, onStart: (memory: Memory) => void): Promise<void> {
  let waitMs = parts.retryMs
  const owner: Ownership = { token: undefined, conflicts: 0 }
  while (!stop.aborted) {
    try {
      await runOnce(parts, owner, stop, onStart, () => {
        parts.report.recovered(parts.runner)
        waitMs = parts.retryMs
      })
    } catch (error) {
      // Once it only tells that partitions have another owner since: it is read again what is ours.
      if (!isConflict(error) || owner.conflicts++ > 0) parts.report.failed(parts.runner, error)
      await pause(waitMs, stop)
      waitMs = Math.min(waitMs * 2, parts.retryMaxMs)
    }
  }
}

function isConflict (error: unknown): boolean { return error instanceof ServiceError && error.code === 'STORE_CONFLICT' }

/** From the resume point until told to stop. */
async function runOnce (parts: RunnerParts, owner: Ownership, stop: AbortSignal, onStart: (memory: Memory) => void, onCommit: () => void): Promise<void> {
  const { bus, sink, partitions } = parts
  const consumer = await bus.consume({
    topic: READINGS,
    partitions,
    signal: stop,
    resumeFrom: async wanted => {
      owner.token = await sink.own(READINGS, wanted, owner.token)
      const points = await sink.resumePoints(READINGS)
      return new Map(wanted.map(partition => [partition, points.get(partition) ?? 0]))
    }
  })
  try {
    while (!stop.aborted) await runOn(parts, consumer, owner, stop, onStart, onCommit)
  } finally {
    await consumer.close()
  }
}

/** Until told to stop, or until what is known can no longer be trusted as a whole: what was taken by then is committed. */
async function runOn (parts: RunnerParts, consumer: BusConsumer, owner: Ownership, stop: AbortSignal, onStart: (memory: Memory) => void, onCommit: () => void): Promise<void> {
  const { partitions } = consumer
  // No two processes have a partition in common, so none writes as the other; of one that was paused, and believes so still, the store refuses every commit.
  const pipeline = createPipeline({ ...parts, partitions, writer: partitions[0] ?? 0, topic: READINGS, owner: owner.token })
  const isStale = new AbortController()
  onStart({ pipeline, isStale })
  const end = AbortSignal.any([stop, isStale.signal])
  try {
    const left = await pipeline.resume(parts.now())
    if (left > 0) parts.report.withoutModel(left)
    onCommit()
    const watch = createWatch(parts, partitions)
    while (!end.aborted) {
      if (await turn(parts, pipeline, consumer, owner, end)) watch.moved()
      else await watch.look(parts.now())
    }
  } catch (error) {
    if (!(error instanceof ServiceError && error.code === 'BUS_REASSIGNED')) throw error
  }
}

/** @returns whether anything came */
async function turn (parts: RunnerParts, pipeline: Pipeline, consumer: BusConsumer, owner: Ownership, stop: AbortSignal): Promise<boolean> {
  const taken = await takeFor(consumer, parts.readingsMax, parts.tickMs, stop)
  for (const portion of portionsOf(taken, parts.readingsMax)) {
    if (await stepOn(parts, pipeline, consumer, portion, stop)) owner.conflicts = 0
  }
  return taken.length > 0
}

/** Liveness is that offsets move, not that the process does: what stands on the bus at one look and is not stored at the next, with nothing come in between, does not come. */
function createWatch ({ bus, sink }: RunnerParts, partitions: readonly number[]) {
  let last: { at: EpochMs, ends: readonly number[] } | undefined
  return {
    moved: () => { last = undefined },
    /** @throws ServiceError unavailable STORE_UNAVAILABLE when records do not come */
    async look (now: EpochMs): Promise<void> {
      if (last !== undefined && now - last.at < WATCH_MS) return
      const [ends, points] = await Promise.all([bus.ends(READINGS), sink.resumePoints(READINGS)])
      const isStuck = last !== undefined && partitions.some(partition => (points.get(partition) ?? 0) < last!.ends[partition]!)
      if (isStuck) throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'records wait on the readings topic and do not come')
      last = { at: now, ends }
    }
  }
}

const WATCH_MS = 60_000

/** @returns whether there was anything to commit */
async function stepOn (parts: RunnerParts, pipeline: Pipeline, consumer: BusConsumer, taken: readonly TakenRecords[], stop: AbortSignal): Promise<boolean> {
  const step = await pipeline.step(taken, parts.now())
  if (step === undefined) return false
  const pace = holdsSeveral(taken) ? pause(parts.paceMs, stop) : undefined
  if (step.foreign.length > 0) await parts.setAside(step.foreign)
  await commitTimed(parts, step.commit)
  for (const { partition, nextOffset } of taken) consumer.release(partition, nextOffset)
  reportStep(parts.report, step)
  await pace
  return true
}

/** Issued at the time of the commit, not of the step that led to it; a search knows of it until it is there. */
async function commitTimed ({ sink, writes }: RunnerParts, commit: SeriesCommit): Promise<void> {
  const { time, end } = writes.begin()
  for (const revision of commit.revisions) revision.issued = time
  await sink.commit(commit).finally(end)
}

function holdsSeveral (taken: readonly TakenRecords[]): boolean { return taken.length > 1 || (taken[0]?.records.length ?? 0) > 1 }

function reportStep (report: RunnerReport, step: NonNullable<Awaited<ReturnType<Pipeline['step']>>>): void {
  let [stored, duplicate, conflict] = [0, 0, 0]
  for (const count of step.commit.counters) {
    stored += count.stored
    duplicate += count.duplicate
    conflict += count.conflict
  }
  report.stored(stored)
  if (step.foreign.length > 0) report.foreign(step.foreign.length)
  if (duplicate > 0) report.suppressed('duplicate', duplicate)
  if (conflict > 0) report.suppressed('conflict', conflict)
  if (step.windowsClosed > 0) report.windowsClosed(step.windowsClosed)
  for (const { cause, count } of step.windowsAmended) report.windowsAmended(cause, count)
  if (step.withoutModel > 0) report.withoutModel(step.withoutModel)
}
