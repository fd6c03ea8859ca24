/** The search parameters of every type (one table: parser and CapabilityStatement read it) and parsed pairs → query. */

import type { EpochMs } from '../../model/units.ts'
import { type DeviceRef, type ObservationQuery, type ObservationRef, type SortKey, STATUS_SYSTEM, type SubjectRef } from '../views/observation-query.ts'
import type { DateCondition, Token } from '../words/search-words.ts'
import type { StoredQuery, StoredType } from '../resources/resource-store.ts'
import { parseDateCondition } from './search-date.ts'
import { parseReferences, parseTokens, refused, refusedModifier, type SearchPair, valuesOfPair } from './search-request.ts'

export type SearchableType = StoredType | 'Observation'

export interface SearchParameter {
  name: string
  type: 'token' | 'reference' | 'date'
  documentation: string
}

const ID: SearchParameter = { name: '_id', type: 'token', documentation: 'Logical id; several with commas' }
const IDENTIFIER: SearchParameter = { name: 'identifier', type: 'token', documentation: 'system|value, value, or system| for any value of the system' }
const LAST_UPDATED: SearchParameter = { name: '_lastUpdated', type: 'date', documentation: 'When the version was recorded; all prefixes' }

export const SEARCH_PARAMETERS: Record<SearchableType, readonly SearchParameter[]> = {
  Patient: [ID, IDENTIFIER, LAST_UPDATED],
  Device: [
    ID, IDENTIFIER, LAST_UPDATED
  ],
  DeviceMetric: [
    ID, IDENTIFIER, LAST_UPDATED,
    { name: 'source', type: 'reference', documentation: 'The Device that measures' }
  ],
  DeviceUseStatement: [
    ID, IDENTIFIER, LAST_UPDATED,
    { name: 'device', type: 'reference', documentation: 'The Device worn' },
    { name: 'patient', type: 'reference', documentation: 'The Patient who wears it' },
    { name: 'subject', type: 'reference', documentation: 'The Patient who wears it' }
  ],
  Observation: [
    ID, IDENTIFIER, LAST_UPDATED,
    { name: 'patient', type: 'reference', documentation: 'Subject that is a Patient' },
    { name: 'subject', type: 'reference', documentation: 'Patient or Device' },
    { name: 'device', type: 'reference', documentation: 'Device or DeviceMetric that measured' },
    { name: 'code', type: 'token', documentation: 'What was measured' },
    { name: 'category', type: 'token', documentation: 'vital-signs, or a code of observation-kind' },
    { name: 'date', type: 'date', documentation: 'effective[x]; all prefixes' },
    { name: 'status', type: 'token', documentation: 'final, amended, corrected or entered-in-error' },
    { name: 'derived-from', type: 'reference', documentation: 'Window a derived value was computed from' }
  ]
}

/** Parameters that shape the result; the same for every type. */
export const RESULT_PARAMETERS: readonly string[] = ['_sort', '_count', '_total', '_summary', '_page']

export function knownParameters (type: SearchableType): ReadonlySet<string> {
  return new Set([...SEARCH_PARAMETERS[type].map(parameter => parameter.name), ...RESULT_PARAMETERS])
}

export interface SearchContext {
  now: EpochMs
  /** Base of absolute references to our own resources, without a trailing slash. */
  baseUrl: string
  countDefault: number
  countMax: number
}

type Shape = Pick<ObservationQuery, 'count' | 'total' | 'sort'>

/** @throws ServiceError incorrect FHIR_PARAMETER */
export function observationQuery (pairs: readonly SearchPair[], context: SearchContext): ObservationQuery {
  const all = (name: string): SearchPair[] => pairs.filter(pair => pair.name === name)
  const references = <T extends string>(name: string, types: readonly T[], fallback: readonly T[]) =>
    all(name).map(pair => parseReferences(pair, types, fallback, context.baseUrl))
  const subjects: SubjectRef[][] = [
    ...references('patient', ['Patient'], ['Patient']),
    ...references('subject', ['Patient', 'Device'], ['Patient', 'Device'])
  ]
  const devices: DeviceRef[][] = references('device', ['Device', 'DeviceMetric'], ['Device', 'DeviceMetric'])
  const derivedFrom: ObservationRef[][] = references('derived-from', ['Observation'], ['Observation'])
    .map(list => list.map(({ id, versionId }) => versionId === undefined ? { id } : { id, versionId }))
  return {
    ...optional('ids', common(idLists(all('_id')), id => id)),
    ...optional('subjects', common(subjects, key)),
    ...optional('devices', common(devices, key)),
    ...optional('statuses', common(all('status').map(statuses), status => status)),
    codes: all('code').map(parseTokens),
    categories: all('category').map(parseTokens),
    identifiers: all('identifier').map(parseTokens),
    dates: all('date').map(pair => dates(pair, context.now)),
    lastUpdated: all('_lastUpdated').map(pair => dates(pair, context.now)),
    derivedFrom,
    ...shape(pairs, context, ['date', '_lastUpdated'], { by: 'date', descending: true })
  }
}

