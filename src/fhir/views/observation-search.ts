/** A search on Observation -> one page of views as text. One total order: sort keys, then id; a page goes on behind the last key. */

import type { Observation } from '@medplum/fhirtypes'
import { type IdentifierKind, identifierSystem, viewId } from '../../model/identifier.ts'
import type { Sid } from '../../model/reading.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import { viewsOf } from '../../model/view-ids.ts'
import type { WindowStatus } from '../../model/window.ts'
import type { WriteClock } from '../../platform/write-clock.ts'
import type { ViewText } from './mapping-schema.ts'
import type { FrameTools } from './observation-frame.ts'
import type { PublishedView, RowKey, SeriesRow, ViewLoader } from './observation-load.ts'
import { isVisible, matchesQuery, startOf } from './observation-match.ts'
import type { ObservationPage, ObservationQuery } from './observation-query.ts'
import { matchesAny, SEARCH_WAIT_MS, type Token, type Visibility } from '../words/search-words.ts'
import { boundsOf, metricsOfQuery, rangeOf, rowStatuses, type SidSources, sidsOfQuery } from './observation-scope.ts'
import { renderObservation } from './observation-view.ts'

/** A question to the ledger as the series store answers it. */
export interface RowQuery {
  series: readonly { number: number }[]
  metrics?: readonly string[]
  start?: { from?: EpochMs, until?: EpochMs }
  issued?: { from?: EpochMs, until?: EpochMs }
  statuses?: readonly WindowStatus[]
  asOf?: EpochMs
  order: 'start' | 'issued'
  descending: boolean
  after?: RowKey & { at: EpochMs }
  limit: number
}

export interface RowSources {
  /** Latest revisions at `asOf`, in order of window start or time of issue. */
  search (query: RowQuery): Promise<readonly SeriesRow[]>
  /** Windows of these Observation ids, their latest revisions; an unknown id is missing. */
  byViewIds (ids: readonly string[]): Promise<readonly { view: { id: string }, latest: SeriesRow }[]>
  /** Numbers of the sids with the largest window in ms that each has closed; a sid that never held a reading is missing. */
  seriesOf (sids: readonly Sid[]): Promise<readonly { number: number, sizeMs: number }[]>
}

export interface SearchParts {
  rows: RowSources
  sids: SidSources
  loader: ViewLoader
  tools: FrameTools
  /** That of those who issue. */
  writes: WriteClock
}

/** `resources` are made from `texts` when asked for. */
export interface ObservationTextPage extends ObservationPage {
  /** JSON text of each Observation, in order, with its id. */
  texts: readonly { id: string, text: string }[]
}

type Key = readonly (string | number)[]
interface Keyed { key: Key, found: PublishedView }

/** Most ledger rows read at once. */
const CHUNK_MAX = 2_000
const CHUNK_MIN = 32

export async function searchObservations (query: ObservationQuery, visibleTo: Visibility, parts: SearchParts): Promise<ObservationTextPage> {
  const isWanted = (found: PublishedView) => isVisible(found, visibleTo) && matchesQuery(found, query)
  // Before anything is read: what becomes visible in between is newer.
  const through = query.asOf ?? await parts.writes.completeThrough(SEARCH_WAIT_MS)
  const named = await namedIds(query, parts)
  const { source, asOf } = named === undefined ? await ledgerSource(query, visibleTo, through, parts) : await namedSource(named, query, through, parts)
  const place = { order: compareBy(query), keyOf: (found: PublishedView) => keyOf(found, query), isWanted }
  const entries = query.count === 0 ? [] : await firstEntries(source, query, place)
  const shown = entries.slice(0, query.count)
  const next = entries.length > shown.length ? shown.at(-1)?.key : undefined
  const total = query.total === 'none' ? undefined : await countAll(source, isWanted)
  const texts = shown.map(({ found }) => ({ id: found.view.id, text: renderObservation(found.view, found.frame.naming, parts.tools) }))
  return {
    texts,
    asOf,
    get resources () { return texts.map(({ text }) => JSON.parse(text) as Observation) },
    ...(next === undefined ? {} : { next }),
    ...(total === undefined ? {} : { total })
  }
}

/** Where the candidates come from, and what bounds them on every page. */
interface Bounded { source: Source, asOf: EpochMs }

/** Chunks of candidates in the order of the ledger. `isFinal(found)`: no later chunk holds anything that sorts before it. */
interface Chunk { found: readonly PublishedView[], isFinal: (found: PublishedView) => boolean, isLast: boolean }
type Source = (after: Key | undefined) => AsyncGenerator<Chunk>

interface Order { order: (a: Keyed, b: Keyed) => number, keyOf: (found: PublishedView) => Key, isWanted: (found: PublishedView) => boolean }

