/** Usable samples of one window -> count, coverage, mean, extremes, rate of change (fhir-modelling.md §5). */

import type { WindowStatistics } from '../model/window.ts'

/** Mean, rate, deficit and rolling mean are published from this coverage on. */
export const COVERAGE_MIN = 0.8
const RATE_SAMPLES_MIN = 5
const MS_PER_MINUTE = 60_000

/** @param times ms, ascending; @param values one for each time; both only usable samples of the window.
 *  Nothing is rounded. Mean and rate are absent below 80 % coverage, the rate also below 5 samples or when all stand at one time. */
export function windowStatistics (times: readonly number[], values: readonly number[], expectedCount: number): WindowStatistics {
  const sampleCount = values.length
  const statistics: WindowStatistics = { sampleCount, expectedCount, coverage: Math.min(1, sampleCount / expectedCount) }
  if (sampleCount === 0) return statistics
  let minimum = Infinity
  let maximum = -Infinity
  // Summed as distances from the first sample: small numbers, so that a steady value has exactly itself as mean.
  let sum = 0
  let timeSum = 0
  const origin = times[0]!
  const level = values[0]!
  for (let index = 0; index < sampleCount; index++) {
    const value = values[index]!
    if (value < minimum) minimum = value
    if (value > maximum) maximum = value
    sum += value - level
    timeSum += times[index]! - origin
  }
  statistics.minimum = minimum
  statistics.maximum = maximum
  if (statistics.coverage < COVERAGE_MIN) return statistics
  const mean = level + sum / sampleCount
  statistics.mean = mean
  if (sampleCount >= RATE_SAMPLES_MIN) addRate(statistics, times, values, { mean, meanTime: timeSum / sampleCount })
  return statistics
}

function addRate (statistics: WindowStatistics, times: readonly number[], values: readonly number[], { mean, meanTime }: { mean: number, meanTime: number }): void {
  const origin = times[0]! + meanTime
  let spread = 0
  let product = 0
  for (let index = 0; index < values.length; index++) {
    const time = times[index]! - origin
    spread += time * time
    product += time * (values[index]! - mean)
  }
  if (spread === 0) return
  const slope = product / spread
  let squares = 0
  for (let index = 0; index < values.length; index++) {
    const residual = values[index]! - mean - slope * (times[index]! - origin)
    squares += residual * residual
  }
  statistics.ratePerMinute = slope * MS_PER_MINUTE
  statistics.residualSd = Math.sqrt(squares / (values.length - 2))
}
