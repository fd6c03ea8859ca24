/** Patient, Device, DeviceMetric and DeviceUseStatement on the linkage store: every version kept, rules checked before each commit. */

import { randomUUID } from 'node:crypto'
import type { Pool, PoolClient } from 'pg'
import type { DeviceModels } from '../../model/device-model.ts'
import { instant } from '../../model/identifier.ts'
import { ServiceError } from '../../model/errors.ts'
import type { EpochMs } from '../../model/units.ts'
import { asStoreError, transaction as inTransaction } from '../../platform/postgres/pool.ts'
import type { Write, WriteClock } from '../../platform/write-clock.ts'
import type { Pseudonyms } from '../../stores/linkage/association.ts'
import { notifyChange } from '../../stores/linkage/change-feed.ts'
import { readCurrent, readHistory, readVersion, type StoredVersion as StoredText, writeVersion } from '../../stores/linkage/resource.ts'
import { createNameLocks } from '../../stores/linkage/name-locks.ts'
import { countResources, isVisible, newestUpdate, type ResourceQuery, searchResources } from '../../stores/linkage/resource-search.ts'
import { applyRules, type RuleDeps, type Written } from './apply-rules.ts'
import { withAssociationIdentifier } from './association-rules.ts'
import { readReference, ruleBroken } from './business-rule.ts'
import { DEMO_CODING } from '../words/demo-coding.ts'
import { telemetryName } from './device-rules.ts'
import type { LinkageCommit } from './linkage-commit.ts'
import { SEARCH_WAIT_MS, seesAll, type Visibility } from '../words/search-words.ts'
import type { ResourceReader, ResourceStore, ResourceTransaction, StoredQuery, StoredResource, StoredType, StoredVersion, WrittenName } from './resource-store.ts'

export interface RepositoryOptions {
  pool: Pool
  models: DeviceModels
  blindIndexes: RuleDeps['blindIndexes']
  pseudonyms: Pseudonyms
  /** Base of absolute references to this server, without a trailing slash. */
  baseUrl: () => string
  /** Resources written here are marked DEMO. */
  isDemo: boolean
  /** Gives the times of versions; a search reads up to what it holds complete. */
  writes: WriteClock
  /** Called after each commit that wrote something, before the caller has its answer. */
  onCommitted: (commit: LinkageCommit) => void | Promise<void>
  newId?: () => string
  /** How often a transaction is tried when the database ends it to resolve a deadlock. Default 3. */
  triesMax?: number
}

/** `transaction` may call its `work` again after a deadlock. */
export function createRepository (options: RepositoryOptions): ResourceStore {
  const { pool, writes, triesMax = 3 } = options
  return {
    ...createReader(pool, async type => {
      const through = await writes.completeThrough(SEARCH_WAIT_MS)
      const newest = await newestUpdate(pool, type, through)
      return writes.isAhead(newest) ? newest : through
    }),
    async transaction (work) {
      for (let attempt = 1; ; attempt++) {
        const timed = timeOnce(writes)
        try {
          const { result, commit } = await inTransaction(pool, client => runOnce(client, work, options, timed.time)).finally(timed.end)
          if (commit !== undefined) await options.onCommitted(commit)
          return result
        } catch (error) {
          if (attempt < triesMax && isDeadlock(error)) continue
          throw asFhirError(error)
        }
      }
    }
  }
}

/** One time for all that a transaction writes, from its first write on. */
function timeOnce (writes: WriteClock): { time: () => EpochMs, end: () => void } {
  let write: Write | undefined
  return {
    time: () => {
      write ??= writes.begin()
      return write.time
    },
    end: () => { write?.end() }
  }
}

async function runOnce<T> (
  client: PoolClient, work: (transaction: ResourceTransaction) => Promise<T>, options: RepositoryOptions, time: () => EpochMs
): Promise<{ result: T, commit: LinkageCommit | undefined }> {
  const { transaction, written, create } = createTransaction(client, options, time)
  const result = await work(transaction)
  if (written.size === 0) return { result, commit: undefined }
  const commit = await applyRules(client, written, { ...options, create }, time())
  await notifyChange(client, commit)
  return { result, commit }
}

