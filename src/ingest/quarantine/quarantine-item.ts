/** The words of quarantine: what is kept of an input that was not stored, and how it is sealed. */

import { randomUUID } from 'node:crypto'
import type { ReasonCode } from '../../model/reason.ts'
import type { EpochMs } from '../../model/units.ts'
import type { KeyContext } from '../../platform/keys/key-ring.ts'
import { arrivalDay, type DataKeys } from '../../security/data-keys.ts'
import { open, type SealingKey, seal } from '../../security/envelope.ts'
import type { BodyKind } from '../decode/content.ts'
import type { RecordBytes } from '../decode/record.ts'
import { type Origin, positionIn, RETURNED_INLET } from '../source-position.ts'

export type ItemKind = 'record' | 'field' | 'body'
export const ITEM_STATES = ['waiting', 'held', 'released', 'resubmitted', 'discarded'] as const
export type ItemState = (typeof ITEM_STATES)[number]
export type BodyEncoding = '' | 'gzip' | 'zstd'

/** Blind index of a device under one version of its key. */
export interface DeviceIndex { version: number, index: Buffer }

/** Blind index of a device's name, under the newest version of the key. */
export type DeviceIndexOf = (deviceId: string) => DeviceIndex

/** An input on its way into quarantine. Its bytes and the device's name are in clear only here. */
export interface NewItem {
  kind: ItemKind
  reason: ReasonCode
  field?: string | undefined
  /** 0: not known. Of a body: the id that was named beside it; 0 where it carries its own. */
  schemaId: number
  /** Of a body that could not be read: the id that its bytes name, beside which none was named. */
  namedSchema?: number | undefined
  content: BodyKind
  encoding?: BodyEncoding
  source: string
  /** Place of the record in its body. */
  place: number
  /** How many records the body had in all; absent for a reading that the series store gave back. */
  requestRecords?: number | undefined
  deviceId?: string | undefined
  eventTime?: EpochMs | undefined
  sequence?: number | undefined
  arrivedAt: EpochMs
  bytes: RecordBytes
  /** True for a reading that comes back from the series store: it came in before. */
  isReturned?: boolean
}

/** What anybody with access to the quarantine may see without its key. */
export interface ItemHead {
  id: string
  number: number
  kind: ItemKind
  state: ItemState
  reason: ReasonCode
  field: string | undefined
  schemaId: number
  namedSchema: number | undefined
  content: BodyKind
  encoding: BodyEncoding
  source: string
  place: number
  requestRecords: number | undefined
  eventTime: EpochMs | undefined
  sequence: number | undefined
  /** When it was seen first. */
  arrivedAt: EpochMs
  lastSeenAt: EpochMs
  timesSeen: number
  ruleVersion: number
  attempts: number
  triedAt: EpochMs | undefined
  settledAt: EpochMs | undefined
  note: string | undefined
  /** Of a discarded item: who did it; `SERVER` when its time was over. */
  settledBy: string | undefined
}

/** Who discards what has expired. */
export const SERVER = 'oxbow'

/** An open item with its sealed bytes. */
export interface SealedItem extends ItemHead { sealed: Buffer }

/** @param instance told apart in source positions */
export function returnedSource (instance: string): string { return RETURNED_INLET + instance }

/** True for a reading that was stored before: it is one even without any value, as a documented zero of all its channels leaves it. */
export function wasStored ({ source }: Pick<ItemHead, 'source'>): boolean { return source.startsWith(RETURNED_INLET) }

/** What tells the body an item came in from others; a returned reading came in none that is still known. */
export function bodyOf (item: Pick<ItemHead, 'source'>): string | undefined { return wasStored(item) ? undefined : item.source }

/** Where an item came in, as its bytes name it when they are released. Readings that the series store gave back have no number. */
export function originOf ({ source, requestRecords }: Pick<ItemHead, 'source' | 'requestRecords'>): Origin {
  return { ...positionIn(source), records: requestRecords ?? 0 }
}

export function newItemId (): string { return randomUUID() }

export function sealItem (key: SealingKey, id: string, { source, start, end }: RecordBytes): Buffer {
  return seal(key, itemContext(id), source.subarray(start, end))
}

/** @throws ServiceError KEY_DESTROYED when the key of its day is gone, KEY_CONTEXT when the bytes are another item's */
export async function openItem (dataKeys: Pick<DataKeys, 'forDay'>, item: Pick<SealedItem, 'id' | 'arrivedAt' | 'sealed'>): Promise<Buffer> {
  const key = await dataKeys.forDay(arrivalDay(item.arrivedAt))
  return open(key, itemContext(item.id), item.sealed)
}

function itemContext (id: string): KeyContext { return { store: 'quarantine', object: id, purpose: 'item' } }