/** One entry more than the page holds, where there is one. */
async function firstEntries (source: Source, query: ObservationQuery, { order, keyOf, isWanted }: Order): Promise<Keyed[]> {
  const behind = query.after === undefined ? () => true : (entry: Keyed) => order(entry, { ...entry, key: query.after! }) > 0
  let waiting: Keyed[] = []
  const entries: Keyed[] = []
  for await (const { found, isFinal, isLast } of source(query.after)) {
    waiting.push(...found.filter(isWanted).map(one => ({ key: keyOf(one), found: one })).filter(behind))
    const ready = isLast ? waiting : waiting.filter(entry => isFinal(entry.found))
    waiting = isLast ? [] : waiting.filter(entry => !isFinal(entry.found))
    entries.push(...ready.sort(order))
    if (entries.length > query.count) break
  }
  return entries.slice(0, query.count + 1)
}

async function countAll (source: Source, isWanted: Order['isWanted']): Promise<number> {
  let count = 0
  for await (const { found } of source(undefined)) for (const one of found) if (isWanted(one)) count++
  return count
}

function keyOf (found: PublishedView, { sort }: ObservationQuery): Key {
  return [...sort.map(({ by }) => by === 'date' ? startOf(found) : found.view.row.issued), found.view.id]
}

function compareBy ({ sort }: ObservationQuery): Order['order'] {
  return (a, b) => {
    for (const [place, { descending }] of sort.entries()) {
      const difference = (a.key[place] as number) - (b.key[place] as number)
      if (difference !== 0) return descending ? -difference : difference
    }
    const [one, other] = [a.key.at(-1)!, b.key.at(-1)!]
    return one < other ? -1 : one > other ? 1 : 0
  }
}

/** Walks the ledger along the first sort key. */
async function ledgerSource (query: ObservationQuery, visibleTo: Visibility, through: EpochMs, parts: SearchParts): Promise<Bounded> {
  const sids = await sidsOfQuery(query, visibleTo, parts.sids)
  const series = sids.length === 0 ? [] : await parts.rows.seriesOf(sids)
  const first = query.sort[0] ?? { by: 'date', descending: true }
  const reach = { sizeMs: series.reduce((largest, one) => Math.max(largest, one.sizeMs), 0), slackMs: largestPeriod(parts) }
  const metrics = metricsOfQuery(query, parts.tools.mappings, parts.tools.pipelines.models())
  const statuses = rowStatuses(query.statuses)
  const isNamed = (texts: ViewText) => query.codes.every(tokens => matchesAny(tokens, texts.code.coding)) && query.categories.every(tokens => matchesAny(tokens, [texts.category]))
  // A few more than the page: rows of the same time may sort before each other.
  const limit = Math.min(CHUNK_MAX, Math.max(CHUNK_MIN, query.count + 16))
  const asOf = query.asOf ?? await withNewest(through, series, metrics, parts)
  const source: Source = async function * (after) {
    if (series.length === 0 || metrics?.length === 0 || statuses?.length === 0) return
    let cursor: RowQuery['after']
    for (;;) {
      const rows = await parts.rows.search({
        series,
        ...(metrics === undefined ? {} : { metrics }),
        ...(statuses === undefined ? {} : { statuses }),
        ...timesOf(query, first, after, reach),
        asOf, order: first.by === 'date' ? 'start' : 'issued', descending: first.descending, limit,
        ...(cursor === undefined ? {} : { after: cursor })
      })
      const last = rows.at(-1)
      const isLast = rows.length < limit || last === undefined
      yield { found: await parts.loader.current(rows, asOf, isNamed), isFinal: found => !isLast && isFinal(found, last, first, reach), isLast }
      if (isLast) return
      cursor = { at: first.by === 'date' ? last.windowStart : last.issued, series: last.series, metric: last.metric, windowStart: last.windowStart, sizeMs: last.sizeMs }
    }
  }
  return { source, asOf }
}

/** `through`, or when the newest of these windows was issued where that lies beyond the clock, which was set back. */
async function withNewest (through: EpochMs, series: RowQuery['series'], metrics: readonly string[] | undefined, { rows, writes }: SearchParts): Promise<EpochMs> {
  if (series.length === 0 || metrics?.length === 0) return through
  const [newest] = await rows.search({
    series, ...(metrics === undefined ? {} : { metrics }), issued: { from: epochMs(through + 1) }, order: 'issued', descending: true, limit: 1
  })
  return newest !== undefined && writes.isAhead(newest.issued) ? newest.issued : through
}

type SortKey = ObservationQuery['sort'][number]
/** An Observation begins at most `slackMs` before its window and before its window ends. */
interface Reach { sizeMs: number, slackMs: number }

function isFinal (found: PublishedView, last: SeriesRow, { by, descending }: SortKey, { sizeMs, slackMs }: Reach): boolean {
  if (by === '_lastUpdated') return descending ? found.view.row.issued > last.issued : found.view.row.issued < last.issued
  const start = startOf(found)
  return descending ? start >= last.windowStart + sizeMs : start < last.windowStart - slackMs
}

