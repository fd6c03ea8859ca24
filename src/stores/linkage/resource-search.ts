/** Search of current resources by id, identifier, reference and time, with the rule of who may see what in the same SQL
 *  (smart.md §6 rule 5, §6.1). */

import { instant } from '../../model/identifier.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import type { Database, StoredVersion } from './resource.ts'

/** `system` absent: any; `''`: only without a system. `code` absent: any value of the system. */
export interface IdentifierToken { system?: string, code?: string }

/** One way to be allowed: only this patient's compartment, only what each filter lets through. */
export interface VisibleTerm {
  patientId?: string
  filters: readonly { parameter: string, anyOf: readonly { system?: string, code?: string }[] }[]
}

export interface TimeCondition { prefix: 'eq' | 'ne' | 'gt' | 'lt' | 'ge' | 'le' | 'sa' | 'eb' | 'ap', from: EpochMs, until: EpochMs }

/** All members hold; flat lists are any-of, lists of lists all of the outer, any of the inner. */
export interface ResourceQuery {
  ids?: readonly string[]
  identifiers: readonly (readonly IdentifierToken[])[]
  lastUpdated: readonly (readonly TimeCondition[])[]
  /** By element: ids of the targets, any of them. */
  references: readonly { element: string, targetType: string, ids: readonly string[] }[]
  /** Any of these suffices. */
  visibleTo: readonly VisibleTerm[]
  /** Associations are judged at this time. */
  now: EpochMs
  /** What was written later is not seen. */
  asOf: EpochMs
}

export interface PageWish {
  descending: boolean
  limit: number
  /** (lastUpdated, id) of the last one before. */
  after?: { lastUpdated: EpochMs, id: string }
}

interface Row { id: string, version: number, at: number, text: string }

/** The versions that were current at `asOf` and meet the query: the current one, else the newest in the history that is old enough.
 *  References are those of the current one: what a search may ask for (subject, device, source) never changes. */
function asOf (type: string, query: ResourceQuery, page?: PageWish): { from: string, values: unknown[] } {
  const values: unknown[] = [type, instant(query.asOf)]
  const order = page === undefined ? '' : orderOf(page, values)
  // In each half by itself, so that it reads no more of the type than the page shows.
  const tail = page === undefined ? '' : `${behindOf(page, values)} ${order}`
  const current = `select r.id, r.version, r.last_updated, r.content from fhir.resource r
    where r.type = $1 and r.last_updated <= $2 and ${conditions(type, query, INDEXED, values).join(' and ')} ${tail}`
  const past = `select r.id, r.version, r.last_updated, r.content from fhir.resource newer, lateral (
      select * from fhir.history h where h.type = newer.type and h.id = newer.id and h.last_updated <= $2 order by version desc limit 1) r
    where newer.type = $1 and newer.last_updated > $2 and ${conditions(type, query, WRITTEN, values).join(' and ')} ${tail}`
  return { from: `((${current}) union all (${past})) r ${order}`, values }
}

function orderOf ({ descending, limit }: PageWish, values: unknown[]): string {
  const direction = descending ? 'desc' : 'asc'
  return `order by r.last_updated ${direction}, r.id::text ${direction} limit ${bind(values, limit)}`
}

/** A further condition on a version `r`. */
function behindOf ({ descending, after }: PageWish, values: unknown[]): string {
  if (after === undefined) return ''
  return `and (r.last_updated, r.id::text) ${descending ? '<' : '>'} (${bind(values, instant(after.lastUpdated))}::timestamptz, ${bind(values, after.id)}::text)`
}

/** Identifiers of the version `r`: of a current one by the index, of a past one as its text says; the index has forgotten them. */
const INDEXED = 'select from fhir.identifier i where i.type = r.type and i.id = r.id'
const WRITTEN = `select from json_array_elements(r.content -> 'identifier') e,
  lateral (select coalesce(e ->> 'system', '') as system, e ->> 'value' as value) i where i.value is not null`

/** Ascending by (lastUpdated, id), or descending. */
export async function searchResources (db: Database, type: string, query: ResourceQuery, page: PageWish): Promise<StoredVersion[]> {
  const { from, values } = asOf(type, query, page)
  const { rows } = await db.query<Row>(
    `select r.id, r.version, (extract(epoch from r.last_updated) * 1000)::float8 as at, r.content::text as text from ${from}`, values)
  return rows.map(row => ({ type, id: row.id, version: row.version, lastUpdated: epochMs(row.at), text: row.text }))
}

export async function countResources (db: Database, type: string, query: ResourceQuery): Promise<number> {
  const { from, values } = asOf(type, query)
  const { rows } = await db.query<{ count: number }>(`select count(*)::int as count from ${from}`, values)
  return rows[0]?.count ?? 0
}

/** When the newest current version was written, and no earlier than `time`. */
export async function newestUpdate (db: Database, type: string, time: EpochMs): Promise<EpochMs> {
  const { rows } = await db.query<{ at: number | null }>(
    'select (extract(epoch from max(last_updated)) * 1000)::float8 as at from fhir.resource where type = $1 and last_updated > $2', [type, instant(time)])
  return epochMs(Math.max(time, rows[0]?.at ?? time))
}

