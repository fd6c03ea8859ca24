/** Arithmetic of tumbling windows: time and size -> which window, how it is clipped, what it should hold (fhir-modelling.md §2.2). */

import { type EpochMs, epochMs } from '../model/units.ts'

/** Half-open. */
export interface Span { from: EpochMs, until: EpochMs }

/** Start of the grid window that holds `time`: a multiple of `sizeMs` since 1970. */
export function windowStartOf (time: EpochMs, sizeMs: number): EpochMs {
  return epochMs(Math.floor(time / sizeMs) * sizeMs)
}

/** The window within the association's half-open period; `undefined` where they do not meet. */
export function clipWindow (windowStart: EpochMs, sizeMs: number, valid: { validFrom: EpochMs, validUntil?: EpochMs }): Span | undefined {
  const from = Math.max(windowStart, valid.validFrom)
  const until = Math.min(windowStart + sizeMs, valid.validUntil ?? Infinity)
  return from < until ? { from: epochMs(from), until: epochMs(until) } : undefined
}

/** Samples a (clipped) window should hold at the nominal period; at least 1. */
export function expectedCount ({ from, until }: Span, periodMs: number): number {
  return Math.max(1, Math.round((until - from) / periodMs))
}
