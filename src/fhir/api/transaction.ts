/** Transaction and batch Bundles: all entries in one database transaction, or each on its own (FHIR R4 http.html#transaction). */

import type { Bundle, BundleEntry, BundleEntryResponse, Resource } from '@medplum/fhirtypes'
import { instant } from '../../model/identifier.ts'
import { ServiceError } from '../../model/errors.ts'
import { type ParsedEntry, parseBundle, parseEntry } from './bundle-entry.ts'
import { type Answer, type Caller, type FhirDeps, type Interaction, LETTER } from './interaction.ts'
import { answerOfError, InvalidResource } from './outcome.ts'
import { matchesAny, type Token } from '../words/search-words.ts'
import { readInteraction } from './read-interaction.ts'
import { mapReferences, referencesOf } from './references.ts'
import { type ResourceTransaction, STORED_TYPES, type StoredResource, type StoredType, type WrittenName } from '../resources/resource-store.ts'
import { matchIdentifier, parseCondition, type PlacedWrite, placeWrite, write } from './write-interaction.ts'

export interface BundleOptions {
  lenient: boolean
  /** `Prefer: return=representation`: written resources come back in the response. */
  withResources: boolean
}

/** A transaction is refused as a whole by what it throws; a batch answers each entry. */
export async function processBundle (body: unknown, caller: Caller, deps: FhirDeps, options: BundleOptions): Promise<Bundle> {
  const bundle = parseBundle(body, deps.limits.bundleEntriesMax)
  const entries = bundle.entry ?? []
  if (bundle.type === 'batch') {
    const answered: BundleEntry[] = []
    for (const entry of entries) answered.push(await batchEntry(entry, caller, deps, options))
    return responseBundle('batch-response', answered)
  }
  const parsed = entries.map((entry, place) => located(place, () => parseEntry(entry, options.lenient)))
  // 403 before the store is touched, for every entry.
  parsed.forEach(({ interaction }, place) => { located(place, () => caller.access(interaction.type, LETTER[interaction.code])) })
  const answers = await deps.store.transaction(transaction => processTransaction(parsed, caller, deps, transaction))
  return responseBundle('transaction-response', answers.map((answer, place) => toEntry(answer, isRead(parsed[place]!.interaction) || options.withResources, deps)))
}

/** One interaction, in a transaction of its own when it writes. */
export async function interact (interaction: Interaction, caller: Caller, deps: FhirDeps): Promise<Answer> {
  if (isRead(interaction)) return readInteraction(interaction, caller, deps)
  caller.access(interaction.type, LETTER[interaction.code])
  const names = namesOf(interaction)
  return deps.store.transaction(async transaction => {
    await transaction.lockNames(names)
    const placed = await placeWrite(interaction, caller, deps, transaction)
    const resource = await withConditionalReferences(interaction.resource!, caller, transaction)
    return write(placed, resource, new Set(), caller, deps, transaction)
  })
}

async function batchEntry (entry: BundleEntry, caller: Caller, deps: FhirDeps, options: BundleOptions): Promise<BundleEntry> {
  try {
    const { interaction } = parseEntry(entry, options.lenient)
    return toEntry(await interact(interaction, caller, deps), isRead(interaction) || options.withResources, deps)
  } catch (error) {
    const { status, outcome } = answerOfError(error)
    // A failing store fails the request, not one entry of it.
    if (status >= 500) throw error
    return { response: { status: String(status), outcome } }
  }
}

