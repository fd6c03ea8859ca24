/** The operators of the stream in their order, with their settings -> the digest that every derived point carries. */

import { hash } from 'node:crypto'

/** A change of what an operator computes raises its version, so that points made before and after can be told apart. */
export const OPERATORS = [
  'deduplicate@1', 'calibrate@1', 'plausibility@1', 'window@1', 'sample-grid@1', 'window-statistics@1', 'tod@1', 'last-value@1', 'format-number@1'
] as const

/** Settings that change results; durations in ms. */
export interface DagSettings {
  windowMs: number
  windowSizes: Readonly<Record<string, number>>
  latenessMs: number
  silenceMs: number
  deficits: readonly { metric: string, threshold: number, maxGapMs?: number }[]
}

/** `sha256:` and 64 hex digits; independent of the order in which settings were written down. */
export function dagDigest (settings: DagSettings): string {
  const { windowMs, latenessMs, silenceMs } = settings
  const windowSizes = Object.entries(settings.windowSizes).sort(([a], [b]) => (a < b ? -1 : 1))
  const deficits = settings.deficits.map(({ metric, threshold, maxGapMs }) => [metric, threshold, maxGapMs ?? null]).sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1))
  return `sha256:${hash('sha256', JSON.stringify({ operators: OPERATORS, windowMs, windowSizes, latenessMs, silenceMs, deficits }))}`
}