function createTransaction (client: PoolClient, options: RepositoryOptions, time: () => EpochMs) {
  const { newId = randomUUID } = options
  const written = new Map<string, Written>()
  const locks = createNameLocks(client)

  async function write (resource: StoredResource, current: StoredText | undefined): Promise<StoredVersion> {
    const now = time()
    const version = (current?.version ?? 0) + 1
    const name = `${resource.resourceType}/${resource.id}`
    const before = written.has(name) ? written.get(name)!.before : current && parse(current).resource
    const after = withMeta(resource, version, now, options.isDemo)
    const identifiers = identifiersOf(after)
    await locks.lock(identifiers.map(({ value }) => identifierLock(after.resourceType, value)))
    await writeVersion(client, {
      type: after.resourceType, id: after.id!, version, lastUpdated: now, text: JSON.stringify(after),
      identifiers, references: referencesOf(after, options.baseUrl())
    })
    written.set(name, { ...(before === undefined ? {} : { before }), after, version })
    return { resource: after, versionId: version, lastUpdated: now }
  }

  async function locked (resource: StoredResource): Promise<StoredText | undefined> {
    await locks.lock([idLock(resource.resourceType, resource.id!)])
    return readCurrent(client, resource.resourceType, resource.id!)
  }

  async function create (resource: StoredResource): Promise<StoredVersion> { return write(await named(resource), undefined) }

  async function named (resource: StoredResource): Promise<StoredResource> {
    if (resource.resourceType !== 'DeviceUseStatement') return resource
    const device = readReference(resource.device?.reference, options.baseUrl())
    const stored = device && (written.get(`Device/${device.id}`)?.after ?? (await readCurrentResource(client, 'Device', device.id)))
    const telemetry = stored?.resourceType === 'Device' ? telemetryName(stored) : undefined
    return telemetry === undefined ? resource : withAssociationIdentifier(resource, telemetry)
  }

  const transaction: ResourceTransaction = {
    // What it wrote itself is newer than `now`.
    ...createReader(client, (type, now) => newestUpdate(client, type, now)),
    lockNames: names => names.some(isWholeSystem) ? locks.lockAll() : locks.lock(names.map(lockOf)),
    async matchForWrite (type, identifiers, limit, visibleTo, now) {
      await transaction.lockNames(identifiers.flat().map(token => ({ type, token })))
      const query: ResourceQuery = { identifiers, lastUpdated: [], references: [], visibleTo, now, asOf: EVER }
      return (await searchResources(client, type, query, { descending: false, limit })).map(parse)
    },
    create,
    async updateAsCreate (resource) {
      if (await locked(resource) !== undefined) throw new ServiceError('conflict', 'FHIR_CONFLICT', `the id is taken by another ${resource.resourceType}`)
      return create(resource)
    },
    async update (resource, ifMatch) {
      const current = await locked(resource)
      if (current === undefined) throw new ServiceError('not-found', 'FHIR_NOT_FOUND', 'no such resource')
      if (ifMatch !== undefined && ifMatch !== String(current.version)) {
        throw new ServiceError('conflict', 'FHIR_PRECONDITION', `version ${current.version} is current: read it and decide again`)
      }
      if (JSON.stringify(withMeta(resource, current.version, current.lastUpdated, options.isDemo)) === current.text) return parse(current)
      return write(resource, current)
    }
  }
  return {
    transaction,
    written,
    create: async (resource: StoredResource) => { await create({ ...resource, id: newId() } as StoredResource) }
  }
}

// The last moment PostgreSQL and JavaScript can both write.
const EVER = Date.UTC(9999, 11, 31) as EpochMs

/** @param begin the time that a search without one reads up to */
function createReader (db: Pool | PoolClient, begin: (type: StoredType, now: EpochMs) => Promise<EpochMs>): ResourceReader {
  const visible = (type: StoredType, id: string, visibleTo: Visibility, now: EpochMs) => seesAll(visibleTo) || isVisible(db, type, id, visibleTo, now)
  return {
    read: (type, id, visibleTo, now) => answered(async () => {
      const stored = await readCurrent(db, type, id)
      return stored !== undefined && await visible(type, id, visibleTo, now) ? parse(stored) : undefined
    }),
    vread: (type, id, versionId, visibleTo, now) => answered(async () => {
      const stored = /^[1-9]\d{0,8}$/.test(versionId) ? await readVersion(db, type, id, Number(versionId)) : undefined
      return stored !== undefined && await visible(type, id, visibleTo, now) ? parse(stored) : undefined
    }),
    history: (type, id, page, visibleTo, now) => answered(async () =>
      await visible(type, id, visibleTo, now) ? (await readHistory(db, type, id, page.count, page.before)).map(parse) : []),
    search: (type, query, visibleTo, now) => answered(async () => {
      const asOf = query.asOf ?? await begin(type, now)
      const wish = toResourceQuery(query, visibleTo, now, asOf)
      const [at, id] = query.after ?? []
      const after = at === undefined || id === undefined ? {} : { after: { lastUpdated: Number(at) as EpochMs, id: String(id) } }
      const found = query.count === 0 ? [] : await searchResources(db, type, wish, { descending: query.descending, limit: query.count + 1, ...after })
      const versions = found.slice(0, query.count).map(parse)
      const last = versions.at(-1)
      return {
        versions,
        asOf,
        ...(found.length > query.count && last !== undefined ? { next: [last.lastUpdated, last.resource.id!] } : {}),
        ...(query.total === 'none' ? {} : { total: await countResources(db, type, wish) })
      }
    })
  }
}

