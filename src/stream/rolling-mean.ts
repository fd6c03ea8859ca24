/** Readings one after the other -> sliding mean over (t − span, t] of event time, for rules and dashboard; no Observation (fhir-modelling.md §5). */

import { COVERAGE_MIN } from './window-statistics.ts'

export interface RollingOptions {
  spanMs: number
  /** Nominal sample period: the mean needs 80 % of the samples that the span should hold. */
  periodMs: number
}

export interface RollingSample {
  takenAt: number
  sequence: number
  /** Usable values only. */
  value: number
}

/** Usable samples of the span that ends at the newest one, ascending in (takenAt, sequence). */
export type RollingState = readonly RollingSample[]

export const NO_SAMPLES: RollingState = []

/** The state one sample further; a late sample takes its place, one older than the span or already there changes nothing. */
export function addRollingSample (state: RollingState, sample: RollingSample, { spanMs }: RollingOptions): RollingState {
  const newest = state.at(-1)
  const end = newest === undefined ? sample.takenAt : Math.max(newest.takenAt, sample.takenAt)
  if (sample.takenAt <= end - spanMs) return state
  let place = state.length
  while (place > 0 && compare(state[place - 1]!, sample) > 0) place--
  if (place > 0 && compare(state[place - 1]!, sample) === 0) return state
  let first = 0
  while (first < place && state[first]!.takenAt <= end - spanMs) first++
  return [...state.slice(first, place), sample, ...state.slice(place)]
}

/** Mean over (end − span, end]. `undefined` without samples or below 80 % coverage: no data is not zero oxygen. */
export function rollingMean (state: RollingState, end: number, { spanMs, periodMs }: RollingOptions): number | undefined {
  let sum = 0
  let count = 0
  for (const { takenAt, value } of state) {
    if (takenAt <= end - spanMs || takenAt > end) continue
    sum += value
    count++
  }
  return count === 0 || count / Math.max(1, Math.round(spanMs / periodMs)) < COVERAGE_MIN ? undefined : sum / count
}

function compare (a: RollingSample, b: RollingSample): number { return a.takenAt - b.takenAt || a.sequence - b.sequence }
