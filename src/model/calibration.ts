/** Versioned coefficients that turn a raw channel value into the metric's value. */

import type { EpochMs } from './units.ts'

/** Coefficients by model, as named in `calibration-record`:
 *  offset {offset} · gain {gain, offset?} · polynomial {c0, c1, … c9} · stern-volmer {tau0, Ksv} (pO2 = (tau0/tau − 1) / Ksv). */
export type CalibrationKind = 'offset' | 'gain' | 'polynomial' | 'stern-volmer'

export interface Calibration {
  /** Number in the linkage store: the only name the series store may know (the version text may hold a serial number). */
  number: number
  metric: string
  kind: CalibrationKind
  coefficients: Readonly<Record<string, number>>
  /** Half-open [from, until); `until` absent: open. */
  from: EpochMs
  until?: EpochMs
  /** `calibrated` or anything else (DeviceMetric.calibration.state): other states flag `calibration-stale`. */
  state: 'calibrated' | 'not-calibrated' | 'calibration-required' | 'unspecified'
}

/** In force at `takenAt`: the newest recorded version (highest number) whose period covers it; `undefined` when none does. */
export type CalibrationAt = (metric: string, takenAt: EpochMs) => Calibration | undefined
