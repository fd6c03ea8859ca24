/** Create and update of the stored types, inside a transaction that the caller of these functions opens. */

import type { Resource } from '@medplum/fhirtypes'
import { ServiceError } from '../../model/errors.ts'
import type { Answer, Caller, FhirDeps, Interaction } from './interaction.ts'
import { matchesAny, seesAll, type Token, type Visibility } from '../words/search-words.ts'
import { InvalidResource } from './outcome.ts'
import { assertReferences } from './references.ts'
import type { ResourceTransaction, StoredResource, StoredType, StoredVersion } from '../resources/resource-store.ts'
import { parseSearchRequest, parseTokens } from './search-request.ts'

/** A write with its place decided: which id, and whether an If-None-Exist found something already. */
export interface PlacedWrite {
  interaction: Interaction
  type: StoredType
  id: string
  existing?: StoredVersion
}

/** Finds the id of a write. @throws ServiceError conflict FHIR_MULTIPLE_MATCHES, incorrect FHIR_INVALID, forbidden SCOPE_INSUFFICIENT */
export async function placeWrite (interaction: Interaction, caller: Caller, deps: FhirDeps, transaction: ResourceTransaction): Promise<PlacedWrite> {
  const type = interaction.type as StoredType
  if (interaction.code === 'update') {
    if (interaction.resource?.id !== interaction.id) throw new ServiceError('incorrect', 'FHIR_INVALID', 'the id in the body is not the id in the address')
    return { interaction, type, id: interaction.id! }
  }
  if (interaction.ifNoneExist === undefined) return { interaction, type, id: deps.newId() }
  const found = await matchIdentifier(type, interaction.ifNoneExist, caller, transaction)
  if (found.length > 1) throw new ServiceError('conflict', 'FHIR_MULTIPLE_MATCHES', 'If-None-Exist matches several resources: name one')
  const [existing] = found
  if (existing !== undefined) return { interaction, type, id: existing.resource.id!, existing }
  // A hidden match must not be doubled, and a refusal only then would tell of it: who sees a part of the type creates nothing under a condition.
  if (!seesAll(caller.access(type, 's'))) throw new ServiceError('forbidden', 'SCOPE_INSUFFICIENT', `If-None-Exist matches nothing that this token may search; to create, it must be allowed to search every ${type}`)
  return { interaction, type, id: deps.newId() }
}

/** Matches of a conditional query that the caller may see, at most two; conditions on anything but `identifier` are refused.
 *  What is hidden is no match, so that nothing tells it from what is absent. @throws ServiceError incorrect FHIR_PARAMETER, forbidden SCOPE_INSUFFICIENT */
export async function matchIdentifier (type: StoredType, query: string, caller: Caller, transaction: ResourceTransaction): Promise<readonly StoredVersion[]> {
  const visibleTo = caller.access(type, 's')
  return transaction.matchForWrite(type, parseCondition(query), 2, visibleTo, caller.now)
}

/** @throws ServiceError incorrect FHIR_PARAMETER for conditions on anything but `identifier` */
export function parseCondition (query: string): Token[][] {
  const { pairs } = parseSearchRequest({ query: query.replace(/^\?/, '') }, new Set(['identifier']), { lenient: false })
  const identifiers: Token[][] = pairs.map(parseTokens)
  if (identifiers.length === 0) throw new ServiceError('incorrect', 'FHIR_PARAMETER', 'a condition names an identifier')
  return identifiers
}

/** Writes one placed resource. @param written `Type/id` of everything the same transaction writes */
export async function write (
  placed: PlacedWrite, resource: Resource, written: ReadonlySet<string>, caller: Caller, deps: FhirDeps, transaction: ResourceTransaction
): Promise<Answer> {
  if (placed.existing !== undefined) return answer(200, placed.existing)
  const state = { ...resource, id: placed.id } as StoredResource
  assertValid(state, placed.type, deps)
  const allowed = caller.access(placed.type, placed.interaction.code === 'create' ? 'c' : 'u')
  if (placed.interaction.code === 'update') return update(placed, state, allowed, written, caller, deps, transaction)
  if (!isWithin(state, allowed)) throw outside()
  await assertReferences(state, written, caller, transaction, deps.baseUrl())
  return answer(201, await transaction.create(state))
}

async function update (
  placed: PlacedWrite, state: StoredResource, allowed: Visibility, written: ReadonlySet<string>, caller: Caller, deps: FhirDeps, transaction: ResourceTransaction
): Promise<Answer> {
  const before = await transaction.read(placed.type, placed.id, allowed, caller.now)
  const within = isWithin(state, allowed)
  if (before === undefined && (!within || placed.interaction.ifMatch !== undefined)) throw absent()
  if (!within) throw outside()
  await assertReferences(state, written, caller, transaction, deps.baseUrl())
  if (before !== undefined) return answer(200, await transaction.update(state, parseEtag(placed.interaction.ifMatch)))
  try {
    return answer(201, await transaction.updateAsCreate(state))
  } catch (error) {
    // The id is taken by a resource this caller may not see (smart.md §6 rule 7).
    if (error instanceof ServiceError && error.code === 'FHIR_CONFLICT' && !seesAll(allowed)) throw absent()
    throw error
  }
}

function assertValid (resource: Resource, type: StoredType, deps: FhirDeps): void {
  if (resource.resourceType !== type) throw new ServiceError('incorrect', 'FHIR_INVALID', `the body is not a ${type}`)
  const errors = deps.validate(resource).filter(finding => finding.severity === 'error')
  if (errors.length > 0) throw new InvalidResource(errors, errors.some(finding => finding.profile === undefined) ? 400 : 422)
}

/** Whether the new state lies within what the caller may write; what a grant of a patient cannot write is refused by its letters. */
function isWithin (resource: StoredResource, allowed: Visibility): boolean {
  return allowed.some(term => {
    if (term.filters.some(filter => !matchesType(resource, filter.parameter, filter.anyOf))) return false
    if (term.patientId === undefined) return true
    return resource.resourceType === 'Patient' && resource.id === term.patientId
  })
}

function matchesType (resource: StoredResource, parameter: string, anyOf: readonly Token[]): boolean {
  if (parameter !== 'type' || resource.resourceType !== 'Device') return false
  return matchesAny(anyOf, resource.type?.coding ?? [])
}

/** `W/"3"` or `"3"` → `3`. @throws ServiceError incorrect FHIR_PARAMETER */
export function parseEtag (etag: string | undefined): string | undefined {
  if (etag === undefined) return undefined
  const match = /^(?:W\/)?"([A-Za-z0-9\-.]{1,64})"$/.exec(etag.trim())
  if (match === null) throw new ServiceError('incorrect', 'FHIR_PARAMETER', 'If-Match is not of the form W/"3"')
  return match[1]
}

/** The answer that shows a stored version. */
export function answer (status: number, version: StoredVersion): Answer {
  const { resource, versionId, lastUpdated } = version
  return { status, resource, location: `${resource.resourceType}/${resource.id}`, versionId: String(versionId), lastUpdated }
}

export function absent (): ServiceError { return new ServiceError('not-found', 'FHIR_NOT_FOUND', 'no such resource') }

function outside (): ServiceError { return new ServiceError('forbidden', 'SCOPE_INSUFFICIENT', 'the resource would lie outside what this token may write') }