/** @throws ServiceError incorrect FHIR_PARAMETER */
export function storedQuery (pairs: readonly SearchPair[], context: SearchContext): StoredQuery {
  const all = (name: string): SearchPair[] => pairs.filter(pair => pair.name === name)
  const references = (names: readonly string[], type: StoredType): string[][] =>
    names.flatMap(all).map(pair => parseReferences(pair, [type], [type], context.baseUrl).map(({ id }) => id))
  const { sort, count, total } = shape(pairs, context, ['_lastUpdated'], { by: '_lastUpdated', descending: true })
  return {
    ...optional('ids', common(idLists(all('_id')), id => id)),
    ...optional('devices', common(references(['device'], 'Device'), id => id)),
    ...optional('patients', common(references(['patient', 'subject'], 'Patient'), id => id)),
    ...optional('sources', common(references(['source'], 'Device'), id => id)),
    identifiers: all('identifier').map(parseTokens),
    lastUpdated: all('_lastUpdated').map(pair => dates(pair, context.now)),
    descending: sort[0]!.descending,
    count,
    total
  }
}

function idLists (pairs: readonly SearchPair[]): string[][] {
  return pairs.map(pair => {
    if (pair.modifier !== undefined) throw refusedModifier(pair)
    return valuesOfPair(pair)
  })
}

function statuses (pair: SearchPair): string[] {
  return parseTokens(pair).flatMap((token: Token) => {
    if (token.system !== undefined && token.system !== STATUS_SYSTEM && token.system !== '') return []
    if (token.code === undefined) throw refused('status: a code is wanted')
    return [token.code]
  })
}

function dates (pair: SearchPair, now: EpochMs): DateCondition[] {
  if (pair.modifier !== undefined) throw refusedModifier(pair)
  return valuesOfPair(pair).map(value => parseDateCondition(pair.name, value, now))
}

function shape (pairs: readonly SearchPair[], context: SearchContext, sortable: readonly SortKey['by'][], usual: SortKey): Shape {
  const one = (name: string): string | undefined => {
    const found = pairs.filter(pair => pair.name === name)
    if (found.length > 1) throw refused(`${name} is given twice`)
    if (found[0]?.modifier !== undefined) throw refusedModifier(found[0])
    return found[0]?.value
  }
  const summary = one('_summary')
  if (summary !== undefined && summary !== 'count' && summary !== 'false') throw refused('_summary: only count and false are supported')
  const total = one('_total') ?? 'none'
  if (total !== 'none' && total !== 'accurate' && total !== 'estimate') throw refused('_total: none, accurate or estimate')
  const asked = one('_count')
  if (asked !== undefined && !/^\d{1,9}$/.test(asked)) throw refused('_count: a whole number')
  const count = summary === 'count' ? 0 : Math.min(Number(asked ?? context.countDefault), context.countMax)
  // R4 search 3.1.1.5.3: _count=0 is the same as _summary=count.
  return { count, total: count === 0 ? 'accurate' : total, sort: sortKeys(one('_sort'), sortable, usual) }
}

function sortKeys (value: string | undefined, sortable: readonly SortKey['by'][], usual: SortKey): SortKey[] {
  if (value === undefined) return [usual]
  const keys = value.split(',').map(part => {
    const by = sortable.find(name => name === part.replace(/^-/, ''))
    if (by === undefined) throw refused(`_sort: ${sortable.join(' and ')} are supported, each with - for descending`)
    return { by, descending: part.startsWith('-') }
  })
  if (new Set(keys.map(({ by }) => by)).size < keys.length) throw refused('_sort: a key is given twice')
  return keys
}

function key (reference: SubjectRef | DeviceRef): string { return `${reference.type}/${reference.id}` }

/** What stands in every list; `undefined` when there is no list. */
function common<T> (lists: readonly (readonly T[])[], name: (item: T) => string): T[] | undefined {
  const [first, ...others] = lists
  if (first === undefined) return undefined
  const names = others.map(list => new Set(list.map(name)))
  return first.filter(item => names.every(set => set.has(name(item))))
}

function optional<K extends string, V> (name: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : { [name]: value } as { [P in K]?: V }
}