async function processTransaction (parsed: readonly ParsedEntry[], caller: Caller, deps: FhirDeps, transaction: ResourceTransaction): Promise<Answer[]> {
  const answers: Answer[] = new Array(parsed.length)
  const placed = new Map<number, PlacedWrite>()
  const addresses = new Map<string, string>()
  const written = new Set<string>()
  await transaction.lockNames(parsed.flatMap(({ interaction }, place) => isRead(interaction) ? [] : located(place, () => namesOf(interaction))))
  for (const [place, { interaction, fullUrl }] of parsed.entries()) {
    if (isRead(interaction)) continue
    const where = await locatedAsync(place, () => placeWrite(interaction, caller, deps, transaction))
    const name = `${where.type}/${where.id}`
    if (where.existing === undefined && written.has(name)) throw at(place, new ServiceError('incorrect', 'FHIR_INVALID', 'another entry writes the same resource'))
    if (fullUrl !== undefined && addresses.has(fullUrl)) throw at(place, new ServiceError('incorrect', 'FHIR_INVALID', 'another entry has the same fullUrl'))
    if (fullUrl !== undefined) addresses.set(fullUrl, name)
    written.add(name)
    placed.set(place, where)
  }
  assertConditionsApart(placed)
  // Referenced types first, so that each rule of the store finds what it asks for.
  const order = [...placed].sort(([a, first], [b, second]) => rank(first.type) - rank(second.type) || a - b)
  for (const [place, where] of order) {
    answers[place] = await locatedAsync(place, async () => {
      const resource = await withConditionalReferences(withAddresses(where.interaction.resource!, addresses), caller, transaction)
      return write(where, resource, written, caller, deps, transaction)
    })
  }
  for (const [place, { interaction }] of parsed.entries()) {
    if (isRead(interaction)) answers[place] = await locatedAsync(place, () => readInteraction(interaction, caller, deps, transaction))
  }
  return answers
}

/** A condition that another entry's resource would meet: which of the two is meant cannot be told.
 *  @throws ServiceError incorrect FHIR_INVALID */
function assertConditionsApart (placed: ReadonlyMap<number, PlacedWrite>): void {
  const conditions = new Set<string>()
  const writes = [...placed].filter(([, { existing }]) => existing === undefined)
  const brought = Map.groupBy(writes.map(([place, { type, interaction }]) => ({ place, type, identifiers: identifiersOf(interaction) })), ({ type }) => type)
  for (const [place, { type, interaction: { ifNoneExist } }] of writes) {
    if (ifNoneExist === undefined) continue
    const condition = parseCondition(ifNoneExist)
    const key = JSON.stringify([type, condition.map(anyOf => anyOf.map(({ system, code }) => [system, code]))])
    if (conditions.has(key)) throw at(place, new ServiceError('incorrect', 'FHIR_INVALID', 'another entry creates under the same condition'))
    conditions.add(key)
    const other = brought.get(type)!.find(one => one.place !== place && condition.every(anyOf => matchesAny(anyOf, one.identifiers)))
    if (other !== undefined) throw at(place, new ServiceError('incorrect', 'FHIR_INVALID', `entry ${other.place} brings a resource that meets the condition of this one`))
  }
}

/** With a value; the body is not validated yet. */
function identifiersOf ({ resource }: Interaction): Token[] {
  return [(resource as StoredResource | undefined)?.identifier].flat().flatMap(identifier =>
    typeof identifier?.value === 'string' ? [{ ...(identifier.system === undefined ? {} : { system: identifier.system }), code: identifier.value }] : [])
}

function isRead ({ code }: Interaction): boolean { return code !== 'create' && code !== 'update' }

function rank (type: StoredType): number { return STORED_TYPES.indexOf(type) }

/** References to the fullUrl of another entry become references to what that entry wrote. */
function withAddresses (resource: Resource, addresses: ReadonlyMap<string, string>): Resource {
  return mapReferences(resource, reference => {
    const target = addresses.get(reference)
    if (target !== undefined) return target
    if (reference.startsWith('urn:uuid:')) throw new ServiceError('incorrect', 'FHIR_INVALID', 'a reference names a urn:uuid that is no fullUrl of this Bundle')
    return reference
  })
}

