/** Windows of a span → marked for the stream a portion at a time, day by day, each when the one before is done: what comes in meanwhile waits for one
 *  step of the stream at most, as it does for any window that is written again (decision 0005). */

import { DAY_MS } from '../../model/units.ts'
import type { WindowKey } from '../../stream/sink.ts'
import { type ReprocessJob, saveReprocessJob } from '../series/reprocess-job.ts'
import { closedWindows, countDue, countRevisions, markReprocessed, seriesOnDay } from '../series/reprocess-windows.ts'
import { numbersOf, type ReprocessParts } from './reprocess-parts.ts'
import { untilNone } from './settled.ts'

/** Series whose windows of a day are listed at once; windows marked at once. */
const SERIES_AT_ONCE = 20
const PORTION_WINDOWS = 1_000

type Parts = Pick<ReprocessParts, 'pool' | 'series' | 'models' | 'sizesMs' | 'now' | 'pollMs' | 'standstillMs' | 'signal' | 'onProgress'>

/** From where the job is to the end of its span. @returns the job in phase `done` · @throws AbortError when told to stop, ServiceError as `reprocess` */
export async function computeWindows (parts: Parts, begun: ReprocessJob): Promise<ReprocessJob> {
  const { pool, now, sizesMs } = parts
  const among = await numbersOf(parts, begun)
  let job = begun
  // A window may begin on the day before.
  let { day, series } = job.place.windows ?? { day: Math.floor(job.from / DAY_MS) - 1, series: -1 }
  while (day * DAY_MS < job.to) {
    parts.signal.throwIfAborted()
    const numbers = await seriesOnDay(pool, day, series, SERIES_AT_ONCE, among)
    if (numbers.length === 0) {
      day++
      series = -1
      continue
    }
    const { backed, unbackedCount } = await closedWindows(pool, { series: numbers, day, from: job.from, to: job.to, sizesMs })
    const windows = await ofKnownModels(parts, numbers, backed)
    job = { ...job, counts: { ...job.counts, unbacked: job.counts.unbacked + unbackedCount, withoutModel: job.counts.withoutModel + backed.length - windows.length } }
    for (let at = 0; at < windows.length; at += PORTION_WINDOWS) {
      const portion = windows.slice(at, at + PORTION_WINDOWS)
      const revisions = await computePortion(parts, portion)
      job = { ...job, counts: { ...job.counts, windows: job.counts.windows + portion.length, revisions: job.counts.revisions + revisions } }
      parts.onProgress(job)
    }
    series = numbers.at(-1)!
    job = { ...job, place: { windows: { day, series } } }
    await saveReprocessJob(pool, job, now())
  }
  job = { ...job, phase: 'done', place: {} }
  await saveReprocessJob(pool, job, now())
  return job
}

/** Those that the stream can compute. */
async function ofKnownModels ({ series, models }: Parts, numbers: readonly number[], windows: readonly WindowKey[]): Promise<WindowKey[]> {
  const names = await series.sidsOf(numbers)
  return windows.filter(window => models.has(names.get(window.series)!.model))
}

/** @returns revisions that were written meanwhile */
async function computePortion (parts: Parts, windows: readonly WindowKey[]): Promise<number> {
  const markedAt = parts.now()
  const before = await countRevisions(parts.pool, windows)
  await markReprocessed(parts.pool, windows)
  await untilNone(parts, () => countDue(parts.pool, windows, markedAt))
  return await countRevisions(parts.pool, windows) - before
}
