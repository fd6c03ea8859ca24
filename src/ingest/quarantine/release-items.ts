/** Items of quarantine → their records, identified anew: what resolves is published and marked, the rest stays under the reason it has now. */

import { ServiceError } from '../../model/errors.ts'
import type { Sid } from '../../model/reading.ts'
import { type ReasonCode, WAITING_REASONS } from '../../model/reason.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Events } from '../../observability/events.ts'
import { undefinedWhenDestroyed } from '../../security/data-keys.ts'
import { itemOf } from '../accept.ts'
import { fractionsByBody } from '../check-reading.ts'
import { decodeAvroRecords } from '../decode/avro.ts'
import { FIXED_ID_MAX } from '../decode/fixed-schemas.ts'
import { decodeJson, decodeJsonBySchema, readStored } from '../decode/json.ts'
import { decodeProtobufRecord } from '../decode/protobuf.ts'
import type { DecodedBody, DecodedRecord, DecodeLimits } from '../decode/record.ts'
import type { Schemas } from '../decode/schemas.ts'
import type { Failure, Identify } from '../identify.ts'
import { type PublishDeps, publishGroups } from '../publish-groups.ts'
import type { Arrival } from '../raw-frame.ts'
import type { Origin } from '../source-position.ts'
import { bodyOf, originOf, type SealedItem, wasStored } from './quarantine-item.ts'
import type { Quarantine } from './quarantine.ts'

export interface ReleaseDeps extends PublishDeps, ItemDecoding {
  identify: Identify
  quarantine: Pick<Quarantine, 'whileOpen' | 'add' | 'settle' | 'keep' | 'open'>
  events: Pick<Events, 'released'>
  /** Who wears the device now, if anybody. */
  sidNow: (deviceId: string) => Promise<Sid | undefined>
}

export interface ReleaseOutcome {
  releasedCount: number
  /** Items that still wait. */
  leftCount: number
  /** Sids under which items were released; of a look, the sid under which the device is worn now. */
  sids: readonly Sid[]
  /** True when the identity store did not answer for one of them. */
  isUnavailable: boolean
}

export interface ReleaseOptions {
  /** What released items become. Default `released`. */
  state?: 'released' | 'resubmitted'
  /** The clock by which their times are judged. Default: when each arrived. */
  judgedAt?: EpochMs
  /** Makes it a look: called in the tick in which an item proves to be releasable, and then nothing is published or written. */
  onReleasable?: () => void
}

/** Items of kind `record`, in the order in which they are to be published. */
export type ReleaseItems = (items: readonly SealedItem[], options?: ReleaseOptions) => Promise<ReleaseOutcome>

/** Note of an item whose bytes nobody can open any more. */
export const KEY_OF_DAY_DESTROYED = 'the key of its day was destroyed'

interface Opened { items: SealedItem[], records: DecodedRecord[], lost: string[], unread: Kept[] }
type Kept = { id: string, kind: SealedItem['kind'], reason: ReasonCode }

/** What fits no record of the bus at once goes in halves, in its order; an item that fits none alone is held. */
export function createReleaseItems (deps: ReleaseDeps): ReleaseItems {
  const releaseAtOnce = atOnce(deps)

  return async function releaseItems (items, options): Promise<ReleaseOutcome> {
    try {
      // A look takes nothing out.
      if (options?.onReleasable !== undefined) return await releaseAtOnce(items, options)
      return await deps.quarantine.whileOpen(items.map(({ id }) => id), open => releaseAtOnce(items.filter(({ id }) => open.has(id)), options))
    } catch (error) {
      if (!(error instanceof ServiceError && error.code === 'BUS_RECORD_TOO_LARGE')) throw error
      if (items.length === 1) {
        await deps.quarantine.keep([{ id: items[0]!.id, kind: 'record', reason: 'record-too-large' }])
        return { releasedCount: 0, leftCount: 0, sids: [], isUnavailable: false }
      }
      const middle = items.length >> 1
      return both(await releaseItems(items.slice(0, middle), options), await releaseItems(items.slice(middle), options))
    }
  }
}

function both (a: ReleaseOutcome, b: ReleaseOutcome): ReleaseOutcome {
  return { releasedCount: a.releasedCount + b.releasedCount, leftCount: a.leftCount + b.leftCount, sids: [...a.sids, ...b.sids], isUnavailable: a.isUnavailable || b.isUnavailable }
}

