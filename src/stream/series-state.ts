/** What the runner keeps in memory of one series: the readings of its open windows and how far its windows are closed. */

import type { DeviceModel } from '../model/device-model.ts'
import type { SidContext } from '../model/identity.ts'
import type { Sid, StoredReading } from '../model/reading.ts'
import { type EpochMs, epochMs } from '../model/units.ts'
import type { OpenReadings } from './open-readings.ts'

/** Channels whose windows have one size. */
export interface WindowGroup {
  sizeMs: number
  /** Channel positions. */
  channels: readonly number[]
  /** Panel, SpO2, battery and signal quality stand in the group of the default size. */
  withPanel: boolean
  /** All windows ending at or before it are closed. */
  closedThrough: EpochMs
}

export interface OpenSeries {
  readonly sid: Sid
  readonly series: number
  readonly partition: number
  context: SidContext
  readonly model: DeviceModel
  readonly groups: WindowGroup[]
  /** Every stored reading from `completeFrom` on, and some earlier ones as look-back. */
  readonly readings: OpenReadings
  /** Newest event time seen; -Infinity: none. */
  newest: number
  /** Clock time of the last arrival. */
  lastArrival: EpochMs
}

/** From here on memory holds every stored reading: what is not in it is new. */
export function completeFrom (open: OpenSeries): number {
  let least = Infinity
  for (const group of open.groups) least = Math.min(least, group.closedThrough)
  return least
}

export function insertReading (open: OpenSeries, reading: StoredReading): void {
  open.readings.put(reading)
  if (reading.takenAt > open.newest) open.newest = reading.takenAt
}

/** Drops what no open window needs any more, but for `lookBack` readings before them. */
export function forgetClosed (open: OpenSeries, lookBack: number): void {
  const from = open.readings.lowerBound(completeFrom(open)) - lookBack
  if (from > 0) open.readings.drop(from)
}

/** Latest event time whose windows may close: newest − lateness, or with the clock once the series is silent (§2.2). */
export function watermarkOf (open: OpenSeries, now: EpochMs, latenessMs: number, silenceMs: number): EpochMs {
  const byEvent = open.newest - latenessMs
  const isSilent = now - open.lastArrival >= silenceMs
  return epochMs(isSilent ? Math.max(byEvent, now - latenessMs) : byEvent)
}
