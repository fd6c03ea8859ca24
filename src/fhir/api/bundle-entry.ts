/** A transaction or batch Bundle as sent → its entries as interactions; bad addresses are refused entry by entry (smart.md §6 rule 9). */

import type { Bundle, BundleEntry } from '@medplum/fhirtypes'
import { ServiceError } from '../../model/errors.ts'
import { type Interaction, type InteractionCode, INTERACTIONS, isSearchable } from './interaction.ts'

export interface ParsedEntry {
  interaction: Interaction
  fullUrl?: string
}

/** @throws ServiceError incorrect FHIR_INVALID, INPUT_TOO_LARGE */
export function parseBundle (body: unknown, entriesMax: number): Bundle & { type: 'transaction' | 'batch' } {
  const bundle = body as Partial<Bundle> | null
  if (bundle === null || typeof bundle !== 'object' || bundle.resourceType !== 'Bundle') throw invalid('the body is no Bundle: single resources go to their type')
  if (bundle.type !== 'transaction' && bundle.type !== 'batch') throw invalid('Bundle.type must be transaction or batch')
  if (bundle.entry !== undefined && !Array.isArray(bundle.entry)) throw invalid('Bundle.entry is not a list')
  if ((bundle.entry?.length ?? 0) > entriesMax) throw new ServiceError('incorrect', 'INPUT_TOO_LARGE', `the Bundle has more than ${entriesMax} entries: send several`)
  return bundle as Bundle & { type: 'transaction' | 'batch' }
}

/** @throws ServiceError incorrect FHIR_INVALID, unsupported FHIR_UNSUPPORTED, not-found FHIR_NOT_FOUND (no such type) */
export function parseEntry (entry: BundleEntry | null, lenient: boolean): ParsedEntry {
  const request = entry?.request
  if (typeof request?.method !== 'string' || typeof request.url !== 'string') throw invalid('an entry needs request.method and request.url')
  const target = parseAddress(request.url)
  const code = codeOf(request.method, target)
  if (!INTERACTIONS[target.type].includes(code)) throw unsupported(code, target.type)
  const writes = code === 'create' || code === 'update'
  const { resource } = entry!
  if (writes && (resource === undefined || resource === null || typeof resource !== 'object')) throw invalid('an entry that writes needs its resource')
  return {
    ...(typeof entry!.fullUrl === 'string' ? { fullUrl: entry!.fullUrl } : {}),
    interaction: {
      code,
      ...target,
      lenient,
      ...(writes && resource !== undefined ? { resource } : {}),
      ...(writes && typeof request.ifMatch === 'string' ? { ifMatch: request.ifMatch } : {}),
      ...(code === 'create' && typeof request.ifNoneExist === 'string' ? { ifNoneExist: request.ifNoneExist } : {})
    }
  }
}

type Address = Pick<Interaction, 'type' | 'id' | 'versionId' | 'query'> & { isHistory: boolean, isSearch: boolean }

const PATH = /^([A-Z][A-Za-z]+)(?:\/([A-Za-z0-9\-.]{1,64})(\/_history(?:\/([A-Za-z0-9\-.]{1,64}))?)?|(\/_search))?$/

function parseAddress (url: string): Address {
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const match = PATH.exec(path)
  // `.` and `..` are ids by the grammar of FHIR, and never meant as such.
  if (match === null || /^\.+$/.test(match[2] ?? '')) throw invalid('request.url must be relative and name one interaction: Type, Type/id, Type/id/_history/version or Type?search')
  const [, type, id, history, versionId, search] = match
  if (!isSearchable(type!)) throw unknownType()
  return {
    type: type!,
    ...(id === undefined ? {} : { id }),
    ...(versionId === undefined ? {} : { versionId }),
    ...(mark < 0 ? {} : { query: url.slice(mark + 1) }),
    isHistory: history !== undefined,
    isSearch: search !== undefined
  }
}

function codeOf (method: string, { id, versionId, query, isHistory, isSearch }: Address): InteractionCode {
  if (method === 'GET') {
    if (id === undefined) return 'search-type'
    if (!isHistory) return 'read'
    return versionId === undefined ? 'history-instance' : 'vread'
  }
  if (isHistory) throw invalid('only GET reads a history')
  if (method === 'POST' && id === undefined && !isSearch) return 'create'
  if (method === 'PUT' && id !== undefined) return 'update'
  if ((method === 'PUT' || method === 'DELETE' || method === 'PATCH') && query !== undefined && id === undefined) {
    throw new ServiceError('unsupported', 'FHIR_UNSUPPORTED', 'conditional update and delete are not supported: name the id')
  }
  if (method === 'DELETE' || method === 'PATCH') throw new ServiceError('unsupported', 'FHIR_UNSUPPORTED', `${method} is not supported: resources are ended by their status, never removed`)
  throw invalid('request.method and request.url do not fit together')
}

/** 405 with what to do instead. */
export function unsupported (code: string, type: string): ServiceError {
  const instead = type !== 'Observation'
    ? 'see the CapabilityStatement'
    : code === 'create' ? 'send measurements to POST /ingest/telemetry; they come back as Observations' : 'Observations are computed from telemetry and change only with it'
  return new ServiceError('unsupported', 'FHIR_UNSUPPORTED', `${code} is not supported on ${type}: ${instead}`)
}

export function unknownType (): ServiceError { return new ServiceError('not-found', 'FHIR_NOT_FOUND', 'this server has no such type or operation: see the CapabilityStatement') }

function invalid (message: string): ServiceError { return new ServiceError('incorrect', 'FHIR_INVALID', message) }