/** Whether the resource exists and may be seen. */
export async function isVisible (db: Database, type: string, id: string, visibleTo: readonly VisibleTerm[], now: EpochMs): Promise<boolean> {
  const values: unknown[] = [type, id]
  const { rows } = await db.query(
    `select from fhir.resource r where r.type = $1 and r.id = $2 and ${anyTerm(type, visibleTo, now, values)}`, values)
  return rows.length > 0
}

function conditions (type: string, query: ResourceQuery, identifiers: string, values: unknown[]): string[] {
  const parts = [anyTerm(type, query.visibleTo, query.now, values)]
  if (query.ids !== undefined) parts.push(`r.id = any(${bind(values, query.ids)}::text[])`)
  for (const anyOf of query.identifiers) {
    parts.push(`exists (${identifiers} and ${any(anyOf, token => identifierMatches(token, values))})`)
  }
  for (const anyOf of query.lastUpdated) parts.push(any(anyOf, condition => timeMatches(condition, values)))
  for (const { element, targetType, ids } of query.references) {
    parts.push(`exists (select from fhir.reference f where f.type = r.type and f.id = r.id and f.element = ${bind(values, element)}
      and f.target_type = ${bind(values, targetType)} and f.target_id = any(${bind(values, ids)}::text[]))`)
  }
  return parts
}

function bind (values: unknown[], value: unknown): string {
  values.push(value)
  return `$${values.length}`
}

function any<T> (list: readonly T[], sql: (item: T) => string): string {
  return list.length === 0 ? 'false' : `(${list.map(sql).join(' or ')})`
}

function identifierMatches (token: IdentifierToken, values: unknown[]): string {
  const parts: string[] = []
  if (token.system !== undefined) parts.push(`i.system = ${bind(values, token.system)}`)
  if (token.code !== undefined) parts.push(`i.value = ${bind(values, token.code)}`)
  return parts.length === 0 ? 'true' : parts.join(' and ')
}

/** FHIR R4 search §3.1.1.4.5 for an instant of 1 ms. */
function timeMatches ({ prefix, from, until }: TimeCondition, values: unknown[]): string {
  const at = 'r.last_updated'
  const start = () => `${bind(values, instant(from))}::timestamptz`
  const end = () => `${bind(values, instant(until))}::timestamptz`
  switch (prefix) {
    case 'eq': case 'ap': return `(${at} >= ${start()} and ${at} < ${end()})`
    case 'ne': return `not (${at} >= ${start()} and ${at} < ${end()})`
    case 'gt': case 'sa': return `${at} >= ${end()}`
    case 'lt': case 'eb': return `${at} < ${start()}`
    case 'ge': return `${at} >= ${start()}`
    case 'le': return `${at} < ${end()}`
  }
}

function anyTerm (type: string, visibleTo: readonly VisibleTerm[], now: EpochMs, values: unknown[]): string {
  return any(visibleTo, term => {
    const parts = term.filters.map(filter => filterMatches(type, filter, values))
    if (term.patientId !== undefined) parts.push(inCompartment(type, term.patientId, now, values))
    return parts.length === 0 ? 'true' : parts.join(' and ')
  })
}

/** Of the granular parameters only Device?type means something here; any other lets nothing through. */
function filterMatches (type: string, filter: VisibleTerm['filters'][number], values: unknown[]): string {
  if (type !== 'Device' || filter.parameter !== 'type') return 'false'
  return `exists (select from json_array_elements(r.content #> '{type,coding}') c where ${any(filter.anyOf, token => {
    const parts: string[] = []
    if (token.system !== undefined) parts.push(`coalesce(c ->> 'system', '') = ${bind(values, token.system)}`)
    if (token.code !== undefined) parts.push(`c ->> 'code' = ${bind(values, token.code)}`)
    return parts.length === 0 ? 'true' : parts.join(' and ')
  })})`
}

/** smart.md §6.1: a Device only while an active association of the patient covers now, a DeviceMetric with its Device. */
function inCompartment (type: string, patientId: string, now: EpochMs, values: unknown[]): string {
  switch (type) {
    case 'Patient': return `r.id = ${bind(values, patientId)}`
    case 'DeviceUseStatement':
      return `exists (select from fhir.reference f where f.type = r.type and f.id = r.id and f.element = 'subject'
        and f.target_type = 'Patient' and f.target_id = ${bind(values, patientId)})`
    case 'Device': return `exists (${wornNow('r.id', patientId, now, values)})`
    case 'DeviceMetric':
      return `exists (select from fhir.reference f where f.type = r.type and f.id = r.id and f.element = 'source'
        and f.target_type = 'Device' and exists (${wornNow('f.target_id', patientId, now, values)}))`
    default: return 'false'
  }
}

function wornNow (device: string, patientId: string, now: EpochMs, values: unknown[]): string {
  return `select from linkage.sid_map m join linkage.subject s using (subj)
    join fhir.resource d on d.type = 'DeviceUseStatement' and d.id = m.association
    where m.device = ${device} and s.patient = ${bind(values, patientId)} and m.valid @> ${bind(values, instant(now))}::timestamptz
    and d.content ->> 'status' = 'active'`
}
