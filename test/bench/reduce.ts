/** Rounds → one figure and a verdict (performance.md §7). Pure. */

import type { Bar } from './bars.ts'

export interface Round {
  /** The limit before and after our stretches of this round. */
  limitBefore: number
  ours: readonly number[]
  limitAfter: number
  load1: number
}

export interface JudgedRound extends Round { ratio: number, accepted: boolean }

export type Verdict = 'pass' | 'short' | 'SHORT' | 'met' | 'open' | 'informative' | 'no-peer' | 'rejected' | `skipped: ${string}`

/** A round whose limit moved this much tells more of the machine than of us. */
const LIMIT_MOVES_MAX = 0.25
const ROUNDS_MIN = 3

export function judgeRound (round: Round): JudgedRound {
  const moved = Math.abs(round.limitAfter - round.limitBefore) / Math.max(round.limitBefore, round.limitAfter)
  const limit = (round.limitBefore + round.limitAfter) / 2
  return { ...round, ratio: mean(round.ours) / limit, accepted: moved < LIMIT_MOVES_MAX }
}

/** Median over the accepted rounds; `undefined`: fewer than three (two in a quick run) were accepted. */
export function medianRatio (rounds: readonly JudgedRound[], roundsMin = ROUNDS_MIN): number | undefined {
  const accepted = rounds.filter(round => round.accepted)
  return accepted.length < roundsMin ? undefined : median(accepted.map(round => round.ratio))
}

export function median (values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export function mean (values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

export function percentile (values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

/** @param figure the ratio or our own figure, as the bar says; `undefined`: too noisy to tell */
export function verdictOf (bar: Bar, figure: number | undefined): Verdict {
  if (figure === undefined) return 'rejected'
  if (bar.floor === undefined && bar.target === undefined) return 'informative'
  const reaches = (mark: number | undefined): boolean => mark !== undefined && (bar.better === 'higher' ? figure >= mark : figure <= mark)
  if (bar.raised) return reaches(bar.target) ? 'met' : 'open'
  if (reaches(bar.target)) return 'pass'
  return reaches(bar.floor) ? 'short' : 'SHORT'
}
