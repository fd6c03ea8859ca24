/** Half-open periods [from, until): arithmetic of association periods, and their text form as PostgreSQL `tstzrange`. */

import { instant } from '../../model/identifier.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'

/** `until` absent: open. An empty period is `undefined`, never a Span. */
export interface Span { from: EpochMs, until?: EpochMs }

export function span (from: EpochMs, until: EpochMs | undefined): Span {
  return until === undefined ? { from } : { from, until }
}

export function covers (period: Span, time: EpochMs): boolean {
  return time >= period.from && (period.until === undefined || time < period.until)
}

/** What both have; `undefined` when they do not touch. */
export function intersect (one: Span, other: Span): Span | undefined {
  const from = one.from > other.from ? one.from : other.from
  const until = earlier(one.until, other.until)
  return until !== undefined && until <= from ? undefined : span(from, until)
}

/** What `whole` has and `part` has not, ascending: at most two periods. */
export function subtract (whole: Span | undefined, part: Span | undefined): Span[] {
  if (whole === undefined) return []
  const common = part === undefined ? undefined : intersect(whole, part)
  if (common === undefined) return [whole]
  const left: Span[] = []
  if (common.from > whole.from) left.push({ from: whole.from, until: common.from })
  if (common.until !== undefined && (whole.until === undefined || common.until < whole.until)) left.push(span(common.until, whole.until))
  return left
}

/** Text of a `tstzrange`; `undefined` gives the empty range. */
export function toRange (period: Span | undefined): string {
  if (period === undefined) return 'empty'
  return `["${instant(period.from)}",${period.until === undefined ? '' : `"${instant(period.until)}"`})`
}

/** From the columns of {@link rangeColumns}; a range without a lower bound is empty here, since none is ever written. */
export function fromRange (lower: number | null, upper: number | null): Span | undefined {
  return lower === null ? undefined : span(epochMs(lower), upper === null ? undefined : epochMs(upper))
}

/** SQL for the two bounds of a range column in ms since the epoch, named `lower` and `upper`. */
export function rangeColumns (column: string): string {
  return `(extract(epoch from lower(${column})) * 1000)::float8 as lower, (extract(epoch from upper(${column})) * 1000)::float8 as upper`
}

function earlier (one: EpochMs | undefined, other: EpochMs | undefined): EpochMs | undefined {
  if (one === undefined) return other
  return other === undefined || one < other ? one : other
}