function atOnce (deps: ReleaseDeps): ReleaseItems {
  return async function releaseAtOnce (items, { state = 'released', judgedAt, onReleasable } = {}) {
    const opened = await openAll(deps, items)
    const arrivals = {
      arrivedAt: opened.items.map(({ arrivedAt }) => arrivedAt), judgedAt, areFractions: fractionsByBody(opened.records, opened.items.map(bodyOf))
    }
    // Asked before the items are: a sid that is newer than their answer must seem new.
    const worn = onReleasable === undefined || opened.records.length === 0 ? undefined : await deps.sidNow(opened.records[0]!.deviceId)
    const { groups, failures } = await deps.identify(opened.records, arrivals)
    if (onReleasable !== undefined && groups.length > 0) {
      onReleasable()
      return { releasedCount: 0, leftCount: items.length, sids: [], isUnavailable: false }
    }
    const itemOfRecord = new Map<unknown, SealedItem>(opened.records.map((record, place) => [record, opened.items[place]!]))
    const destroyed = new Set(await publishGroups(deps, groups, arrivalOf(itemOfRecord)))
    const keptAs = (record: unknown, reason: ReasonCode): Kept => ({ id: itemOfRecord.get(record)!.id, kind: 'record', reason })
    const published = groups.filter(group => !destroyed.has(group))
    const releasedIds = published.flatMap(group => group.records.map(record => itemOfRecord.get(record)!.id))
    await deps.quarantine.add(fieldItems(failures, new Set(releasedIds), itemOfRecord))
    await deps.quarantine.settle(releasedIds, state)
    if (releasedIds.length > 0) deps.events.released(releasedIds.length)
    await deps.quarantine.settle(opened.lost, 'discarded', KEY_OF_DAY_DESTROYED)
    const kept = [
      ...opened.unread,
      ...failures.filter(({ kind }) => kind === 'record').map(({ record, reason }) => keptAs(record, reason)),
      ...[...destroyed].flatMap(group => group.records.map(record => keptAs(record, 'not-associated')))
    ]
    await deps.quarantine.keep(changed(kept, items))
    return {
      releasedCount: releasedIds.length,
      leftCount: kept.filter(({ reason }) => WAITING_REASONS.has(reason)).length,
      sids: worn === undefined ? published.map(({ sid }) => sid) : [worn],
      isUnavailable: kept.some(({ reason }) => reason === 'linkage-unavailable')
    }
  }
}

/** Original bytes keep the place of the request they came in. */
function arrivalOf (itemOfRecord: ReadonlyMap<unknown, SealedItem>): Arrival<DecodedRecord> {
  const origins = new Map<string, Origin>()
  return {
    way: 'released',
    originOf: record => {
      const item = itemOfRecord.get(record)!
      const known = origins.get(item.source) ?? originOf(item)
      origins.set(item.source, known)
      return known
    },
    placeOf: record => itemOfRecord.get(record)!.place
  }
}

/** A reading that is released without one of its fields leaves that field in quarantine, as at the door. The quality of one that was stored
 *  before was left there then. */
function fieldItems (failures: readonly Failure[], releasedIds: ReadonlySet<string>, itemOfRecord: ReadonlyMap<unknown, SealedItem>) {
  return failures.flatMap(failure => {
    const item = itemOfRecord.get(failure.record)!
    if (failure.kind !== 'field' || !releasedIds.has(item.id) || (wasStored(item) && failure.field === 'signal_quality')) return []
    const { source, place, requestRecords, arrivedAt } = item
    return [{ ...itemOf(failure, originOf(item), arrivedAt), source, place, requestRecords }]
  })
}

/** Items that wait on under the reason they have are not written again. */
function changed (kept: readonly Kept[], items: readonly SealedItem[]): Kept[] {
  const before = new Map(items.map(item => [item.id, item]))
  return kept.filter(({ id, reason }) => before.get(id)!.reason !== reason || before.get(id)!.state === 'held')
}

async function openAll (deps: ReleaseDeps, items: readonly SealedItem[]): Promise<Opened> {
  const opened: Opened = { items: [], records: [], lost: [], unread: [] }
  for (const item of items) {
    const bytes = await deps.quarantine.open(item).catch(undefinedWhenDestroyed)
    if (bytes === undefined) { opened.lost.push(item.id); continue }
    const decoded = await decodeItem(item, bytes, deps)
    const record = decoded.unreadable === undefined && decoded.rejected.length === 0 ? decoded.records[0] : undefined
    if (record === undefined) {
      opened.unread.push({ id: item.id, kind: item.kind, reason: decoded.unreadable ?? decoded.rejected[0]?.reason ?? 'malformed' })
      continue
    }
    opened.items.push(item)
    opened.records.push(record)
  }
  return opened
}

export interface ItemDecoding { limits: DecodeLimits, schemas: Schemas }

/** The one record of an item of kind `record` or `field`. */
export async function decodeItem (item: Pick<SealedItem, 'content' | 'schemaId' | 'source'>, bytes: Buffer, { limits, schemas }: ItemDecoding): Promise<DecodedBody> {
  switch (item.content) {
    case 'avro': return decodeAvroRecords(bytes, await schemas.kept(item.schemaId), limits)
    case 'protobuf': return decodeProtobufRecord(bytes, await schemas.kept(item.schemaId), limits)
    default:
      if (item.schemaId > FIXED_ID_MAX) return decodeJsonBySchema(bytes, await schemas.kept(item.schemaId), limits, { isLines: false, isBare: true })
      return decodeJson(bytes, limits, wasStored(item) ? readStored : undefined)
  }
}
