/** Raw value and versioned coefficients -> the metric's value; which version is in force at a time. */

import type { Calibration, CalibrationAt } from '../model/calibration.ts'
import type { EpochMs } from '../model/units.ts'

/** `undefined`: a coefficient is missing or the result is not finite, so there is no value. */
export function calibrate (raw: number, { kind, coefficients }: Calibration): number | undefined {
  let value: number | undefined
  if (kind === 'offset') value = coefficients['offset'] === undefined ? undefined : raw + coefficients['offset']
  else if (kind === 'gain') value = coefficients['gain'] === undefined ? undefined : raw * coefficients['gain'] + (coefficients['offset'] ?? 0)
  else if (kind === 'polynomial') value = polynomial(raw, coefficients)
  else value = sternVolmer(raw, coefficients)
  return value !== undefined && Number.isFinite(value) ? value : undefined
}

/** 1 where a value should rise with its raw signal, −1 where it should fall (Stern-Volmer: more oxygen, shorter life time). */
export function expectedDirection ({ kind }: Calibration): 1 | -1 {
  return kind === 'stern-volmer' ? -1 : 1
}

export function calibrationAt (calibrations: readonly Calibration[]): CalibrationAt {
  return (metric, takenAt) => calibrationSpan(calibrations, metric, takenAt).calibration
}

export interface CalibrationSpan {
  calibration: Calibration | undefined
  /** Half-open period around the time asked for over which this answer stays the same. */
  from: number
  until: number
  /** None is in force, but one was before. */
  isExpired: boolean
}

/** In force at `takenAt`: the highest number whose [from, until) covers it. Calibrations in any order. */
export function calibrationSpan (calibrations: readonly Calibration[], metric: string, takenAt: EpochMs): CalibrationSpan {
  let best: Calibration | undefined
  let isExpired = false
  for (const one of calibrations) {
    if (one.metric !== metric || takenAt < one.from) continue
    if (one.until !== undefined && takenAt >= one.until) isExpired = true
    else if (best === undefined || one.number > best.number) best = one
  }
  let from = -Infinity
  let until = Infinity
  for (const one of calibrations) {
    if (one.metric !== metric || (best !== undefined && one.number < best.number)) continue
    for (const edge of [one.from, one.until]) {
      if (edge === undefined) continue
      if (edge <= takenAt) from = Math.max(from, edge)
      else until = Math.min(until, edge)
    }
  }
  return { calibration: best, from, until, isExpired: best === undefined && isExpired }
}

function polynomial (raw: number, coefficients: Calibration['coefficients']): number | undefined {
  let value: number | undefined
  for (let power = 9; power >= 0; power--) {
    const coefficient = coefficients[`c${power}`]
    if (value !== undefined) value = value * raw + (coefficient ?? 0)
    else if (coefficient !== undefined) value = coefficient
  }
  return value
}

function sternVolmer (tau: number, coefficients: Calibration['coefficients']): number | undefined {
  const tau0 = coefficients['tau0']
  const quenching = coefficients['Ksv']
  return tau0 === undefined || quenching === undefined ? undefined : (tau0 / tau - 1) / quenching
}
