/** What operators do with quarantined items: list, show, re-submit, discard. */

import type { Pool } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import type { ReasonCode } from '../../model/reason.ts'
import type { EpochMs } from '../../model/units.ts'
import { undefinedWhenDestroyed } from '../../security/data-keys.ts'
import type { Accept } from '../accept.ts'
import { fractionsByBody } from '../check-reading.ts'
import { CONTENT_TYPES } from '../decode/content.ts'
import { type BodyLimits, decodeBody } from '../decode/decode-body.ts'
import type { DecodedRecord } from '../decode/record.ts'
import type { Schemas } from '../decode/schemas.ts'
import type { Identify } from '../identify.ts'
import { type PublishDeps, publishGroups } from '../publish-groups.ts'
import { bodyOf, type ItemHead, type SealedItem } from './quarantine-item.ts'
import { type ItemFilter, selectHeads, selectItem } from './quarantine-rows.ts'
import type { Quarantine } from './quarantine.ts'
import { decodeItem, KEY_OF_DAY_DESTROYED, type ReleaseItems } from './release-items.ts'

export interface ReviewDeps extends PublishDeps {
  /** Login `oxbow_ingest`. */
  pool: Pool
  quarantine: Pick<Quarantine, 'whileOpen' | 'discard' | 'settle' | 'keep' | 'open' | 'deviceIndexOf'>
  releaseItems: ReleaseItems
  identify: Identify
  /** Of an inlet of its own, e.g. `resubmit/<instance>`. */
  accept: Accept
  limits: BodyLimits
  schemas: Schemas
  now: () => EpochMs
}

export interface ListFilter extends Omit<ItemFilter, 'device'> {
  /** The device's name in telemetry. */
  deviceId?: string
}

/** An item in clear: an operator's view, never logged. `bytes` is missing when the item is settled. */
export interface ShownItem { head: ItemHead, bytes: Buffer | undefined, record: Omit<DecodedRecord, 'source'> | undefined }

/** `stoppedBy`: something was full or did not answer, and those behind were not tried; then `remaining` is empty, all that did not go stand as they were. */
export interface ResubmitResult { resubmitted: number, remaining: readonly { id: string, reason: ReasonCode }[], stoppedBy?: ServiceError }

export interface QuarantineReview {
  /** In order of arrival. */
  list (filter: ListFilter): Promise<readonly ItemHead[]>
  /** `undefined` when there is no such item. @throws ServiceError KEY_DESTROYED */
  show (id: string): Promise<ShownItem | undefined>
  /** Through the same checks again, times judged by now. What fails, or fits no record of the bus, stays under the reason it has now; the others go on. */
  resubmit (ids: readonly string[]): Promise<ResubmitResult>
  /** Ends open items for good; how many there were. @param note why, no patient data · @param by who, as `os-user/NAME@HOST`; both stay on record */
  discard (ids: readonly string[], note: string, by: string): Promise<number>
}

const NOTE_LENGTH_MAX = 200
const RECORDS_AT_ONCE = 500

export function createQuarantineReview (deps: ReviewDeps): QuarantineReview {
  const { pool, quarantine } = deps

  async function openedItem (id: string): Promise<SealedItem | undefined> {
    const item = await selectItem(pool, id)
    return item?.sealed === undefined ? undefined : { ...item, sealed: item.sealed }
  }

  async function resubmit (ids: readonly string[]): Promise<ResubmitResult> {
    const tally: Tally = { resubmitted: 0 }
    try {
      await resubmitAll(ids, tally)
      return { ...tally, remaining: await remainingOf(ids) }
    } catch (error) {
      if (!(error instanceof ServiceError && (error.category === 'busy' || error.category === 'unavailable'))) throw error
      return { ...tally, remaining: [], stoppedBy: error }
    }
  }

  async function resubmitAll (ids: readonly string[], tally: Tally): Promise<void> {
    for (let at = 0; at < ids.length; at += RECORDS_AT_ONCE) {
      const items = (await Promise.all(ids.slice(at, at + RECORDS_AT_ONCE).map(openedItem))).filter(item => item !== undefined)
      items.sort((a, b) => (a.eventTime ?? 0) - (b.eventTime ?? 0) || (a.sequence ?? 0) - (b.sequence ?? 0) || a.number - b.number)
      const records = items.filter(({ kind }) => kind === 'record')
      if (records.length > 0) tally.resubmitted += (await deps.releaseItems(records, { state: 'resubmitted', judgedAt: deps.now() })).releasedCount
      await resubmitFields(deps, items.filter(({ kind }) => kind === 'field'), tally)
      for (const item of items) if (item.kind === 'body' && await resubmitBody(deps, item)) tally.resubmitted++
    }
  }

  async function remainingOf (ids: readonly string[]): Promise<ResubmitResult['remaining']> {
    const remaining: { id: string, reason: ReasonCode }[] = []
    for (const id of ids) {
      const item = await openedItem(id)
      if (item !== undefined) remaining.push({ id, reason: item.reason })
    }
    return remaining
  }

  return {
    list: ({ deviceId, ...filter }) => {
      const device = deviceId === undefined ? {} : { device: quarantine.deviceIndexOf(deviceId) }
      return selectHeads(pool, { ...filter, ...device })
    },
    async show (id) {
      const item = await selectItem(pool, id)
      if (item === undefined) return undefined
      const { sealed, ...head } = item
      if (sealed === undefined) return { head, bytes: undefined, record: undefined }
      const bytes = await quarantine.open({ ...head, sealed })
      return { head, bytes, record: head.kind === 'body' ? undefined : await recordOf(head, bytes, deps) }
    },
    resubmit,
    discard (ids, note, by) {
      if (note.trim() === '' || note.length > NOTE_LENGTH_MAX) {
        throw new ServiceError('incorrect', 'USAGE', `a reason of 1 to ${NOTE_LENGTH_MAX} characters is needed to discard`)
      }
      return quarantine.discard(ids, note, { by })
    }
  }
}