function timesOf (query: ObservationQuery, first: SortKey, after: Key | undefined, { sizeMs, slackMs }: Reach): Pick<RowQuery, 'start' | 'issued'> {
  const dates = boundsOf(query.dates)
  const start = { from: dates.from - sizeMs - slackMs - 1, until: dates.until + slackMs }
  const issued = boundsOf(query.lastUpdated)
  const place = after?.[0] as number | undefined
  if (place !== undefined && first.by === 'date') {
    if (first.descending) start.until = Math.min(start.until, place + slackMs + 1)
    else start.from = Math.max(start.from, place - sizeMs)
  }
  if (place !== undefined && first.by === '_lastUpdated') {
    if (first.descending) issued.until = Math.min(issued.until, place + 1)
    else issued.from = Math.max(issued.from, place)
  }
  return { start: rangeOf(start), issued: rangeOf(issued) }
}

function largestPeriod ({ tools }: SearchParts): number {
  return Math.max(0, ...tools.pipelines.models().flatMap(model => model.channels.map(channel => Math.ceil(channel.periodMs))))
}

/** Ids that `_id`, `identifier` and `derived-from` leave; `undefined` when none of them names any. */
async function namedIds (query: ObservationQuery, parts: SearchParts): Promise<ReadonlySet<string> | undefined> {
  const lists: (readonly string[])[] = []
  if (query.ids !== undefined) lists.push(query.ids)
  for (const tokens of query.identifiers) if (!tokens.some(namesKind)) lists.push(await idsOfIdentifiers(tokens, parts))
  for (const refs of query.derivedFrom) lists.push(await idsOfDerived(refs, parts))
  if (lists.length === 0) return undefined
  const [first, ...others] = lists.map(list => new Set(list))
  return new Set([...first!].filter(id => others.every(other => other.has(id))))
}

const VIEW_IDENTIFIERS: readonly IdentifierKind[] = ['telemetry-window', 'telemetry-panel', 'telemetry-numeric', 'derived-window']

/** A system of ours without a value: no list of ids holds what it means, each view found is asked. */
function namesKind ({ system, code }: Token): boolean { return code === undefined && VIEW_IDENTIFIERS.some(kind => identifierSystem(kind) === system) }

/** `<association>/<name>` of each token -> the ids it can mean. */
async function idsOfIdentifiers (tokens: readonly Token[], { sids }: SearchParts): Promise<string[]> {
  const named = tokens.flatMap(({ system, code }) => {
    const slash = code?.indexOf('/') ?? -1
    return slash < 1 ? [] : [{ system, association: code!.slice(0, slash), name: code!.slice(slash + 1) }]
  })
  const known = await sids.ofAssociations([...new Set(named.map(({ association }) => association))])
  return named.flatMap(({ system, association, name }) => {
    const sid = known.get(association)
    if (sid === undefined) return []
    return VIEW_IDENTIFIERS.filter(kind => system === undefined || system === identifierSystem(kind)).map(kind => viewId(kind, sid, name))
  })
}

/** Derived views of the windows that show the raw Observations named, at the revision named. */
async function idsOfDerived (refs: readonly { id: string, versionId?: string }[], { rows }: SearchParts): Promise<string[]> {
  const found = new Map((await rows.byViewIds(refs.map(ref => ref.id))).map(one => [one.view.id, one.latest]))
  return refs.flatMap(({ id, versionId }) => {
    const latest = found.get(id)
    if (latest === undefined || (versionId !== undefined && versionId !== String(latest.revision))) return []
    const views = viewsOf(latest)
    const isSource = views.some(view => view.id === id && (view.kind === 'sampled' || view.kind === 'single'))
    return isSource ? views.filter(view => view.kind === 'mean' || view.kind === 'rate' || view.kind === 'deficit').map(view => view.id) : []
  })
}

async function namedSource (ids: ReadonlySet<string>, query: ObservationQuery, through: EpochMs, { rows, loader, writes }: SearchParts): Promise<Bounded> {
  const windows = new Map((await rows.byViewIds([...ids])).map(({ latest }) => [`${latest.series} ${latest.metric} ${latest.windowStart} ${latest.sizeMs}`, latest]))
  const newest = epochMs(Math.max(through, ...[...windows.values()].map(({ issued }) => issued)))
  const asOf = query.asOf === undefined && writes.isAhead(newest) ? newest : through
  // The newest revision may be newer than the search: the loader goes back to what was there.
  const found = (await loader.current([...windows.values()], asOf)).filter(({ view }) => ids.has(view.id) && view.row.issued <= asOf)
  return { source: async function * () { yield { found, isFinal: () => true, isLast: true } }, asOf }
}
