/** What a search on Observation asks and who may see what: given by the search parser and the access rules, taken by the views. */

import type { Observation } from '@medplum/fhirtypes'
import type { EpochMs } from '../../model/units.ts'
import type { DateCondition, Token, Visibility } from '../words/search-words.ts'

/** Code system of `Observation.status`. */
export const STATUS_SYSTEM = 'http://hl7.org/fhir/observation-status'

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

export type SearchObservations = (query: ObservationQuery, visibleTo: Visibility) => Promise<ObservationPage>

/** `undefined`: absent or not visible, which the caller cannot tell apart. @throws ServiceError not-found FHIR_GONE for a withdrawn revision. */
export type ReadObservation = (id: string, versionId: string | undefined, visibleTo: Visibility) => Promise<Observation | undefined>

/** Versions of one resource, newest first. */
export interface HistoryPage {
  count: number
  /** Only versions below this one. */
  before?: number
}

/** [] when there are none, or they are not visible. */
export type ReadObservationHistory = (id: string, page: HistoryPage, visibleTo: Visibility) => Promise<Observation[]>
