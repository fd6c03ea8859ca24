/** Usable samples in and around a window and a threshold -> tissue oxygen deficit `tod-1` (fhir-modelling.md §5.1). */

import type { Deficit } from '../model/window.ts'
import { COVERAGE_MIN } from './window-statistics.ts'
import type { Span } from './window.ts'

/** Of one metric, from signed configuration. */
export interface DeficitSetting {
  /** θ > 0 in the metric's unit. */
  threshold: number
  /** Longest segment that counts; absent: three sample periods. */
  maxGapMs?: number
}

/** θ and G. */
export type DeficitLimits = Pick<Deficit, 'threshold' | 'maxGapMs'>

const MS_PER_MINUTE = 60_000

/** @param times ms, ascending, with the last usable sample before the window and the first at or after its end where they exist.
 *  @param values one for each time. Gives fractions 0..1 for coverage, index and timeFraction, dose in unit × minutes.
 *  Below 80 % coverage only threshold, gap and coverage: a nadir of a badly covered window could pass for its true lowest point. */
export function oxygenDeficit (times: readonly number[], values: readonly number[], window: Span, { threshold, maxGapMs }: DeficitLimits): Deficit {
  let areaMs = 0
  let belowMs = 0
  let countedMs = 0
  let nadir = Infinity
  for (let index = 0; index < times.length; index++) {
    const right = times[index]!
    if (right >= window.from && right < window.until) nadir = Math.min(nadir, values[index]!)
    if (index === 0 || right - times[index - 1]! > maxGapMs) continue
    const left = times[index - 1]!
    const clippedLeft = Math.max(left, window.from)
    const clippedRight = Math.min(right, window.until)
    const length = clippedRight - clippedLeft
    if (length <= 0) continue
    const slope = (values[index]! - values[index - 1]!) / (right - left)
    const depthLeft = threshold - (values[index - 1]! + slope * (clippedLeft - left))
    const depthRight = threshold - (values[index]! - slope * (right - clippedRight))
    countedMs += length
    areaMs += areaBelow(depthLeft, depthRight, length)
    belowMs += timeBelow(depthLeft, depthRight, length)
  }
  const coverage = countedMs / (window.until - window.from)
  const deficit: Deficit = { threshold, maxGapMs, coverage }
  if (coverage < COVERAGE_MIN) return deficit
  deficit.meanDepth = areaMs / countedMs
  deficit.dose = areaMs / MS_PER_MINUTE
  deficit.index = deficit.meanDepth / threshold
  deficit.timeFraction = belowMs / countedMs
  if (nadir !== Infinity) deficit.nadir = nadir
  return deficit
}

/** The rows of the table in §5.1, from top to bottom. */
function areaBelow (left: number, right: number, length: number): number {
  if (left >= 0 && right >= 0) return (left + right) * length / 2
  if (left > 0) return left * left * length / (2 * (left - right))
  if (right > 0) return right * right * length / (2 * (right - left))
  return 0
}

function timeBelow (left: number, right: number, length: number): number {
  if (left >= 0 && right >= 0) return left > 0 || right > 0 ? length : 0
  if (left > 0) return left * length / (left - right)
  if (right > 0) return right * length / (right - left)
  return 0
}
