/** A span of event time → its readings as the archive gives them today, and its windows computed again (decision 0017). In steps that may be repeated:
 *  read the archive, compare with what stands, mark windows for the stream, a portion at a time. */

import type { ReadOriginals } from '../../ingest/read-again.ts'
import { ServiceError } from '../../model/errors.ts'
import type { Sid } from '../../model/reading.ts'
import { DAY_MS, epochMs } from '../../model/units.ts'
import { readHeads } from '../archive/manifest-rows.ts'
import { readObjects } from '../archive/read-objects.ts'
import {
  exclusively, forgetOriginals, NO_COUNTS, openReprocessJob, type ReprocessJob, type ReprocessWish, saveReprocessJob, startReprocessJob
} from '../series/reprocess-job.ts'
import { countReadings, gatherOriginals, type Original } from '../series/reprocess-rows.ts'
import { compareOriginals } from './compare-originals.ts'
import { computeWindows } from './compute-windows.ts'
import { CLOCK_AHEAD_MS, numbersOf, type ReprocessParts } from './reprocess-parts.ts'
import { settled } from './settled.ts'

/** A job that was left for longer begins anew. */
const LEFT_MAX_MS = DAY_MS

/** Goes on with the open job, or begins one. @param wish absent: the open job, whatever it is · @throws ServiceError conflict STORE_CONFLICT when another
 *  job is open or another process works on it; not-found NOT_FOUND without a wish or a job; unavailable STORE_UNAVAILABLE when a store or the stream stands still */
export async function reprocess (parts: ReprocessParts, pipeline: string, wish: Omit<ReprocessWish, 'pipeline'> | undefined): Promise<ReprocessJob> {
  return exclusively(parts.pool, async () => {
    let job = await jobFor(parts, pipeline, wish)
    parts.onProgress(job)
    if (job.phase === 'read') job = await readArchive(parts, job)
    if (job.phase === 'compare') job = await compareOriginals(parts, job)
    if (job.phase === 'windows') job = await computeWindows(parts, job)
    await forgetOriginals(parts.pool)
    return job
  })
}

async function jobFor ({ pool, now }: ReprocessParts, pipeline: string, wish: Omit<ReprocessWish, 'pipeline'> | undefined): Promise<ReprocessJob> {
  const open = await openReprocessJob(pool)
  if (open === undefined) {
    if (wish === undefined) throw new ServiceError('not-found', 'NOT_FOUND', 'nothing is left to go on with: say what with --from and --to')
    return startReprocessJob(pool, { ...wish, pipeline }, now())
  }
  if (wish !== undefined && !isSame(wish, open)) {
    throw new ServiceError('conflict', 'STORE_CONFLICT',
      `job ${open.number} (${new Date(open.from).toISOString()} to ${new Date(open.to).toISOString()}) is not done: finish it with --resume, then begin another`)
  }
  if (open.pipeline === pipeline && now() - open.changedAt < LEFT_MAX_MS) return open
  // Another installation began it, and what it read was read by its rules; or it was left so long that much may be otherwise by now.
  const anew: ReprocessJob = { ...open, pipeline, phase: 'read', place: {}, counts: NO_COUNTS }
  await forgetOriginals(pool)
  await saveReprocessJob(pool, anew, now())
  return anew
}

function isSame (wish: Omit<ReprocessWish, 'pipeline'>, job: ReprocessJob): boolean {
  const names = (sids: readonly Sid[] | undefined): string => JSON.stringify(sids === undefined ? null : [...sids].sort())
  return wish.from === job.from && wish.to === job.to && names(wish.sids) === names(job.sids)
}

/** Up to where the archive was when the job began; what stands in it is stored by then. */
async function readArchive (parts: ReprocessParts, begun: ReprocessJob): Promise<ReprocessJob> {
  const { pool, now, archive } = parts
  let job = begun.place.heads === undefined ? await withHeads(parts, begun) : begun
  await settled(parts)
  const sids = job.sids === undefined ? undefined : new Set(job.sids)
  const wanted = { madeFrom: epochMs(job.from - CLOCK_AHEAD_MS), heads: new Map(job.place.heads), after: job.place.object, sids }
  for await (const { partition, first, records, erased, unreadable } of readObjects(archive, wanted)) {
    parts.signal.throwIfAborted()
    const read = await parts.readOriginals(records, job)
    const originals = await withNumbers(parts, read.groups)
    const { counts } = job
    job = {
      ...job,
      place: { ...job.place, object: { partition, first } },
      counts: {
        ...counts, originals: counts.originals + originals.length, erased: counts.erased + erased, unreadable: counts.unreadable + unreadable,
        unassigned: counts.unassigned + read.unassigned, refused: counts.refused + read.refused
      }
    }
    await gatherOriginals(pool, originals, job, now())
    parts.onProgress(job)
  }
  const stored = await countReadings(pool, job.from, job.to, await numbersOf(parts, job))
  job = { ...job, phase: 'compare', counts: { ...job.counts, stored, uncovered: stored } }
  await saveReprocessJob(pool, job, now())
  return job
}

async function withHeads ({ pool, archive, rawEnds, now }: ReprocessParts, job: ReprocessJob): Promise<ReprocessJob> {
  const heads = (await readHeads(archive.pool)).map(({ partition, next }) => [partition, next] as const)
  const archived = new Map(heads)
  const waiting = [...await rawEnds()].reduce((sum, [partition, end]) => sum + Math.max(0, end - (archived.get(partition) ?? 0)), 0)
  const next: ReprocessJob = { ...job, place: { heads }, counts: { ...job.counts, waiting } }
  await saveReprocessJob(pool, next, now())
  return next
}

async function withNumbers ({ series }: ReprocessParts, groups: Awaited<ReturnType<ReadOriginals>>['groups']): Promise<Original[]> {
  const numbers = await series.series(groups.map(({ sid, model }) => ({ sid, model })))
  return groups.flatMap(({ sid, schemaId, receivedAt, readings }) => readings.map(reading => ({ ...reading, series: numbers.get(sid)!, schemaId, receivedAt })))
}