function toResourceQuery (query: StoredQuery, visibleTo: Visibility, now: EpochMs, asOf: EpochMs): ResourceQuery {
  const references: ResourceQuery['references'][number][] = []
  if (query.devices !== undefined) references.push({ element: 'device', targetType: 'Device', ids: query.devices })
  if (query.patients !== undefined) references.push({ element: 'subject', targetType: 'Patient', ids: query.patients })
  if (query.sources !== undefined) references.push({ element: 'source', targetType: 'Device', ids: query.sources })
  return {
    ...(query.ids === undefined ? {} : { ids: query.ids }),
    identifiers: query.identifiers, lastUpdated: query.lastUpdated, references, visibleTo, now, asOf
  }
}

function parse (stored: StoredText): StoredVersion {
  return { resource: JSON.parse(stored.text) as StoredResource, versionId: stored.version, lastUpdated: stored.lastUpdated }
}

async function readCurrentResource (client: PoolClient, type: StoredType, id: string): Promise<StoredResource | undefined> {
  const stored = await readCurrent(client, type, id)
  return stored && parse(stored).resource
}

/** `resourceType`, `id` and `meta` first; what the writer said of version and time is replaced. */
function withMeta (resource: StoredResource, version: number, now: EpochMs, isDemo: boolean): StoredResource {
  const { resourceType, id, meta, ...rest } = resource
  const { versionId: _, lastUpdated: __, tag = [], ...kept } = meta ?? {}
  const isMarked = tag.some(one => one.system === DEMO_CODING.system && one.code === DEMO_CODING.code)
  const tags = isDemo && !isMarked ? [...tag, DEMO_CODING] : tag
  return { resourceType, id, meta: { versionId: String(version), lastUpdated: instant(now), ...kept, ...(tags.length === 0 ? {} : { tag: tags }) }, ...rest } as StoredResource
}

/** What an index entry of the database can hold. */
const IDENTIFIER_BYTES_MAX = 2_000

function identifiersOf (resource: StoredResource): { system: string, value: string }[] {
  return (resource.identifier ?? []).flatMap(({ system = '', value }) => {
    if (value === undefined) return []
    if (Buffer.byteLength(system + value) <= IDENTIFIER_BYTES_MAX) return [{ system, value }]
    throw ruleBroken(`${resource.resourceType}.identifier`, `system and value together are longer than ${IDENTIFIER_BYTES_MAX} bytes`)
  })
}

function referencesOf (resource: StoredResource, baseUrl: string): { element: string, type: string, id: string }[] {
  const found: { element: string, type: string, id: string }[] = []
  const add = (element: string, reference: string | undefined) => {
    const target = readReference(reference, baseUrl)
    if (target !== undefined) found.push({ element, type: target.type, id: target.id })
  }
  if (resource.resourceType === 'DeviceUseStatement') {
    add('subject', resource.subject?.reference)
    add('device', resource.device?.reference)
  }
  if (resource.resourceType === 'DeviceMetric') {
    add('source', resource.source?.reference)
    add('parent', resource.parent?.reference)
  }
  if (resource.resourceType === 'Device') add('parent', resource.parent?.reference)
  return found
}

function lockOf (name: WrittenName): string { return 'id' in name ? idLock(name.type, name.id) : identifierLock(name.type, name.token.code!) }
function isWholeSystem (name: WrittenName): boolean { return 'token' in name && name.token.code === undefined }

// As JSON, since what is still to be refused may hold what PostgreSQL cannot.
function idLock (type: StoredType, id: string): string { return `id/${type}/${JSON.stringify(id)}` }
/** By the value alone: with its system and without it the same resource may be meant. */
function identifierLock (type: StoredType, value: string): string { return `identifier/${type}/${JSON.stringify(value)}` }

async function answered<T> (work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw asStoreError(error)
  }
}

function codeOf (error: unknown): unknown { return error instanceof Error && 'code' in error ? error.code : undefined }
function isDeadlock (error: unknown): boolean { return codeOf(error) === '40P01' || codeOf(error) === '40001' }

function asFhirError (error: unknown): unknown {
  if (error instanceof ServiceError) return error
  const conflict = (message: string) => new ServiceError('conflict', 'FHIR_CONFLICT', message, { cause: error })
  switch (codeOf(error)) {
    case '23P01': return conflict('DeviceUseStatement.timingPeriod: another association of the device covers a part of this period: close it first')
    case '23505': return conflict('an id or an identifier that must be unique is taken by another resource')
    case '22021': case '22P02': case '22P05': return new ServiceError('incorrect', 'FHIR_INVALID', 'a text holds a character that cannot be stored (U+0000, or half of a surrogate pair)', { cause: error })
    case '40P01': case '40001': return conflict('other writers changed the same resources at the same time: send it again')
    default: return error
  }
}
