/** Points of one curve → a small inline SVG picture; a gap in the data is a gap in the line. */

import type { EpochMs } from '../model/units.ts'
import { escapeHtml } from './html.ts'

/** Without a value: nothing was measured at that time. */
export interface CurvePoint { at: EpochMs, value: number | undefined }

export interface SparklineOptions {
  /** What a screen reader says. */
  label: string
  /** Two points further apart than this are not joined, ms. Default 10 s. */
  gapMs?: number
}

export const SPARKLINE_WIDTH = 300
export const SPARKLINE_HEIGHT = 72
const MARGIN = 6
const GAP_MS = 10_000

interface Range { low: number, high: number }

/** @param points ascending in `at`; none or only gaps give a picture without a line */
export function sparkline (points: readonly CurvePoint[], { label, gapMs = GAP_MS }: SparklineOptions): string {
  const open = `<svg class="curve" viewBox="0 0 ${SPARKLINE_WIDTH} ${SPARKLINE_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${escapeHtml(label)}">`
  const runs = runsOf(points, gapMs)
  const values = runs.flat().map(({ value }) => value)
  if (values.length === 0) return `${open}</svg>`
  const times = { low: points[0]!.at, high: points.at(-1)!.at }
  const range = rangeOf(values)
  const place = ({ at, value }: Measured): string => `${round(across(at, times))} ${round(up(value, range))}`
  const lines = runs.map(run => `M${run.map(place).join('L')}${run.length === 1 ? 'h0' : ''}`).join('')
  const areas = runs.filter(run => run.length > 1)
    .map(run => `M${round(across(run[0]!.at, times))} ${SPARKLINE_HEIGHT}L${run.map(place).join('L')}V${SPARKLINE_HEIGHT}Z`).join('')
  const newest = runs.at(-1)!.at(-1)!
  return [
    open,
    areas === '' ? '' : `<path class="area" d="${areas}"/>`,
    `<path class="line" d="${lines}" vector-effect="non-scaling-stroke"/>`,
    // A line of no length with round ends stays round however the picture is stretched.
    `<path class="newest" d="M${place(newest)}h0" vector-effect="non-scaling-stroke"/>`,
    '</svg>'
  ].join('')
}

interface Measured { at: EpochMs, value: number }

/** Stretches without a gap, in order. */
function runsOf (points: readonly CurvePoint[], gapMs: number): Measured[][] {
  const runs: Measured[][] = []
  let previous: Measured | undefined
  for (const { at, value } of points) {
    if (value === undefined || !Number.isFinite(value)) { previous = undefined; continue }
    const point = { at, value }
    if (previous === undefined || at - previous.at > gapMs) runs.push([point])
    else runs.at(-1)!.push(point)
    previous = point
  }
  return runs
}

/** A flat curve lies in the middle. */
function rangeOf (values: readonly number[]): Range {
  let [low, high] = [Infinity, -Infinity]
  for (const value of values) {
    low = Math.min(low, value)
    high = Math.max(high, value)
  }
  return low === high ? { low: low - 1, high: high + 1 } : { low, high }
}

function across (at: number, { low, high }: Range): number {
  return high === low ? SPARKLINE_WIDTH - MARGIN : MARGIN + (at - low) / (high - low) * (SPARKLINE_WIDTH - 2 * MARGIN)
}

function up (value: number, { low, high }: Range): number {
  return SPARKLINE_HEIGHT - MARGIN - (value - low) / (high - low) * (SPARKLINE_HEIGHT - 2 * MARGIN)
}

function round (value: number): number { return Math.round(value * 10) / 10 }
