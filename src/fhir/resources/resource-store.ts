/** What the FHIR API asks of the store of Patient, Device, DeviceMetric and DeviceUseStatement; answered by `repository.ts`. */

import type { Device, DeviceMetric, DeviceUseStatement, Patient } from '@medplum/fhirtypes'
import type { EpochMs } from '../../model/units.ts'
import type { DateCondition, Token, Visibility } from '../words/search-words.ts'

export type StoredResource = Patient | Device | DeviceMetric | DeviceUseStatement
export type StoredType = StoredResource['resourceType']

export const STORED_TYPES: readonly StoredType[] = ['Patient', 'Device', 'DeviceMetric', 'DeviceUseStatement']

/** One version. `resource` carries id, meta.versionId and meta.lastUpdated. */
export interface StoredVersion {
  resource: StoredResource
  versionId: number
  lastUpdated: EpochMs
}

/** All members together must hold. A flat list is any-of ([] matches nothing); a list of lists is all of the outer, any of each inner. */
export interface StoredQuery {
  ids?: readonly string[]
  identifiers: readonly (readonly Token[])[]
  lastUpdated: readonly (readonly DateCondition[])[]
  /** DeviceUseStatement.device. */
  devices?: readonly string[]
  /** DeviceUseStatement.subject, a Patient. */
  patients?: readonly string[]
  /** DeviceMetric.source. */
  sources?: readonly string[]
  /** Ascending by (lastUpdated, id), or descending. */
  descending: boolean
  count: number
  total: 'none' | 'accurate' | 'estimate'
  /** As the first page gave it: versions recorded later are not seen on the pages behind it. Absent: first page. */
  asOf?: EpochMs
  after?: readonly (string | number)[]
}

export interface StoredPage {
  versions: readonly StoredVersion[]
  /** Key behind the last entry; absent when nothing follows. */
  next?: readonly (string | number)[]
  /** Nothing written up to then was still to be committed; or the time of the newest version there is: a clock that was set back hides nothing. */
  asOf: EpochMs
  total?: number
}

/** The reading questions, outside or inside a transaction. What is not visible is answered like what is absent. */
export interface ResourceReader {
  /** The current version. */
  read (type: StoredType, id: string, visibleTo: Visibility, now: EpochMs): Promise<StoredVersion | undefined>
  vread (type: StoredType, id: string, versionId: string, visibleTo: Visibility, now: EpochMs): Promise<StoredVersion | undefined>
  /** Newest first, at most `count`, older than `before`; [] when the resource is absent or invisible. */
  history (type: StoredType, id: string, page: { count: number, before?: number }, visibleTo: Visibility, now: EpochMs): Promise<readonly StoredVersion[]>
  search (type: StoredType, query: StoredQuery, visibleTo: Visibility, now: EpochMs): Promise<StoredPage>
}

/** What a transaction writes or asks for: a resource by its id, or by an identifier. */
export type WrittenName = { type: StoredType } & ({ id: string } | { token: Token })

/** One database transaction. It sees its own writes. */
export interface ResourceTransaction extends ResourceReader {
  /** Waits for every other transaction that locked, matched or wrote one of these, an identifier in any system. All that a transaction will
   *  match and write, locked at once before anything else: then no two wait for each other. What the server adds itself (identifiers, metrics
   *  of a model) is locked when it is written; a deadlock over it is tried again. */
  lockNames (names: readonly WrittenName[]): Promise<void>
  /** Serialises with every other transaction that asks for the same values or writes them, then gives at most `limit` visible matches of any-of within all-of. */
  matchForWrite (type: StoredType, identifiers: readonly (readonly Token[])[], limit: number, visibleTo: Visibility, now: EpochMs): Promise<readonly StoredVersion[]>
  /** Under `resource.id`, which the server drew for it. @throws ServiceError conflict FHIR_CONFLICT (a unique identifier is taken), FHIR_BUSINESS_RULE */
  create (resource: StoredResource): Promise<StoredVersion>
  /** Under `resource.id`, which the client chose. @throws as `create`; conflict FHIR_CONFLICT as well when the id is taken */
  updateAsCreate (resource: StoredResource): Promise<StoredVersion>
  /** A new version; the same content again makes none. @param ifMatch version the caller believes current
   *  @throws ServiceError conflict FHIR_PRECONDITION (another version is current), not-found FHIR_NOT_FOUND, FHIR_BUSINESS_RULE */
  update (resource: StoredResource, ifMatch: string | undefined): Promise<StoredVersion>
}

export interface ResourceStore extends ResourceReader {
  /** Commits when `work` resolves, rolls everything back when it rejects. Rules over several resources are checked before the commit. */
  transaction<T> (work: (transaction: ResourceTransaction) => Promise<T>): Promise<T>
}
