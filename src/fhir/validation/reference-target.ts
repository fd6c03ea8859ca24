/** The text of a reference → the resource type it names, and whether that may stand there. */

import { containedNamed } from './invariants.ts'
import type { Node, Walk } from './walk.ts'

const LITERAL = /^(?:https?:\/\/[^\s?#]+\/)?([A-Z][A-Za-z]+)\/[A-Za-z0-9\-.]{1,64}(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/
const CONDITIONAL = /^([A-Z][A-Za-z]+)\?\S+$/
const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\S+$/i

/** `Patient/1`, `https://host/fhir/Patient/1/_history/2` and `Patient?identifier=…` → `Patient`; '' when the text names no type
 *  (`urn:…`, other URLs); `undefined` when it is no reference at all. */
export function targetType (reference: string, types: ReadonlySet<string>): string | undefined {
  const slash = reference.indexOf('/')
  // The form of nearly all: no need to take the text apart.
  if (slash > 0 && types.has(reference.slice(0, slash)) && LITERAL.test(reference)) return reference.slice(0, slash)
  const type = (LITERAL.exec(reference) ?? CONDITIONAL.exec(reference))?.[1]
  if (type !== undefined && types.has(type)) return type
  // Any address may be referred to; only those of the form of a FHIR server say which type.
  return ABSOLUTE.test(reference) ? '' : undefined
}

/** @param allowed types that may be named; `undefined`: any of `types` */
export function checkTarget ({ reference, type }: Node, allowed: ReadonlySet<string> | undefined, types: ReadonlySet<string>, walk: Walk): void {
  let named: string | undefined = ''
  if (typeof reference === 'string') {
    if (reference.startsWith('#')) named = String(containedNamed(walk.container, reference)?.['resourceType'] ?? '')
    else named = targetType(reference, types)
    if (named === undefined) {
      walk.errorAt('reference', 'value', 'must be Type/id, an absolute URL, urn:uuid:… or # and the id of a contained resource')
      return
    }
  }
  const isForbidden = (target: string): boolean => allowed !== undefined && types.has(target) && !allowed.has(target)
  const wanted = (): string => [...allowed ?? []].join(' or ')
  if (isForbidden(named)) walk.errorAt('reference', 'value', `must name ${wanted()}`)
  if (typeof type !== 'string') return
  if (named !== '' && type !== named) walk.errorAt('type', 'value', 'must be the type that the reference names')
  else if (named === '' && isForbidden(type)) walk.errorAt('type', 'value', `must be ${wanted()}`)
}
