/** Invariants of base R4 as functions over a well-formed element: true when they hold. Their keys are those of the definitions. */

import { UCUM } from '../words/code-allow-list.ts'
import { hasLimits, isTokenText } from './sampled-data.ts'
import { choiceOf, codings, equalJson, has, isNode, listOf, type Node, nodesOf, type Walk } from './walk.ts'

export interface Invariant {
  holds (element: Node, walk: Walk): boolean
  /** What must be so. */
  says: string
}

type Test = Invariant['holds']

function must (says: string, holds: Test): Invariant { return { says, holds } }

function needs (name: string, other: string): Test { return node => !has(node, name) || has(node, other) }
function oneOf (...names: string[]): Test { return node => names.some(name => has(node, name)) }

const RESOURCE: Readonly<Record<string, Invariant>> = {
  'dom-2': must('a contained resource holds no other', node =>
    node['contained'] === undefined || nodesOf(node['contained']).every(one => one['contained'] === undefined)),
  'dom-3': must('a contained resource is referred to, or refers to its container', node => node['contained'] === undefined || areReferenced(node)),
  'dom-4': must('a contained resource has no versionId and no lastUpdated', node =>
    node['contained'] === undefined || metasOfContained(node).every(meta => meta['versionId'] === undefined && meta['lastUpdated'] === undefined)),
  'dom-5': must('a contained resource has no security label', node =>
    node['contained'] === undefined || metasOfContained(node).every(meta => meta['security'] === undefined)),
  'obs-3': must('a reference range has low, high or text', oneOf('low', 'high', 'text')),
  'obs-6': must('dataAbsentReason and a value exclude each other', node => !has(node, 'dataAbsentReason') || choiceOf(node, 'value') === undefined),
  'obs-7': must('an Observation with a value has no component of its own code', node =>
    !has(node, 'component') || choiceOf(node, 'value') === undefined || !repeatsCode(node)),
  'pat-1': must('a contact has a name, an address, a telecom or an organization', oneOf('name', 'telecom', 'address', 'organization')),
  'org-1': must('an organization has a name or an identifier', oneOf('name', 'identifier')),
  'org-2': must('an organization has no home address', node => node['use'] !== 'home'),
  'org-3': must('an organization has no home telecom', node => node['use'] !== 'home')
}

const DATATYPE: Readonly<Record<string, Invariant>> = {
  'ext-1': must('an extension has a value or extensions, not both', node =>
    (node['extension'] !== undefined) !== (choiceOf(node, 'value') !== undefined)),
  'ref-1': must('# names a contained resource', ({ reference }, walk) =>
    typeof reference !== 'string' || !reference.startsWith('#') || reference === '#' || containedNamed(walk.container, reference) !== undefined),
  'per-1': must('the start is not after the end', node => !isAfter(node['start'], node['end'])),
  'qty-3': must('a code of a unit has its system', needs('code', 'system')),
  'sqty-1': must('no comparator', node => !has(node, 'comparator')),
  'rng-2': must('low is not above high', ({ low, high }) => !isNode(low) || !isNode(high) || !(Number(low['value']) > Number(high['value']))),
  'rat-1': must('a ratio has both numbers, or neither and an extension', node =>
    has(node, 'numerator') === has(node, 'denominator') && (has(node, 'numerator') || has(node, 'extension'))),
  'att-1': must('data have a contentType', needs('data', 'contentType')),
  'cpt-2': must('a contact point with a value has a system', needs('value', 'system')),
  'drt-1': must('a code comes with a value and is UCUM', node => !has(node, 'code') || (node['system'] === UCUM && has(node, 'value'))),
  'age-1': must('an age is above 0, with a UCUM code', node => isMeasured(node) && !(Number(node['value']) <= 0)),
  'dis-1': must('a distance has a UCUM code', node => isMeasured(node)),
  'cnt-3': must('a count is whole, with the UCUM code 1', node =>
    isMeasured(node) && (!has(node, 'code') || node['code'] === '1') && (!has(node, 'value') || Number.isInteger(node['value']))),
  'exp-1': must('an expression or a reference', oneOf('expression', 'reference')),
  'drq-1': must('either path or searchParam', node => has(node, 'path') !== has(node, 'searchParam')),
  'drq-2': must('either path or searchParam', node => has(node, 'path') !== has(node, 'searchParam')),
  'trd-1': must('data or timing, not both', node => !has(node, 'data') || choiceOf(node, 'timing') === undefined),
  'trd-2': must('a condition has data', needs('condition', 'data')),
  'trd-3': must('a trigger has what its type needs', hasTriggerParts)
}

const TIMING: Readonly<Record<string, Invariant>> = {
  'tim-1': must('a duration has a durationUnit', needs('duration', 'durationUnit')),
  'tim-2': must('a period has a periodUnit', needs('period', 'periodUnit')),
  'tim-4': must('a duration is not negative', node => !(Number(node['duration']) < 0)),
  'tim-5': must('a period is not negative', node => !(Number(node['period']) < 0)),
  'tim-6': must('periodMax has a period', needs('periodMax', 'period')),
  'tim-7': must('durationMax has a duration', needs('durationMax', 'duration')),
  'tim-8': must('countMax has a count', needs('countMax', 'count')),
  'tim-9': must('an offset has a when that is no meal', node =>
    !has(node, 'offset') || (has(node, 'when') && listOf(node['when']).every(when => !['C', 'CM', 'CD', 'CV'].includes(when as string)))),
  'tim-10': must('timeOfDay and when exclude each other', node => !has(node, 'timeOfDay') || !has(node, 'when'))
}

