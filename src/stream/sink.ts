/** What the stream asks of a store: one commit that holds rows, windows and the resume point together, and a few questions. */

import type { ModelKey, Sid, StoredReading } from '../model/reading.ts'
import type { EpochMs } from '../model/units.ts'
import type { AmendmentCause, WindowRevision } from '../model/window.ts'

/** Identity of a reading; a series is a sid by its number in the store. */
export interface RowKey { series: number, takenAt: EpochMs, sequence: number }

export interface RowIn extends StoredReading { series: number }

/** One window of one series, all metrics of it. */
export interface WindowKey { series: number, windowStart: EpochMs, sizeMs: number }

/** One window of one metric: all its revisions. */
export interface LedgerKey extends WindowKey { metric: string }

/** A field of a reading: a channel position, or what else a sensor says of itself. */
export type FilledField = number | 'battery' | 'quality'

/** A value for a field that is absent in a stored row; a present value stays. */
export interface Fill extends RowKey { field: FilledField, value: number }

/** All windows of this size ending at or before `through` are closed. */
export interface Closed { series: number, sizeMs: number, through: EpochMs }

/** A window to be written again, not before `notBefore`. A repeated mark: the later `notBefore` and the strongest cause win. */
export interface Due extends WindowKey {
  partition: number
  cause: AmendmentCause
  notBefore: EpochMs
  /** The readings of the window changed: the window before it and those of the next `lookback` readings are marked as well. Absent: only itself. */
  lookback?: number
}

export interface DueAmendment extends Due { asOf: EpochMs }

/** A mark that has been dealt with; one touched since `asOf` stays. */
export interface Settled extends WindowKey { asOf: EpochMs }

/** Added to the row of (series, arrival hour). `hour`: start of a UTC hour. */
export interface Count { series: number, hour: EpochMs, accepted: number, stored: number, duplicate: number, conflict: number }

/** All of it or nothing. */
export interface SeriesCommit {
  /** Fixed number of the writer (0, 1, …); one writer has one commit in flight. */
  writer: number
  /** What `own` gave for the partitions that the writer knows of; a commit of whoever has lost one of them is refused. */
  owner: { topic: string, partitions: readonly number[], token: string } | undefined
  /** Records [firstOffset, nextOffset) of a partition are in this commit: the one before it ended at `firstOffset`. */
  resume: readonly { topic: string, partition: number, firstOffset: number, nextOffset: number }[]
  /** Known to be new; a duplicate among them undoes the commit. */
  fresh: readonly RowIn[]
  /** Stored already or not; what is stored stays. */
  late: readonly RowIn[]
  fills: readonly Fill[]
  /** One ledger row and its view ids each. */
  revisions: readonly (WindowRevision & { series: number })[]
  closed: readonly Closed[]
  due: readonly Due[]
  /** Applied before `due`. */
  settled: readonly Settled[]
  counters: readonly Count[]
}

/** What a runner needs to go on with a series after a restart. */
export interface SeriesState {
  series: number
  /** By window size in ms: closed through. */
  progress: ReadonlyMap<number, EpochMs>
  /** Raw rows of the open windows, ascending in (takenAt, sequence). */
  rows: readonly StoredReading[]
  /** More rows are stored behind the last one of `rows`: read on with `readings`. */
  truncated: boolean
  /** Highest stored event time; absent: no row. */
  highest?: EpochMs
}

export interface Sink {
  /** Numbers of the given sids; new ones are made. */
  series (names: readonly { sid: Sid, model: ModelKey, partition?: number }[]): Promise<ReadonlyMap<Sid, number>>
  /** Takes partitions over, once the commits of whoever had them have ended: to be asked before anything is read of them.
   *  @param token of the last time · @returns it, when they were all still read with it, else another one */
  own (topic: string, partitions: readonly number[], token: string | undefined): Promise<string>
  /** Next offset wanted, by partition; a partition without one begins at 0. */
  resumePoints (topic: string): Promise<ReadonlyMap<number, number>>
  states (series: readonly number[]): Promise<ReadonlyMap<number, SeriesState>>
  /** Series of these partitions that hold rows newer than their progress: they may have fallen silent before a restart. */
  openSeries (partitions: readonly number[]): Promise<readonly { series: number, sid: Sid, model: ModelKey }[]>
  /** Stored rows among the given keys. */
  existing (keys: readonly RowKey[]): Promise<readonly RowIn[]>
  /** Rows of [from, until), ascending in (takenAt, sequence). */
  readings (series: number, from: EpochMs, until: EpochMs, limit: number): Promise<readonly StoredReading[]>
  /** The newest `count` rows before `time`, ascending. */
  readingsBefore (series: number, time: EpochMs, count: number): Promise<readonly StoredReading[]>
  dueAmendments (now: EpochMs, partitions: readonly number[], limit: number): Promise<readonly DueAmendment[]>
  /** Latest revisions of all metrics of the given windows. */
  latestOfWindows (windows: readonly WindowKey[]): Promise<readonly (WindowRevision & { series: number })[]>
  sidsOf (series: readonly number[]): Promise<ReadonlyMap<number, { sid: Sid, model: ModelKey }>>
  /** @throws ServiceError STORE_CONFLICT when a row of `fresh` is stored already, or another process went on with a partition or as this writer */
  commit (commit: SeriesCommit): Promise<void>
}