async function recordOf (head: ItemHead, bytes: Buffer, deps: ReviewDeps): Promise<Omit<DecodedRecord, 'source'> | undefined> {
  const decoded = await decodeItem(head, bytes, deps)
  const record = decoded.unreadable === undefined ? decoded.records[0] : undefined
  if (record === undefined) return undefined
  const { source: _, ...fields } = record
  return fields
}

/** What went so far, also when the rest is not tried. */
interface Tally { resubmitted: number }

interface OpenedField { item: SealedItem, record: DecodedRecord }

async function resubmitFields (deps: ReviewDeps, items: readonly SealedItem[], tally: Tally): Promise<void> {
  const opened: OpenedField[] = []
  for (const item of items) {
    const bytes = await openedOrLost(deps, item)
    if (bytes === undefined) continue
    const decoded = await decodeItem(item, bytes, deps)
    const record = decoded.unreadable === undefined ? decoded.records[0] : undefined
    if (record !== undefined) opened.push({ item, record })
  }
  const areFractions = fractionsByBody(opened.map(({ record }) => record), opened.map(({ item }) => bodyOf(item)))
  for (const [i, field] of opened.entries()) if (await resubmitField(deps, field, areFractions[i]!)) tally.resubmitted++
}

/** `undefined`: the key of its day was destroyed, which ends it, as in a release. */
async function openedOrLost ({ quarantine }: ReviewDeps, item: SealedItem): Promise<Buffer | undefined> {
  const bytes = await quarantine.open(item).catch(undefinedWhenDestroyed)
  if (bytes === undefined) await quarantine.settle([item.id], 'discarded', KEY_OF_DAY_DESTROYED)
  return bytes
}

/** Sends only the field of which the item tells: it fills the channel that is absent in the stored reading. True when it went. */
async function resubmitField (deps: ReviewDeps, { item, record }: OpenedField, isFraction: boolean): Promise<boolean> {
  // In the hour in which its reading arrived, so that the store counts it where the item is counted.
  const arrivals = { arrivedAt: [item.arrivedAt], judgedAt: deps.now(), areFractions: [isFraction] }
  const { groups, failures } = await deps.identify([onlyField(record, item.field)], arrivals)
  const failure = failures[0]
  if (failure !== undefined) {
    await deps.quarantine.keep([{ id: item.id, kind: 'field', reason: failure.reason }])
    return false
  }
  return deps.quarantine.whileOpen([item.id], async open => {
    if (open.size === 0) return false
    await publishGroups(deps, groups, undefined)
    return await deps.quarantine.settle([item.id], 'resubmitted') === 1
  })
}

/** A record as if only this field had been sent. */
function onlyField (record: DecodedRecord, field: string | undefined): DecodedRecord {
  const place = /^channels\[(\d+)\]$/.exec(field ?? '')?.[1]
  return {
    ...record,
    spo2: field === 'spo2' ? record.spo2 : undefined,
    tissueO2: field === 'local_tissue_o2' ? record.tissueO2 : undefined,
    channels: record.channels === undefined ? undefined : place === undefined ? [] : record.channels.slice(Number(place), Number(place) + 1),
    battery: field === 'battery_mv' ? record.battery : undefined,
    quality: field === 'signal_quality' ? record.quality : undefined
  }
}

/** The records of a body that can be read now come in anew. True when it went. */
async function resubmitBody (deps: ReviewDeps, item: SealedItem): Promise<boolean> {
  const bytes = await openedOrLost(deps, item)
  if (bytes === undefined) return false
  return deps.quarantine.whileOpen([item.id], async open => {
    if (open.size === 0) return false
    const reason = await reasonAgainst(deps, item, bytes)
    if (reason === undefined) return await deps.quarantine.settle([item.id], 'resubmitted') === 1
    await deps.quarantine.keep([{ id: item.id, kind: 'body', reason }])
    return false
  })
}

/** What the door refuses is no input there; here it stays what it is, under this reason. */
const REASON_OF_REFUSAL: ReadonlyMap<string, ReasonCode> = new Map([['INPUT_TOO_LARGE', 'record-too-large'], ['BUS_RECORD_TOO_LARGE', 'record-too-large']])

/** Why the body stays; `undefined`: it came in. */
async function reasonAgainst (deps: ReviewDeps, item: SealedItem, bytes: Buffer): Promise<ReasonCode | undefined> {
  const body = { bytes, contentType: CONTENT_TYPES[item.content], contentEncoding: item.encoding, schemaId: item.schemaId === 0 ? undefined : item.schemaId }
  try {
    const decoded = await decodeBody(body, item.content, deps.limits, deps.schemas)
    if (decoded.unreadable !== undefined) return decoded.unreadable
    await deps.accept(body)
    return undefined
  } catch (error) {
    if (!(error instanceof ServiceError && error.category === 'incorrect')) throw error
    return REASON_OF_REFUSAL.get(error.code) ?? item.reason
  }
}