const BUNDLE: Readonly<Record<string, Invariant>> = {
  'bdl-1': must('total stands in searchset and history only', ({ total, type }) => total === undefined || type === 'searchset' || type === 'history'),
  'bdl-2': must('entry.search stands in a searchset only', node =>
    node['type'] === 'searchset' || entries(node).every(entry => entry['search'] === undefined)),
  'bdl-3': must('entry.request stands in batch, transaction and history, in each entry, and nowhere else', node =>
    standsIn(node, 'request', ['batch', 'transaction', 'history'])),
  'bdl-4': must('entry.response stands in responses and history, in each entry, and nowhere else', node =>
    standsIn(node, 'response', ['batch-response', 'transaction-response', 'history'])),
  'bdl-5': must('an entry has a resource, a request or a response', oneOf('resource', 'request', 'response')),
  'bdl-7': must('a fullUrl stands once for each version', node =>
    node['type'] === 'history' || areDistinct(entries(node).filter(entry => entry['fullUrl'] !== undefined).map(fullUrlOfVersion))),
  'bdl-8': must('a fullUrl names no version', ({ fullUrl }) => typeof fullUrl !== 'string' || !fullUrl.includes('/_history/')),
  'bdl-9': must('a document has an identifier', ({ type, identifier }) =>
    type !== 'document' || (isNode(identifier) && has(identifier, 'system') && has(identifier, 'value'))),
  'bdl-10': must('a document has a timestamp', ({ type, timestamp }) => type !== 'document' || timestamp !== undefined),
  'bdl-11': must('a document begins with a Composition', node => node['type'] !== 'document' || firstType(node) === 'Composition'),
  'bdl-12': must('a message begins with a MessageHeader', node => node['type'] !== 'message' || firstType(node) === 'MessageHeader')
}

/** What R4 says in words only. */
const IN_WORDS: Readonly<Record<string, Invariant>> = {
  'sampled-data-1': must('data are decimals, E, L and U, one space apart', ({ data }) => typeof data !== 'string' || isTokenText(data)),
  'sampled-data-2': must('L needs lowerLimit, U needs upperLimit', node => hasLimits(node))
}

export const IN_WORDS_OF: Readonly<Record<string, readonly string[]>> = { SampledData: Object.keys(IN_WORDS) }

export const INVARIANTS: Readonly<Record<string, Invariant>> = { ...RESOURCE, ...DATATYPE, ...TIMING, ...BUNDLE, ...IN_WORDS }

/** Keys that other parts check: the form of the narrative with the primitive xhtml. */
export const CHECKED_ELSEWHERE: readonly string[] = ['txt-1', 'txt-2']

/** The contained resource that `#id` names. */
export function containedNamed (container: Node, reference: string): Node | undefined {
  return nodesOf(container['contained']).find(({ id }) => id === reference.slice(1))
}

function metasOfContained (node: Node): readonly Node[] {
  return nodesOf(node['contained']).flatMap(({ meta }) => isNode(meta) ? [meta] : [])
}

function areReferenced (node: Node): boolean {
  const named = new Set<string>()
  const collect = (value: unknown): void => {
    if (typeof value === 'string') {
      if (value.startsWith('#')) named.add(value)
    } else if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) collect(inner)
  }
  collect(node)
  return nodesOf(node['contained']).every(one => named.has(`#${String(one['id'])}`) || JSON.stringify(one).includes('"reference":"#"'))
}

function repeatsCode (node: Node): boolean {
  const own = codings(node['code'])
  return nodesOf(node['component']).some(({ code }) => codings(code).some(coding => own.some(other => equalJson(coding, other))))
}

/** The first ends before the second begins; texts of different precision are compared as far as both go. */
function isAfter (start: unknown, end: unknown): boolean {
  if (typeof start !== 'string' || typeof end !== 'string') return false
  if (start.length <= 10 || end.length <= 10) {
    const length = Math.min(start.length, end.length, 10)
    return start.slice(0, length) > end.slice(0, length)
  }
  // Texts of one form in UTC stand in the order of their times.
  return start.length === end.length && start.endsWith('Z') && end.endsWith('Z') ? start > end : Date.parse(start) > Date.parse(end)
}

function isMeasured (node: Node): boolean { return (!has(node, 'value') || has(node, 'code')) && (!has(node, 'system') || node['system'] === UCUM) }

function hasTriggerParts (node: Node): boolean {
  const type = String(node['type'])
  if (type === 'named-event') return has(node, 'name')
  if (type === 'periodic') return choiceOf(node, 'timing') !== undefined
  return !type.startsWith('data-') || has(node, 'data')
}

function entries (bundle: Node): readonly Node[] { return nodesOf(bundle['entry']) }

function standsIn (bundle: Node, name: string, types: readonly string[]): boolean {
  const isWanted = types.includes(bundle['type'] as string)
  return entries(bundle).every(entry => (entry[name] !== undefined) === isWanted)
}

function firstType (bundle: Node): unknown {
  const resource = entries(bundle)[0]?.['resource']
  return isNode(resource) ? resource['resourceType'] : undefined
}

function fullUrlOfVersion ({ fullUrl, resource }: Node): string {
  const meta = isNode(resource) && isNode(resource['meta']) ? resource['meta'] : {}
  return `${String(fullUrl)} ${String(meta['versionId'] ?? '')}`
}

function areDistinct (texts: readonly string[]): boolean { return new Set(texts).size === texts.length }
