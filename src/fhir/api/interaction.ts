/** The words of one FHIR interaction: HTTP and Bundle entries are turned into it, one place answers it. */

import type { Resource } from '@medplum/fhirtypes'
import type { Letter } from '../../auth/scope.ts'
import type { EpochMs } from '../../model/units.ts'
import type { ReadObservation, ReadObservationHistory, SearchObservations } from '../views/observation-query.ts'
import type { Visibility } from '../words/search-words.ts'
import type { Finding } from '../validation/finding.ts'
import type { ResourceStore, StoredType } from '../resources/resource-store.ts'
import type { SearchableType } from './search-parameters.ts'

export type InteractionCode = 'read' | 'vread' | 'history-instance' | 'search-type' | 'create' | 'update'

const STORED: readonly InteractionCode[] = ['read', 'vread', 'history-instance', 'search-type', 'create', 'update']

/** Which interactions each type has: routes, Bundle entries and the CapabilityStatement read this table. */
export const INTERACTIONS: Record<SearchableType, readonly InteractionCode[]> = {
  Patient: STORED,
  Device: STORED,
  DeviceMetric: STORED,
  DeviceUseStatement: STORED,
  // Computed views (fhir-modelling.md §2): nobody writes them.
  Observation: ['read', 'vread', 'history-instance', 'search-type']
}

export function isSearchable (type: string): type is SearchableType { return Object.hasOwn(INTERACTIONS, type) }
export function isStored (type: SearchableType): type is StoredType { return type !== 'Observation' }

/** Letter of the SMART scope that allows it (smart.md §1.2). */
export const LETTER = { read: 'r', vread: 'r', 'history-instance': 'r', 'search-type': 's', create: 'c', update: 'u' } as const

export interface Interaction {
  code: InteractionCode
  type: SearchableType
  id?: string
  versionId?: string
  /** Raw query string without `?`. */
  query?: string
  /** Body of a POST `_search`. */
  form?: string
  resource?: Resource
  /** As sent: `W/"3"`. */
  ifMatch?: string
  /** Query of a conditional create. */
  ifNoneExist?: string
  /** `Prefer: handling=lenient`. */
  lenient?: boolean
}

export interface Answer {
  status: number
  resource?: Resource
  /** JSON text, in place of `resource`. */
  text?: string
  /** `Type/id` of what was written or read. */
  location?: string
  versionId?: string
  lastUpdated?: EpochMs
}

/** Who asks, at which time. */
export interface Caller {
  /** Subject and client, for binding page tokens. */
  name: string
  now: EpochMs
  /** What the caller may see or touch; asked before any store is. @throws ServiceError forbidden SCOPE_INSUFFICIENT when nothing */
  access (type: SearchableType, letter: Letter): Visibility
}

export interface FhirLimits {
  /** Entries of a search page when `_count` is not given. */
  countDefault: number
  countMax: number
  bundleEntriesMax: number
  /** Most findings reported for one resource. */
  findingsMax: number
}

export interface FhirDeps {
  store: ResourceStore
  searchObservations: SearchObservations
  readObservation: ReadObservation
  readObservationHistory: ReadObservationHistory
  /** Every finding in a resource that is about to be written; errors refuse it. */
  validate (resource: unknown): readonly Finding[]
  limits: FhirLimits
  /** Absolute base without a trailing slash, e.g. `https://host/fhir`. */
  baseUrl: () => string
  /** 32 bytes; the same on every node, so that links work everywhere and after a restart. */
  pageKey: Uint8Array
  newId: () => string
}
