/** Measured bars → fixed-column lines and one JSON object (performance.md §8). */

import type { Bar } from './bars.ts'
import { type JudgedRound, type Verdict, verdictOf } from './reduce.ts'

export interface Against { kind: 'limit' | 'self' | 'peer' | 'none', name: string, value?: number }

/** What one bar's measurement gives; `figures` stand beside it in the JSON file. */
export interface Measured {
  ours?: number
  against: Against
  /** `undefined`: rejected as too noisy, or nothing stands against it. */
  ratio?: number
  /** Measured and thrown away as too noisy. */
  rejected?: boolean
  /** Said in the line, for example which parts were not on. */
  note?: string
  rounds?: readonly JudgedRound[]
  cpuUsPerUnit?: Readonly<Record<string, number>>
  latencyMs?: Readonly<Record<string, number>>
  counts?: Readonly<Record<string, number>>
  conditions?: Readonly<Record<string, unknown>>
}

export interface BarResult extends Measured {
  id: string
  name: string
  unit: string
  floor?: number
  target?: number
  better: 'higher' | 'lower'
  verdict: Verdict
}

export function resultOf (bar: Bar, measured: Measured): BarResult {
  const figure = measured.rejected === true ? undefined : bar.judged === 'ours' ? measured.ours : measured.ratio
  const { id, name, unit, floor, target, better } = bar
  return { id, name, unit, ...(floor === undefined ? {} : { floor }), ...(target === undefined ? {} : { target }), better, ...measured, verdict: verdictOf(bar, figure) }
}

export function skippedResult (bar: Bar, why: string): BarResult {
  const { id, name, unit, floor, target, better } = bar
  return { id, name, unit, ...(floor === undefined ? {} : { floor }), ...(target === undefined ? {} : { target }), better, against: { kind: 'none', name: '-' }, verdict: `skipped: ${why}` }
}

const WIDTHS = [6, 39, 18, 38, 8, 8, 8, 0]

export const HEAD = line(['bar', 'name', 'ours', 'against', 'ratio', 'floor', 'target', 'verdict'])

export function lineOf (result: BarResult): string {
  const ours = result.ours === undefined ? '-' : `${shown(result.ours)} ${result.unit}`
  const against = result.against.value === undefined ? result.against.name : `${result.against.name} ${shown(result.against.value)}`
  const verdict = result.note === undefined ? result.verdict : `${result.verdict} (${result.note})`
  return line([result.id, result.name, ours, against, plain(result.ratio), plain(result.floor), plain(result.target), verdict])
}

function line (cells: readonly string[]): string {
  return cells.map((cell, index) => index === cells.length - 1 ? cell : `${cell.padEnd(WIDTHS[index]!)} `).join('')
}

function shown (value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en-US')
  return String(Number(value.toPrecision(4)))
}

function plain (value: number | undefined): string {
  return value === undefined ? '-' : String(Number(value.toPrecision(3)))
}

/** Ratios of two result files side by side; a change above a tenth is flagged. */
export function compareResults (before: readonly BarResult[], after: readonly BarResult[]): string[] {
  const old = new Map(before.map(result => [result.id, figureOf(result)]))
  return after.map(result => {
    const [was, is] = [old.get(result.id), figureOf(result)]
    if (was === undefined || is === undefined) return line([result.id, result.name, plain(was), plain(is), '', '', '', ''])
    const change = was === 0 ? 0 : is / was - 1
    return line([result.id, result.name, plain(was), plain(is), `${(100 * change).toFixed(1)} %`, '', '', Math.abs(change) > 0.1 ? 'changed' : ''])
  })
}

function figureOf (result: BarResult): number | undefined { return result.ratio ?? result.ours }
