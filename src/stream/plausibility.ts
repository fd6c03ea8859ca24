/** A channel's samples in order -> soft flags of fhir-modelling.md §7. A flagged sample is kept; some flags exclude it from derived values. */

import { expectedDirection } from './calibrate.ts'
import type { Calibration } from '../model/calibration.ts'
import type { Channel, DeviceModel } from '../model/device-model.ts'
import { FLAG, type Reading } from '../model/reading.ts'
import { softLimitFlags } from '../model/soft-limits.ts'

const DISAGREEMENT_SAMPLES = 10

/** One sample of a channel as the neighbour checks see it; absent samples are left out. */
export interface JudgedSample {
  takenAt: number
  raw: number
  value: number
  calibration: Calibration | undefined
}

/** What one run of checks remembers of the samples before. */
export interface Neighbours {
  before: JudgedSample | undefined
  /** Samples in a row, this one included, with the same raw value. */
  equalCount: number
  /** Samples in a row, this one included, over which value and raw signal moved against expectation; 0: none. */
  againstCount: number
}

/** Enough to find the last usable sample before a window where it lies near enough to count. */
const BEFORE_COUNT = 8

/** Earlier readings that a window needs so that its flags, and those of the sample before it, do not depend on where it begins. */
export function lookbackCount (model: Pick<DeviceModel, 'channels'>): number {
  return Math.max(...model.channels.map(channelLookback))
}

export function channelLookback (channel: Channel): number {
  const forSigns = channel.calibration === 'none' ? 0 : DISAGREEMENT_SAMPLES
  return Math.max(forSigns, channel.flatLineCount ?? 0, channel.maxSlewPerSecond === undefined ? 0 : 1) + BEFORE_COUNT
}

/** Flags that follow from the sample alone. The door's bits are of the whole reading, so only those that concern every channel are taken over;
 *  a value that calibration carried outside the technical range stays visible as `range-soft`. */
export function ownFlags (channel: Channel, value: number, reading: Reading): number {
  let flags = softLimitFlags(channel, value) | (reading.flags & (FLAG['quality-unknown'] | FLAG['firmware-unknown']))
  if (reading.quality === undefined) flags |= reading.flags & FLAG['low-quality']
  else if (channel.minimumQuality !== undefined && reading.quality < channel.minimumQuality) flags |= FLAG['low-quality']
  if (channel.kind === 'tissue-o2-relative-index') flags |= reading.flags & FLAG['reference-stale']
  if (value < channel.technicalRange.low || value > channel.technicalRange.high) flags |= FLAG['range-soft']
  return flags
}

/** `calibration-stale`: the version in force is not `calibrated`, or none is any more although one was. */
export function calibrationFlags (calibration: Calibration | undefined, isExpired: boolean): number {
  return isExpired || (calibration !== undefined && calibration.state !== 'calibrated') ? FLAG['calibration-stale'] : 0
}

/** Flags that need the samples before; takes `neighbours` one sample further. Samples ascending in (takenAt, sequence). */
export function neighbourFlags (channel: Channel, sample: JudgedSample, neighbours: Neighbours): number {
  const before = neighbours.before
  neighbours.before = sample
  if (before === undefined) return 0
  let flags = 0
  if (channel.maxSlewPerSecond !== undefined && isTooSteep(channel, before, sample)) flags |= FLAG.slew
  neighbours.equalCount = before.raw === sample.raw ? neighbours.equalCount + 1 : 1
  if (channel.flatLineCount !== undefined && neighbours.equalCount >= channel.flatLineCount) flags |= FLAG['flat-line']
  neighbours.againstCount = movesAgainst(before, sample) ? Math.max(neighbours.againstCount, 1) + 1 : 0
  if (neighbours.againstCount >= DISAGREEMENT_SAMPLES) flags |= FLAG['sign-disagreement']
  return flags
}

/** The step is measured over at least one sample period: times that bunch on their way here do not make a step steeper. */
function isTooSteep (channel: Channel, before: JudgedSample, sample: JudgedSample): boolean {
  const seconds = Math.max(sample.takenAt - before.takenAt, channel.periodMs) / 1000
  return Math.abs(sample.value - before.value) > channel.maxSlewPerSecond! * seconds
}

function movesAgainst (before: JudgedSample, sample: JudgedSample): boolean {
  const { calibration } = sample
  if (calibration === undefined || calibration !== before.calibration) return false
  return (sample.value - before.value) * (sample.raw - before.raw) * expectedDirection(calibration) < 0
}
