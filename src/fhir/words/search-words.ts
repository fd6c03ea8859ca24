/** What every search asks with, and who may see what. */

import type { EpochMs } from '../../model/units.ts'

/** `system` absent: any system; `''`: only codes without a system. `code` absent: any code of the system. */
export interface Token { system?: string, code?: string }

/** Whether one of the tokens means one of these. A missing system is the empty one. */
export function matchesAny (tokens: readonly Token[], named: readonly Token[]): boolean {
  return tokens.some(token => named.some(one =>
    (token.system === undefined || token.system === (one.system ?? '')) && (token.code === undefined || token.code === one.code)))
}

export type DatePrefix = 'eq' | 'ne' | 'gt' | 'lt' | 'ge' | 'le' | 'sa' | 'eb' | 'ap'

/** A date as half-open range [from, until) at its own precision: `2026-02` is the whole month. For `ap` the range is already widened. */
export interface DateCondition { prefix: DatePrefix, from: EpochMs, until: EpochMs }

/** One way to be allowed; its members all hold (smart.md §6 rules 4 and 8). */
export interface VisibilityTerm {
  /** Only this patient's compartment (smart.md §6.1); absent: everybody's. */
  patientId?: string
  /** Granular scope parameters: each must match one of its tokens. */
  filters: readonly { parameter: 'category' | 'code' | 'device' | 'status' | 'type', anyOf: readonly Token[] }[]
}

/** Any of the terms suffices; never empty: a caller with no term is refused before a store is asked. */
export type Visibility = readonly VisibilityTerm[]

/** Everything of the type. */
export const VISIBLE_ALL: Visibility = [{ filters: [] }]

/** Whether nothing of the type is hidden. */
export function seesAll (visibleTo: Visibility): boolean { return visibleTo.some(term => term.patientId === undefined && term.filters.length === 0) }

/** The rule of FHIR R4 search §3.1.1.4.5 for a resource's range [from, until): an instant is 1 ms long, a Period includes the ms of
 *  its end, an open end is Infinity. The reference for what SQL does. */
export function matchesDate (condition: DateCondition, from: number, until: number): boolean {
  const contained = from >= condition.from && until <= condition.until
  switch (condition.prefix) {
    case 'eq': return contained
    case 'ne': return !contained
    case 'gt': return until > condition.until
    case 'lt': return from < condition.from
    case 'ge': return until > condition.until || contained
    case 'le': return from < condition.from || contained
    case 'sa': return from >= condition.until
    case 'eb': return until <= condition.from
    case 'ap': return from < condition.until && until > condition.from
  }
}

/** How long a search waits for what is being written before it reads without it. */
export const SEARCH_WAIT_MS = 100
