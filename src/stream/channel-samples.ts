/** One channel of a run of readings -> calibrated values with flags and calibration numbers, in arrays beside the readings. */

import type { Calibration } from '../model/calibration.ts'
import type { Channel } from '../model/device-model.ts'
import type { StoredReading } from '../model/reading.ts'
import { calibrate, calibrationSpan, type CalibrationSpan } from './calibrate.ts'
import { calibrationFlags, neighbourFlags, type Neighbours, ownFlags } from './plausibility.ts'

/** Entry i belongs to `readings[i]`. */
export interface ChannelSamples {
  channel: Channel
  /** In the channel's unit, not rounded; NaN: absent. */
  values: Float64Array
  flags: Int32Array
  /** Number of the calibration applied; 0: none. */
  calibrations: Int32Array
}

const ALWAYS_RAW: CalibrationSpan = { calibration: undefined, from: -Infinity, until: Infinity, isExpired: false }

/** @param readings ascending in (takenAt, sequence); @param position of the channel in the model; @param start first reading looked at, from 0 on.
 *  A value that its calibration cannot give (none in force where one is required, no finite result) is absent; nothing stands in for it. */
export function channelSamples (
  readings: readonly StoredReading[], start: number, { channel, position }: { channel: Channel, position: number }, calibrations: readonly Calibration[]
): ChannelSamples {
  const count = readings.length
  const samples = { channel, values: new Float64Array(count).fill(Number.NaN), flags: new Int32Array(count), calibrations: new Int32Array(count) }
  const neighbours: Neighbours = { before: undefined, equalCount: 1, againstCount: 0 }
  const isCalibrated = takesCalibration(channel, calibrations)
  const needsNeighbours = isCalibrated || channel.maxSlewPerSecond !== undefined || channel.flatLineCount !== undefined
  let span = isCalibrated ? undefined : ALWAYS_RAW
  for (let index = Math.max(0, start); index < count; index++) {
    const reading = readings[index]!
    const raw = reading.values[position]
    if (raw === undefined || (raw === 0 && channel.zeroMeans === 'no-reading')) continue
    if (span === undefined || reading.takenAt < span.from || reading.takenAt >= span.until) {
      span = calibrationSpan(calibrations, channel.metric, reading.takenAt)
    }
    const { calibration, isExpired } = span
    const value = calibration === undefined ? (channel.calibration === 'required' ? undefined : raw) : calibrate(raw, calibration)
    if (value === undefined) continue
    samples.values[index] = value
    let flags = ownFlags(channel, value, reading) | calibrationFlags(calibration, isExpired)
    if (needsNeighbours) flags |= neighbourFlags(channel, { takenAt: reading.takenAt, raw, value, calibration }, neighbours)
    samples.flags[index] = flags
    samples.calibrations[index] = calibration?.number ?? 0
  }
  return samples
}

/** A channel that the model says takes none stays raw, whatever is recorded. */
function takesCalibration (channel: Channel, calibrations: readonly Calibration[]): boolean {
  return channel.calibration === 'required' || (channel.calibration === 'optional' && calibrations.some(({ metric }) => metric === channel.metric))
}
