/** What the runner keeps in memory of one series: the readings of its open windows and how far its windows are closed. */

import type { DeviceModel } from '../model/device-model.ts'
import type { SidContext } from '../model/identity.ts'
import type { Sid, StoredReading } from '../model/reading.ts'
import { type EpochMs, epochMs } from '../model/units.ts'
import { compareIdentity } from './deduplicate.ts'

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
  /** Ascending in (takenAt, sequence): every stored reading from `completeFrom` on, and some earlier ones as look-back. */
  readings: StoredReading[]
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

/** Position of the first reading at or after (takenAt, sequence). */
export function lowerBound (readings: readonly StoredReading[], takenAt: number, sequence = -Infinity): number {
  let low = 0
  let high = readings.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const reading = readings[middle]!
    if (reading.takenAt < takenAt || (reading.takenAt === takenAt && reading.sequence < sequence)) low = middle + 1
    else high = middle
  }
  return low
}

/** The reading with this identity, if memory holds it. */
export function findReading (open: OpenSeries, takenAt: EpochMs, sequence: number): StoredReading | undefined {
  const last = open.readings.at(-1)
  if (last === undefined || last.takenAt < takenAt) return undefined
  const candidate = open.readings[lowerBound(open.readings, takenAt, sequence)]
  return candidate !== undefined && candidate.takenAt === takenAt && candidate.sequence === sequence ? candidate : undefined
}

export function insertReading (open: OpenSeries, reading: StoredReading): void {
  const last = open.readings.at(-1)
  // A literal holds just one: pushing to an empty array would keep room for seventeen, in each of many thousand series.
  if (last === undefined) open.readings = [reading]
  else if (compareIdentity(last, reading) < 0) open.readings.push(reading)
  else open.readings.splice(lowerBound(open.readings, reading.takenAt, reading.sequence), 0, reading)
  if (reading.takenAt > open.newest) open.newest = reading.takenAt
}

/** Drops what no open window needs any more, but for `lookBack` readings before them. */
export function forgetClosed (open: OpenSeries, lookBack: number): void {
  const from = lowerBound(open.readings, completeFrom(open)) - lookBack
  if (from > 0) open.readings = open.readings.slice(from)
}

/** Latest event time whose windows may close: newest − lateness, or with the clock once the series is silent (§2.2). */
export function watermarkOf (open: OpenSeries, now: EpochMs, latenessMs: number, silenceMs: number): EpochMs {
  const byEvent = open.newest - latenessMs
  const isSilent = now - open.lastArrival >= silenceMs
  return epochMs(isSilent ? Math.max(byEvent, now - latenessMs) : byEvent)
}
