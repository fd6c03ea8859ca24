/** Times of a window's readings and a nominal period -> the grid of SampledData, or none that fits (fhir-modelling.md §2.3).
 *  All arithmetic is on whole hundredths of a millisecond, so that edges and ties are exact. */

import type { SampledForm } from '../model/window.ts'
import { type EpochMs, epochMs } from '../model/units.ts'
import type { Span } from './window.ts'

export interface SampleGrid {
  /** Time of the first token, whole ms. */
  gridStart: EpochMs
  /** ms, at most two decimals. */
  periodMs: number
  tokenCount: number
  /** Slot of each reading, counted from the first token, ascending. */
  slots: readonly number[]
}

const PARTS_PER_MS = 100
const OWN_PERIOD_SAMPLES_MIN = 10
const OWN_PERIOD_DEVIATION_MAX = 0.05

/** Tries the nominal period, then the window's own. `undefined`: neither fits, or there is no reading.
 *  @param times of the readings with a value, ascending, all inside `window` (already clipped). */
export function fitSampleGrid (times: readonly number[], window: Span, periodMs: number): SampleGrid | undefined {
  if (times.length === 0) return undefined
  const grid = fitPeriod(times, window, Math.round(periodMs * PARTS_PER_MS))
  if (grid !== undefined) return grid
  const own = ownPeriod(times, periodMs)
  return own === undefined ? undefined : fitPeriod(times, window, own)
}

/** SampledData text: each reading's text in its slot, `E` in every other. */
export function encodeSamples (grid: SampleGrid, texts: readonly string[]): SampledForm {
  let data = ''
  let next = 0
  for (let slot = 0; slot < grid.tokenCount; slot++) {
    if (slot > 0) data += ' '
    data += grid.slots[next] === slot ? texts[next++]! : 'E'
  }
  return { form: 'sampled', gridStart: grid.gridStart, periodMs: grid.periodMs, tokenCount: grid.tokenCount, data }
}

/** One entry per token, ascending: its time to whole ms, and its value or `undefined` for an empty slot. */
export function decodeSamples ({ gridStart, periodMs, data }: SampledForm): { takenAt: EpochMs, value: number | undefined }[] {
  return data.split(' ').map((token, slot) => ({
    takenAt: epochMs(gridStart + Math.round(slot * periodMs)),
    value: token === 'E' ? undefined : Number(token)
  }))
}

/** `effectivePeriod.end`: FHIR takes it as the end of the last sample's slot. */
export function gridEnd ({ gridStart, periodMs, tokenCount }: Pick<SampledForm, 'gridStart' | 'periodMs' | 'tokenCount'>): EpochMs {
  return epochMs(gridStart + Math.round(tokenCount * periodMs))
}

/** Least-squares slope of time over sample number, in hundredths of a ms; `undefined`: too few samples or too far from nominal. */
function ownPeriod (times: readonly number[], periodMs: number): number | undefined {
  if (times.length < OWN_PERIOD_SAMPLES_MIN) return undefined
  const numbers = [0]
  let numberSum = 0
  let timeSum = 0
  for (let index = 1; index < times.length; index++) {
    const number = numbers[index - 1]! + Math.max(1, Math.round((times[index]! - times[index - 1]!) / periodMs))
    numbers.push(number)
    numberSum += number
    timeSum += times[index]! - times[0]!
  }
  const meanNumber = numberSum / times.length
  const meanTime = timeSum / times.length
  let spread = 0
  let product = 0
  for (let index = 0; index < times.length; index++) {
    const distance = numbers[index]! - meanNumber
    spread += distance * distance
    product += distance * (times[index]! - times[0]! - meanTime)
  }
  const own = Math.round(product / spread * PARTS_PER_MS)
  return Math.abs(own / PARTS_PER_MS - periodMs) <= OWN_PERIOD_DEVIATION_MAX * periodMs ? own : undefined
}

function fitPeriod (times: readonly number[], window: Span, period: number): SampleGrid | undefined {
  const phase = circularMedian(times, window.from, period) * PARTS_PER_MS
  const slots: number[] = []
  for (let index = 0; index < times.length; index++) {
    const slot = Math.floor(((times[index]! - window.from) * PARTS_PER_MS - phase + period / 2) / period)
    if (index > 0 && slot <= slots[index - 1]!) return undefined
    // Two readings closer than 1.5 periods must be neighbours, the one after the next therefore further away.
    if (index > 0 && slot > slots[index - 1]! + 1 && isNear(times[index]! - times[index - 1]!, period)) return undefined
    if (index > 1 && isNear(times[index]! - times[index - 2]!, period)) return undefined
    slots.push(slot)
  }
  const length = (window.until - window.from) * PARTS_PER_MS
  const firstInner = Math.ceil((period / 2 - phase) / period)
  const lastInner = Math.floor((length - period / 2 - phase) / period)
  const first = Math.min(firstInner, slots[0]!)
  const last = Math.max(lastInner, slots[slots.length - 1]!)
  if (first !== 0) for (let index = 0; index < slots.length; index++) slots[index]! -= first
  return {
    gridStart: epochMs(window.from + Math.round((phase + first * period) / PARTS_PER_MS)),
    periodMs: period / PARTS_PER_MS,
    tokenCount: last - first + 1,
    slots
  }
}

function isNear (distanceMs: number, period: number): boolean { return distanceMs * PARTS_PER_MS * 2 < period * 3 }

/** Of the phases of all readings within the period, in whole ms: the circle is cut at its widest empty arc (the earliest of several),
 *  then the median is taken, the middle of the two middle ones for an even count. */
function circularMedian (times: readonly number[], from: number, period: number): number {
  const phases = times.map((time) => ((time - from) * PARTS_PER_MS) % period)
  const one = phases[0]!
  if (phases.every((phase) => phase === one)) return Math.round(one / PARTS_PER_MS)
  const sorted = Float64Array.from(phases).sort()
  const count = sorted.length
  let cut = 0
  let widest = sorted[0]! + period - sorted[count - 1]!
  for (let index = 1; index < count; index++) {
    const gap = sorted[index]! - sorted[index - 1]!
    if (gap > widest) { widest = gap; cut = index }
  }
  const at = (rank: number) => sorted[(cut + rank) % count]! + (cut + rank >= count ? period : 0)
  const middle = (at((count - 1) >> 1) + at(count >> 1)) / 2
  return Math.round((middle % period) / PARTS_PER_MS)
}
