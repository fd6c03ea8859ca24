/** Gathered originals against the rows that stand → what is missing goes to the stream as it would have come late, what is wrong is put right. */

import type { SidContext } from '../../model/identity.ts'
import type { ModelKey, Sid } from '../../model/reading.ts'
import { encodeReadingBatch } from '../../model/reading-record.ts'
import { READINGS } from '../../model/streams.ts'
import { hourOf } from '../../model/units.ts'
import type { BusRecord } from '../../platform/bus/bus.ts'
import type { RowKey } from '../../stream/sink.ts'
import { archivedFrom } from '../archive/manifest-rows.ts'
import { conflictedSeries } from '../series/counters.ts'
import { type ReprocessCounts, type ReprocessJob, saveReprocessJob } from '../series/reprocess-job.ts'
import { type CorrectedRow, correctReadings, type Original, originalsAfter } from '../series/reprocess-rows.ts'
import { compareReading } from './compare-reading.ts'
import { CLOCK_AHEAD_MS, type ReprocessParts } from './reprocess-parts.ts'
import { settled } from './settled.ts'

/** Originals compared in one step, about. */
const STEP_ORIGINALS = 2_000

interface Name { sid: Sid, model: ModelKey }

type Parts = Pick<ReprocessParts, 'archive' | 'pool' | 'series' | 'contexts' | 'bus' | 'sizesMs' | 'lookback' | 'contextChanged' | 'now' | 'pollMs' | 'standstillMs' | 'signal' | 'onProgress'>

/** From where the job is to the end of what was gathered; each step is saved with what it did. @returns the job in phase `windows` · @throws AbortError when told to stop, ServiceError as `reprocess` */
export async function compareOriginals (parts: Parts, begun: ReprocessJob): Promise<ReprocessJob> {
  let job = begun
  const wholeFrom = await wholeSince(parts, begun.counts)
  for (;;) {
    parts.signal.throwIfAborted()
    const groups = await originalsAfter(parts.pool, job.place.reading, STEP_ORIGINALS)
    if (groups.length === 0) break
    const counts = await compareStep(parts, groups, job.counts, wholeFrom)
    const { series, takenAt, sequence } = groups.at(-1)![0]!
    job = { ...job, counts, place: { reading: { series, takenAt, sequence } } }
    await saveReprocessJob(parts.pool, job, parts.now())
    parts.onProgress(job)
  }
  job = { ...job, phase: 'windows', place: {} }
  await saveReprocessJob(parts.pool, job, parts.now())
  return job
}

async function compareStep (parts: Parts, groups: readonly Original[][], before: ReprocessCounts, wholeFrom: number): Promise<ReprocessCounts> {
  const stored = new Map((await parts.series.existing(groups.map(([first]) => first!))).map(row => [keyText(row), row]))
  const counts = { ...before }
  const conflicted = await conflictedSeries(parts.pool, [...new Set(groups.map(([first]) => first!.series))])
  const found = groups.map(originals => ({ first: originals[0]!, verdict: compareReading(stored.get(keyText(originals[0]!)), originals, !conflicted.has(originals[0]!.series) || originals[0]!.takenAt >= wholeFrom) }))
  const names = await namesOf(parts, found.filter(({ verdict }) => verdict.publish.length > 0).map(({ first }) => first))
  const contexts = await parts.contexts([...names.values()].map(({ sid }) => sid))
  const publish: Original[] = []
  const corrected: CorrectedRow[] = []
  for (const { first, verdict } of found) {
    if (verdict.kind !== 'missing') counts.uncovered = Math.max(0, counts.uncovered - 1)
    // An association may have been corrected since it was read, and its row be gone with it.
    const isGone = verdict.publish.length > 0 && !covers(contexts.get(names.get(first.series)!.sid), first)
    if (isGone) { counts.unassigned++; continue }
    publish.push(...verdict.publish)
    if (verdict.row !== undefined) corrected.push({ ...verdict.row, series: first.series, takenAt: first.takenAt, sequence: first.sequence })
    if (verdict.isKept) counts.kept++
    if (verdict.kind !== 'same') counts[COUNTED[verdict.kind]]++
  }
  if (corrected.length > 0) await correct(parts, corrected)
  if (publish.length > 0) {
    await parts.bus.publish(batchesOf(publish, names))
    // So that no more than one step of ours is ever in front of what comes in.
    await settled(parts)
  }
  return counts
}

/** From when on all originals of a reading's identity were seen. Of those that differ the first that came in stands and the others were counted as conflicts:
 *  where a series had one, a value that no original gives may be that of one that was not seen. */
async function wholeSince ({ archive }: Parts, { unreadable, erased, refused, waiting }: ReprocessCounts): Promise<number> {
  const from = unreadable + erased + refused + waiting > 0 ? undefined : await archivedFrom(archive.pool)
  return from === undefined ? Number.POSITIVE_INFINITY : from + CLOCK_AHEAD_MS
}

const COUNTED = { missing: 'added', filled: 'filled', corrected: 'corrected' } as const

function covers (context: SidContext | undefined, { takenAt }: RowKey): boolean {
  return context !== undefined && takenAt >= context.validFrom && takenAt < (context.validUntil ?? Number.POSITIVE_INFINITY)
}

async function namesOf ({ series }: Parts, rows: readonly RowKey[]): Promise<ReadonlyMap<number, Name>> {
  return rows.length === 0 ? new Map() : series.sidsOf([...new Set(rows.map(row => row.series))])
}

async function correct (parts: Parts, rows: readonly CorrectedRow[]): Promise<void> {
  await correctReadings(parts.pool, { rows, sizesMs: parts.sizesMs, lookback: parts.lookback })
  const names = await namesOf(parts, rows)
  await parts.contextChanged([...names.values()].map(({ sid }) => sid))
}

/** In the order given; readings of one series, schema and hour of arrival that follow each other travel together. */
function batchesOf (originals: readonly Original[], names: ReadonlyMap<number, Name>): BusRecord[] {
  const runs: Original[][] = []
  for (const one of originals) {
    const last = runs.at(-1)?.[0]
    const fits = last !== undefined && last.series === one.series && last.schemaId === one.schemaId && hourOf(last.receivedAt) === hourOf(one.receivedAt)
    if (fits) runs.at(-1)!.push(one)
    else runs.push([one])
  }
  return runs.map(readings => {
    const { schemaId, receivedAt } = readings[0]!
    const { sid, model } = names.get(readings[0]!.series)!
    return { topic: READINGS, key: sid, value: encodeReadingBatch({ sid, model, schemaId, receivedAt, readings }) }
  })
}

function keyText ({ series, takenAt, sequence }: RowKey): string { return `${series}/${takenAt}/${sequence}` }
