/** What a search on Observation asks and who may see what: given by the search parser and the access rules, taken by the views. */

import type { Observation } from '@medplum/fhirtypes'
import type { EpochMs } from '../../model/units.ts'

/** `system` absent: any system; `''`: only codes without a system. `code` absent: any code of the system. */
export interface Token { system?: string, code?: string }

/** Code system of `Observation.status`. */
export const STATUS_SYSTEM = 'http://hl7.org/fhir/observation-status'

export type DatePrefix = 'eq' | 'ne' | 'gt' | 'lt' | 'ge' | 'le' | 'sa' | 'eb' | 'ap'

/** A date as half-open range [from, until) at its own precision: `2026-02` is the whole month. For `ap` the range is already widened. */
export interface DateCondition { prefix: DatePrefix, from: EpochMs, until: EpochMs }

export interface SubjectRef { type: 'Patient' | 'Device', id: string }
export interface DeviceRef { type: 'Device' | 'DeviceMetric', id: string }
export interface ObservationRef { id: string, versionId?: string }

export interface SortKey { by: 'date' | '_lastUpdated', descending: boolean }

/** All members together must hold. A flat list is any-of ([] matches nothing); a list of lists is all of the outer, any of each inner. */
export interface ObservationQuery {
  ids?: readonly string[]
  /** `patient` and `subject`, intersected. */
  subjects?: readonly SubjectRef[]
  devices?: readonly DeviceRef[]
  statuses?: readonly string[]
  codes: readonly (readonly Token[])[]
  categories: readonly (readonly Token[])[]
  identifiers: readonly (readonly Token[])[]
  /** On effective[x]. */
  dates: readonly (readonly DateCondition[])[]
  lastUpdated: readonly (readonly DateCondition[])[]
  derivedFrom: readonly (readonly ObservationRef[])[]
  /** At least one key; the id breaks ties, ascending. */
  sort: readonly SortKey[]
  /** Entries on the page; 0 only with a wanted total. */
  count: number
  total: 'none' | 'accurate' | 'estimate'
  /** As the first page gave it: what was issued later is not seen on the pages behind it. Absent: first page. */
  asOf?: EpochMs
  /** Key of the last entry of the page before, as `ObservationPage.next` gave it; absent: first page. */
  after?: readonly (string | number)[]
}

export interface ObservationPage {
  resources: readonly Observation[]
  /** JSON text of each of `resources`, where it is at hand: then `resources` are made only when they are read. */
  texts?: readonly { id: string, text: string }[]
  /** Key behind the last entry; absent when nothing follows. */
  next?: readonly (string | number)[]
  /** Nothing issued up to then was still to be committed; or the newest time of issue there is: a clock that was set back hides nothing. */
  asOf: EpochMs
  /** Set when asked for. */
  total?: number
}

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

export type SearchObservations = (query: ObservationQuery, visibleTo: Visibility) => Promise<ObservationPage>

/** `undefined`: absent or not visible, which the caller cannot tell apart. @throws ServiceError not-found FHIR_GONE for a withdrawn revision. */
export type ReadObservation = (id: string, versionId: string | undefined, visibleTo: Visibility, now: EpochMs) => Promise<Observation | undefined>

/** Versions of one resource, newest first. */
export interface HistoryPage {
  count: number
  /** Only versions below this one. */
  before?: number
}

/** [] when there are none, or they are not visible. */
export type ReadObservationHistory = (id: string, page: HistoryPage, visibleTo: Visibility) => Promise<Observation[]>

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