/** Every identifier that a write asks for or brings, and the resource that an update names. The body is not validated yet. */
function namesOf (interaction: Interaction): WrittenName[] {
  const { type, id, ifNoneExist, resource } = interaction
  const ofType = (stored: StoredType, tokens: readonly Token[]) => tokens.map(token => ({ type: stored, token }))
  const asked = ifNoneExist === undefined ? [] : parseCondition(ifNoneExist).flat()
  const referred = conditionsOf(resource!).flatMap(condition => condition.type === undefined ? [] : ofType(condition.type, parseCondition(condition.query).flat()))
  return [...(id === undefined ? [] : [{ type: type as StoredType, id }]), ...ofType(type as StoredType, [...asked, ...identifiersOf(interaction)]), ...referred]
}

const CONDITION = /^([A-Z][A-Za-z]+)\?(.+)$/

/** References like `Patient?identifier=system|value`. `type`: `undefined` when it is none of the stored ones. */
function conditionsOf (resource: Resource): { reference: string, type: StoredType | undefined, query: string }[] {
  return referencesOf(resource).flatMap(reference => {
    const [, name, query] = CONDITION.exec(reference) ?? []
    return query === undefined ? [] : [{ reference, type: STORED_TYPES.find(known => known === name), query }]
  })
}

/** `Patient?identifier=system|value` becomes the one Patient it matches. @throws ServiceError FHIR_MULTIPLE_MATCHES unless exactly one does */
async function withConditionalReferences (resource: Resource, caller: Caller, transaction: ResourceTransaction): Promise<Resource> {
  const found = new Map<string, string>()
  for (const { reference, type, query } of conditionsOf(resource)) {
    if (type === undefined) throw new ServiceError('incorrect', 'FHIR_INVALID', 'a conditional reference names a type that is not stored here')
    const matches = await matchIdentifier(type, query, caller, transaction)
    if (matches.length !== 1) throw new ServiceError('conflict', 'FHIR_MULTIPLE_MATCHES', `a conditional reference matches ${matches.length === 0 ? 'no' : 'more than one'} ${type}`)
    found.set(reference, `${type}/${matches[0]!.resource.id}`)
  }
  return found.size === 0 ? resource : mapReferences(resource, reference => found.get(reference) ?? reference)
}

function toEntry (answer: Answer, withResource: boolean, deps: FhirDeps): BundleEntry {
  const response: BundleEntryResponse = {
    status: answer.status === 201 ? '201 Created' : '200 OK',
    ...(answer.location === undefined || answer.versionId === undefined ? {} : { location: `${answer.location}/_history/${answer.versionId}` }),
    ...(answer.versionId === undefined ? {} : { etag: `W/"${answer.versionId}"` }),
    ...(answer.lastUpdated === undefined ? {} : { lastModified: instant(answer.lastUpdated) })
  }
  const resource = answer.resource ?? (answer.text === undefined ? undefined : JSON.parse(answer.text) as Resource)
  return {
    ...(answer.location === undefined ? {} : { fullUrl: `${deps.baseUrl()}/${answer.location}` }),
    ...(withResource && resource !== undefined ? { resource } : {}),
    response
  }
}

function responseBundle (type: 'transaction-response' | 'batch-response', entry: BundleEntry[]): Bundle {
  return { resourceType: 'Bundle', type, ...(entry.length === 0 ? {} : { entry }) }
}

function located<T> (place: number, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw at(place, error)
  }
}

async function locatedAsync<T> (place: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw at(place, error)
  }
}

/** The same error, saying which entry it came from; what the database may try again stays as it is. */
function at (place: number, error: unknown): unknown {
  if (error instanceof InvalidResource) {
    return new InvalidResource(error.findings.map(finding => ({ ...finding, expression: finding.expression.replace(/^[A-Za-z]+/, `Bundle.entry[${place}].resource`) })), error.status)
  }
  if (error instanceof ServiceError && error.category !== 'fault') {
    return new ServiceError(error.category, error.code, `entry ${place}: ${error.message}`, { cause: error, ...(error.retryAfterS === undefined ? {} : { retryAfterS: error.retryAfterS }) })
  }
  return error
}
