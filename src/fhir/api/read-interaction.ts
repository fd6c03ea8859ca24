/** Read, vread, history and search: what the caller may not see is answered like what is absent. */

import type { Bundle, BundleEntry, Observation, Resource } from '@medplum/fhirtypes'
import { epochMs } from '../../model/units.ts'
import { type Answer, type Caller, type FhirDeps, type Interaction, isStored, LETTER } from './interaction.ts'
import type { ObservationPage } from '../views/observation-query.ts'
import type { Visibility } from '../words/search-words.ts'
import { outcome } from './outcome.ts'
import { readPageToken, writePageToken } from './page-token.ts'
import type { ResourceReader, StoredPage } from '../resources/resource-store.ts'
import { knownParameters, observationQuery, type SearchContext, storedQuery } from './search-parameters.ts'
import { parseSearchRequest, refused, type SearchPair } from './search-request.ts'
import { searchsetText } from './searchset.ts'
import { absent, answer } from './write-interaction.ts'

/** @throws ServiceError forbidden before any store is asked; not-found for absent and invisible alike */
export async function readInteraction (
  interaction: Interaction, caller: Caller, deps: FhirDeps, reader: ResourceReader = deps.store
): Promise<Answer> {
  const visibleTo = caller.access(interaction.type, LETTER[interaction.code])
  if (interaction.code === 'search-type') return search(interaction, visibleTo, caller, deps, reader)
  if (interaction.code === 'history-instance') return history(interaction, visibleTo, caller, deps, reader)
  const { type, id, versionId } = interaction
  if (!isStored(type)) {
    const found = await deps.readObservation(id!, versionId, visibleTo)
    if (found === undefined) throw absent()
    return observationAnswer(found)
  }
  const found = interaction.code === 'vread'
    ? await reader.vread(type, id!, versionId!, visibleTo, caller.now)
    : await reader.read(type, id!, visibleTo, caller.now)
  if (found === undefined) throw absent()
  return answer(200, found)
}

function observationAnswer (resource: Observation): Answer {
  const { versionId, lastUpdated } = resource.meta ?? {}
  return {
    status: 200,
    resource,
    location: `Observation/${resource.id}`,
    ...(versionId === undefined ? {} : { versionId }),
    ...(lastUpdated === undefined ? {} : { lastUpdated: epochMs(Date.parse(lastUpdated)) })
  }
}

async function history (interaction: Interaction, visibleTo: Visibility, caller: Caller, deps: FhirDeps, reader: ResourceReader): Promise<Answer> {
  const { type, id } = interaction
  const { pairs } = parseSearchRequest({ query: interaction.query ?? '' }, new Set(['_count', '_page']), { lenient: interaction.lenient === true })
  const count = wholeNumber(pairs, '_count') ?? deps.limits.countDefault
  const before = wholeNumber(pairs, '_page')
  const page = { count: Math.max(1, Math.min(count, deps.limits.countMax)), ...(before === undefined ? {} : { before }) }
  const versions: Resource[] = isStored(type)
    ? (await reader.history(type, id!, page, visibleTo, caller.now)).map(version => version.resource)
    : await deps.readObservationHistory(id!, page, visibleTo)
  if (versions.length === 0 && before === undefined) throw absent()
  const address = `${deps.baseUrl()}/${type}/${id}/_history`
  const oldest = Number(versions.at(-1)?.meta?.versionId)
  const bundle: Bundle = {
    resourceType: 'Bundle',
    type: 'history',
    link: [
      { relation: 'self', url: address },
      ...(versions.length === page.count && oldest > 1 ? [{ relation: 'next', url: `${address}?_count=${page.count}&_page=${oldest}` }] : [])
    ],
    entry: versions.map(resource => historyEntry(resource, `${deps.baseUrl()}/${type}/${id}`))
  }
  return { status: 200, resource: bundle }
}

function historyEntry (resource: Resource, fullUrl: string): BundleEntry {
  const first = resource.meta?.versionId === '1'
  return {
    fullUrl,
    resource,
    request: first ? { method: 'POST', url: resource.resourceType } : { method: 'PUT', url: `${resource.resourceType}/${resource.id}` },
    response: { status: first ? '201' : '200', etag: `W/"${resource.meta?.versionId}"`, ...(resource.meta?.lastUpdated === undefined ? {} : { lastModified: resource.meta.lastUpdated }) }
  }
}

async function search (interaction: Interaction, visibleTo: Visibility, caller: Caller, deps: FhirDeps, reader: ResourceReader): Promise<Answer> {
  const { type } = interaction
  const sent = { query: interaction.query ?? '', ...(interaction.form === undefined ? {} : { form: interaction.form }) }
  const { pairs, ignored } = parseSearchRequest(sent, knownParameters(type), { lenient: interaction.lenient === true })
  const asked = pairs.filter(pair => pair.name !== '_page')
  const self = asked.map(printPair).join('&')
  const boundTo = JSON.stringify([type, self, caller.name, visibleTo])
  const token = pairs.find(pair => pair.name === '_page')?.value
  const place = token === undefined ? undefined : readPageToken(token, boundTo, deps.pageKey)
  const now = place?.now ?? caller.now
  const context: SearchContext = { now, baseUrl: deps.baseUrl(), countDefault: deps.limits.countDefault, countMax: deps.limits.countMax }
  const after = place === undefined ? {} : { after: place.after, asOf: place.asOf }
  const page: Page = isStored(type)
    ? toPage(await reader.search(type, { ...storedQuery(asked, context), ...after }, visibleTo, caller.now))
    : await deps.searchObservations({ ...observationQuery(asked, context), ...after }, visibleTo)
  const next = page.next === undefined ? undefined : writePageToken({ asOf: page.asOf, now, after: page.next }, boundTo, deps.pageKey)
  const address = (query: string): string => `${deps.baseUrl()}/${type}${query === '' ? '' : `?${query}`}`
  const parts = {
    self: address(self),
    ...(next === undefined ? {} : { next: address(`${self === '' ? '' : `${self}&`}_page=${next}`) }),
    ...(page.total === undefined ? {} : { total: page.total }),
    ...(ignored.length === 0 ? {} : { outcome: outcome('not-supported', `ignored because of Prefer: handling=lenient: ${ignored.join(', ')}`, 'warning') })
  }
  const texts = page.texts ?? page.resources.map(resource => ({ id: resource.id!, text: JSON.stringify(resource) }))
  return { status: 200, text: searchsetText({ baseUrl: deps.baseUrl(), type, texts, ...parts }) }
}

type Page = Pick<ObservationPage, 'texts' | 'next' | 'asOf' | 'total'> & { resources: readonly Resource[] }

function toPage ({ versions, ...page }: StoredPage): Page { return { ...page, resources: versions.map(version => version.resource) } }

function printPair (pair: SearchPair): string {
  const name = pair.modifier === undefined ? pair.name : `${pair.name}:${pair.modifier}`
  return `${encodeURIComponent(name)}=${encodeURIComponent(pair.value)}`
}

function wholeNumber (pairs: readonly SearchPair[], name: string): number | undefined {
  const value = pairs.find(pair => pair.name === name)?.value
  if (value === undefined) return undefined
  if (!/^\d{1,9}$/.test(value)) throw refused(`${name}: a whole number`)
  return Number(value)
}
