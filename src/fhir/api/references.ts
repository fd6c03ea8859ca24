/** Literal references inside a resource: found, replaced, and checked against what the caller may read. */

import type { Resource } from '@medplum/fhirtypes'
import { ServiceError } from '../../model/errors.ts'
import { type Caller, isSearchable, isStored } from './interaction.ts'
import { seesAll } from '../words/search-words.ts'
import { readReference } from '../resources/business-rule.ts'
import type { ResourceReader, StoredType } from '../resources/resource-store.ts'

/** A copy in which every `Reference.reference` is what `replace` gives for it. */
export function mapReferences<R extends Resource> (resource: R, replace: (reference: string) => string): R {
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk)
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([key, inner]) =>
      [key, key === 'reference' && typeof inner === 'string' ? replace(inner) : walk(inner)]))
  }
  return walk(resource) as R
}

/** Every `Reference.reference`, each once, in order. */
export function referencesOf (resource: Resource): string[] {
  const found = new Set<string>()
  mapReferences(resource, reference => {
    found.add(reference)
    return reference
  })
  return [...found]
}

/** A reference to one of the four stored types on this server; `undefined` for any other. */
export function storedTarget (reference: string, baseUrl: string): { type: StoredType, id: string, versionId?: string } | undefined {
  const target = readReference(reference, baseUrl)
  if (target === undefined || !isSearchable(target.type) || !isStored(target.type)) return undefined
  return { ...target, type: target.type }
}

/** smart.md §6 rule 7: a resource may not point to what its writer may not read.
 *  @param written `Type/id` written by the same transaction, which need no check
 *  @throws ServiceError forbidden SCOPE_INSUFFICIENT, incorrect FHIR_BUSINESS_RULE (absent, for a caller who may read all of the type) */
export async function assertReferences (
  resource: Resource, written: ReadonlySet<string>, caller: Caller, reader: ResourceReader, baseUrl: string
): Promise<void> {
  for (const reference of referencesOf(resource)) {
    const target = storedTarget(reference, baseUrl)
    if (target === undefined || written.has(`${target.type}/${target.id}`)) continue
    if (target.type === resource.resourceType && target.id === resource.id) continue
    const visibleTo = caller.access(target.type, 'r')
    const found = target.versionId === undefined
      ? await reader.read(target.type, target.id, visibleTo, caller.now)
      : await reader.vread(target.type, target.id, target.versionId, visibleTo, caller.now)
    if (found !== undefined) continue
    throw seesAll(visibleTo)
      ? new ServiceError('incorrect', 'FHIR_BUSINESS_RULE', `a reference names a ${target.type} that does not exist: create it first, or in the same transaction`)
      : new ServiceError('forbidden', 'SCOPE_INSUFFICIENT', `a reference names a ${target.type} outside what this token may read`)
  }
}
