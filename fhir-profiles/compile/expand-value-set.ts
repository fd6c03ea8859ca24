/** A value set and the code systems it draws from → its codes by system, or nothing when no finite list can stand for it. */

import type { CodeSystem, CodeSystemConcept, ValueSetComposeInclude } from '@medplum/fhirtypes'
import { type Sources, withoutVersion } from './read-definitions.ts'

export type Codes = Map<string, Set<string>>

export function expandValueSet (url: string, sources: Sources): Codes | undefined {
  const compose = sources.valueSets.get(withoutVersion(url))?.compose
  if (compose === undefined || compose.include.length === 0) return undefined
  const codes: Codes = new Map()
  for (const include of compose.include) {
    const part = expandInclude(include, sources)
    if (part === undefined) return undefined
    for (const [system, found] of part) for (const code of found) add(codes, system, code)
  }
  for (const exclude of compose.exclude ?? []) {
    const part = expandInclude(exclude, sources)
    if (part === undefined) return undefined
    for (const [system, found] of part) for (const code of found) codes.get(system)?.delete(code)
  }
  return codes
}

/** Codes of a part: of its system (listed, filtered or all) that are in each of its value sets as well. */
function expandInclude ({ system, concept, filter, valueSet }: ValueSetComposeInclude, sources: Sources): Codes | undefined {
  let codes: Codes | undefined
  if (system !== undefined) {
    const found = concept === undefined ? expandSystem(system, filter, sources) : concept.map(entry => entry.code)
    if (found === undefined) return undefined
    codes = new Map([[system, new Set(found)]])
  }
  for (const url of valueSet ?? []) {
    const other = expandValueSet(url, sources)
    if (other === undefined) return undefined
    codes = codes === undefined ? other : intersect(codes, other)
  }
  return codes
}

function expandSystem (url: string, filters: ValueSetComposeInclude['filter'], sources: Sources): string[] | undefined {
  const system = sources.codeSystems.get(url)
  if (system?.concept === undefined || system.content !== 'complete') return undefined
  if (filters === undefined) return codesBelow(system.concept)
  if (filters.length !== 1) return undefined
  const { op, value } = filters[0]!
  if (op !== 'is-a' && op !== 'descendent-of') return undefined
  const root = findConcept(system.concept, value)
  if (root === undefined) return undefined
  const below = [...codesBelow(root.concept ?? []), ...codesWithParent(system, value)]
  return op === 'is-a' ? [value, ...below] : below
}

function codesBelow (concepts: readonly CodeSystemConcept[]): string[] {
  return concepts.flatMap(concept => [concept.code, ...codesBelow(concept.concept ?? [])])
}

/** Some systems write the tree as property `subsumedBy`. */
function codesWithParent (system: CodeSystem, parent: string): string[] {
  const children = flat(system.concept ?? [])
    .filter(concept => concept.property?.some(property => property.code === 'subsumedBy' && property.valueCode === parent))
  return children.flatMap(child => [child.code, ...codesWithParent(system, child.code)])
}

function flat (concepts: readonly CodeSystemConcept[]): CodeSystemConcept[] {
  return concepts.flatMap(concept => [concept, ...flat(concept.concept ?? [])])
}

function findConcept (concepts: readonly CodeSystemConcept[], code: string): CodeSystemConcept | undefined {
  return flat(concepts).find(concept => concept.code === code)
}

function add (codes: Codes, system: string, code: string): void {
  const found = codes.get(system)
  if (found === undefined) codes.set(system, new Set([code]))
  else found.add(code)
}

function intersect (one: Codes, other: Codes): Codes {
  return new Map([...one].map(([system, codes]) => [system, new Set([...codes].filter(code => other.get(system)?.has(code)))]))
}
