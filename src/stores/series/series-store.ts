/** A pool of the series database -> the series store: what the stream writes and asks, what views, counts and jobs read. */

import type { Pool } from 'pg'
import type { DeviceModel } from '../../model/device-model.ts'
import type { Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import type { RowIn, Sink } from '../../stream/sink.ts'
import { dueAmendments, markWindowsDue, type WindowsToMark } from './amendments.ts'
import { type ChangedDay, changedDays, isUnchanged, markSpanChanged, type PendingChanges, pendingChanges, settleDay, unsettledAmong, watchDays } from './changed-days.ts'
import { createCommit } from './commit.ts'
import { type Counts, countsByHour, countsBySid, type HourCounts } from './counters.ts'
import { createDictionary } from './dictionary.ts'
import { createLedger, type Ledger } from './ledger-read.ts'
import { numbersOf, recordModels, seriesNumbers, sidsOf } from './names.ts'
import { createPartitions } from './partitions.ts'
import { existing, readings, readingsBefore, readingsByPage } from './readings.ts'
import { type Moved, moveReadings, type RelabelStep, takeReadings } from './relabel.ts'
import { dropBefore } from './retention.ts'
import { openSeries, own, resumePoints, states } from './state.ts'

export interface SeriesStoreOptions {
  /** Most rows of one series that `states` reads at once; the rest is read on demand. Default 10,000. */
  stateRowsMax?: number
}

export interface SeriesStore extends Sink {
  readonly ledger: Ledger
  readings (series: number, from: EpochMs, until: EpochMs, limit: number): Promise<readonly RowIn[]>
  readingsBefore (series: number, time: EpochMs, count: number): Promise<readonly RowIn[]>
  /** @throws ServiceError incorrect MODEL_INVALID: the start must be refused */
  recordModels (models: Iterable<DeviceModel>): Promise<void>
  /** Without making new ones. */
  numbersOf (sids: readonly Sid[]): Promise<ReadonlyMap<Sid, number>>
  markWindowsDue (windows: WindowsToMark): Promise<number>
  countsByHour (from: EpochMs, until: EpochMs, limit: number): Promise<readonly HourCounts[]>
  countsBySid (): Promise<ReadonlyMap<Sid, Counts>>
  dropBefore (kind: 'reading' | 'window', time: EpochMs, archivedThrough: EpochMs | undefined): Promise<readonly string[]>
  moveReadings (step: RelabelStep & { to: number }): Promise<Moved>
  takeReadings (step: RelabelStep, keep: (rows: readonly RowIn[]) => Promise<void>): Promise<number>
  readonly days: ChangedDays
}

/** For files of whole days: which changed, what they hold. */
export interface ChangedDays {
  watch (through: number): Promise<void>
  pending (): Promise<PendingChanges>
  /** Ascending by number, series and day, behind `after`. */
  changed (number: number, limit: number, after?: ChangedDay): Promise<readonly ChangedDay[]>
  /** `series/day` of those among these that have changes which are not settled. */
  unsettled (keys: readonly { series: number, day: number }[]): Promise<ReadonlySet<string>>
  /** Its readings, ascending in (takenAt, sequence), at most `rowsMax` at a time. */
  pages (of: ChangedDay, rowsMax: number): AsyncIterable<readonly RowIn[]>
  isUnchanged (of: ChangedDay): Promise<boolean>
  settle (of: ChangedDay): Promise<void>
  /** What stands beside the readings of this span changed (a calibration). */
  mark (series: readonly number[], since: EpochMs, until: EpochMs): Promise<void>
}

export function createSeriesStore (pool: Pool, options: SeriesStoreOptions = {}): SeriesStore {
  const dictionary = createDictionary(pool)
  const ledger = createLedger(pool, dictionary)
  return {
    ledger,
    commit: createCommit(pool, dictionary, createPartitions(pool)),
    latestOfWindows: ledger.latestOfWindows,
    series: names => seriesNumbers(pool, names),
    numbersOf: sids => numbersOf(pool, sids),
    sidsOf: series => sidsOf(pool, series),
    recordModels: models => recordModels(pool, models),
    own: (topic, partitions, token) => own(pool, topic, partitions, token),
    resumePoints: topic => resumePoints(pool, topic),
    states: series => states(pool, series, options.stateRowsMax ?? 10_000),
    openSeries: partitions => openSeries(pool, partitions),
    existing: keys => existing(pool, keys),
    readings: (series, from, until, limit) => readings(pool, series, from, until, limit),
    readingsBefore: (series, time, count) => readingsBefore(pool, series, time, count),
    dueAmendments: (now, partitions, limit) => dueAmendments(pool, now, partitions, limit),
    markWindowsDue: windows => markWindowsDue(pool, windows),
    countsByHour: (from, until, limit) => countsByHour(pool, from, until, limit),
    countsBySid: () => countsBySid(pool),
    dropBefore: (kind, time, archivedThrough) => dropBefore(pool, kind, time, archivedThrough),
    moveReadings: step => moveReadings(pool, step),
    takeReadings: (step, keep) => takeReadings(pool, step, keep),
    days: {
      watch: through => watchDays(pool, through),
      pending: () => pendingChanges(pool),
      changed: (number, limit, after) => changedDays(pool, number, limit, after),
      unsettled: keys => unsettledAmong(pool, keys),
      pages: ({ series, day }, rowsMax) => readingsByPage(pool, series, day, rowsMax),
      isUnchanged: of => isUnchanged(pool, of),
      settle: of => settleDay(pool, of),
      mark: (series, since, until) => markSpanChanged(pool, series, since, until)
    }
  }
}
