/** What reprocessing is built from. */

import type { Pool } from 'pg'
import type { ReadOriginals } from '../../ingest/read-again.ts'
import type { DeviceModels } from '../../model/device-model.ts'
import type { SidContexts } from '../../model/identity.ts'
import type { Sid } from '../../model/reading.ts'
import { DAY_MS, type EpochMs } from '../../model/units.ts'
import type { Bus } from '../../platform/bus/bus.ts'
import type { ReadObjectsParts } from '../archive/read-objects.ts'
import type { ReprocessJob } from '../series/reprocess-job.ts'
import type { SeriesStore } from '../series/series-store.ts'

export interface ReprocessParts {
  archive: ReadObjectsParts
  /** Offset after the last record of the raw topic, by partition. */
  rawEnds: () => Promise<ReadonlyMap<number, number>>
  /** Login `oxbow_series`. */
  pool: Pool
  series: Pick<SeriesStore, 'series' | 'numbersOf' | 'sidsOf' | 'existing' | 'resumePoints'>
  readOriginals: ReadOriginals
  /** As they are recorded now. */
  contexts: SidContexts
  bus: Pick<Bus, 'publish' | 'ends'>
  /** In the registry. */
  models: DeviceModels
  /** Window sizes in use, ms; readings behind a window that its windows depend on. */
  sizesMs: readonly number[]
  lookback: number
  /** Whoever has rows of these sids in memory reads them again. */
  contextChanged: (sids: readonly Sid[]) => Promise<void>
  now: () => EpochMs
  /** Between two looks at what the stream has done, and how long it may do nothing at all. */
  pollMs: number
  standstillMs: number
  /** Ends the work between two steps: it throws, and the job goes on where it was. */
  signal: AbortSignal
  onProgress: (job: ReprocessJob) => void
}

/** How far ahead of its receipt a reading may have been taken: the most that `ingest.futureMax` takes. */
export const CLOCK_AHEAD_MS = DAY_MS

/** `undefined`: all. */
export async function numbersOf ({ series }: Pick<ReprocessParts, 'series'>, { sids }: ReprocessJob): Promise<readonly number[] | undefined> {
  return sids === undefined ? undefined : [...(await series.numbersOf(sids)).values()]
}
