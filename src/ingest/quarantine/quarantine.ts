/** Inputs that were not stored → sealed rows, many in one commit; bounded, so that a full quarantine refuses at the door instead of losing. */

import type { Pool } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import { type ReasonCode, SCHEMA_REASONS } from '../../model/reason.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Events } from '../../observability/events.ts'
import { createGroupCommit } from '../../platform/group-commit.ts'
import { asStoreError, transaction } from '../../platform/postgres/pool.ts'
import { arrivalDay, type DataKeys } from '../../security/data-keys.ts'
import { ENVELOPE_BYTES } from '../../security/envelope.ts'
import type { Fingerprint } from '../../security/fingerprint.ts'
import {
  type DeviceIndex, type DeviceIndexOf, type ItemKind, newItemId, type NewItem, openItem, type SealedItem, sealItem
} from './quarantine-item.ts'
import {
  alone, type Ending, type FinalState, type FoundDevice, keepItems, keepNew, type NewRow, selectOpen, selectTotals, selectWaiting, selectWaitingDevices, settleItems, takingOut,
  type WaitingCursor
} from './quarantine-rows.ts'
import { fingerprintOf } from './repeats.ts'

export interface QuarantineOptions {
  /** Login `oxbow_ingest`. */
  pool: Pool
  dataKeys: Pick<DataKeys, 'forDay'>
  deviceIndexOf: DeviceIndexOf
  fingerprint: Fingerprint
  events: Pick<Events, 'quarantined' | 'repeated' | 'discarded' | 'raise' | 'clear'>
  now: () => EpochMs
  /** Most open items. Default 5,000,000. */
  itemsMax?: number
  /** Most bytes in open items. Default 8 GiB. */
  bytesMax?: number
}

export interface Quarantine {
  /** Asked before anything of a request is stored. @throws ServiceError busy QUARANTINE_FULL */
  assertRoom (itemCount: number, byteCount: number): void
  /** Resolves when all are durable, with their counters; one that stands there already is counted on its item. @throws ServiceError unavailable STORE_UNAVAILABLE */
  add (items: readonly NewItem[]): Promise<void>
  /** Work that takes items out: it is given those of them that are open, and meanwhile nobody ends one by `discard`. */
  whileOpen<T> (ids: readonly string[], work: (open: ReadonlySet<string>) => Promise<T>): Promise<T>
  /** Ends open items for good, once no work takes items out: one that is on its way to the bus is not said to be discarded. Gives how many were open. */
  discard (ids: readonly string[], note: string, how?: Omit<Ending, 'note'>): Promise<number>
  /** Ends open items: bytes go, counters move. Gives how many were open. */
  settle (ids: readonly string[], state: FinalState, note?: string, how?: Omit<Ending, 'note'>): Promise<number>
  /** Open items that were tried and stay, under these reasons. */
  keep (items: readonly { id: string, kind: ItemKind, reason: ReasonCode }[]): Promise<void>
  /** The bytes as they came. @throws ServiceError KEY_DESTROYED */
  open (item: Pick<SealedItem, 'id' | 'arrivedAt' | 'sealed'>): Promise<Buffer>
  waitingOf (device: DeviceIndex, newerThan: number, cursor: WaitingCursor | undefined, limit: number): Promise<SealedItem[]>
  waitingDevices (which?: 'all' | 'known'): Promise<FoundDevice[]>
  deviceIndexOf: DeviceIndexOf
  /** Reads how full it is from the database: other processes change it too. */
  refresh (): Promise<void>
}

const FULL = 'the quarantine is full: re-submit or discard items (oxbow quarantine list), then send again'
const RETRY_AFTER_S = 10
const REFRESH_PAUSE_MS = 1_000
const COMMIT_ITEMS_MAX = 5_000

/** @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openQuarantine (options: QuarantineOptions): Promise<Quarantine> {
  const { pool, dataKeys, deviceIndexOf, events, now } = options
  const fill = createFill(options)
  await fill.refresh()
  const write = createWriter(options, rows => { fill.change(rows.length, rows.reduce((sum, { sealed }) => sum + sealed.length, 0)) })
  async function settle (db: Pick<Pool, 'query'>, ids: readonly string[], state: FinalState, ending: Ending): Promise<number> {
    if (ids.length === 0) return 0
    const settled = await settleItems(db, ids, state, now(), ending)
    fill.change(-settled.items, -settled.bytes)
    if (state === 'discarded') events.discarded(settled.items)
    return settled.items
  }
  return {
    assertRoom: fill.assertRoom,
    add: items => items.length === 0 ? Promise.resolve() : write(items),
    whileOpen: (ids, work) => takingOut(pool, async client => work(await selectOpen(client, ids))),
    discard: (ids, note, how) => alone(pool, client => settle(client, ids, 'discarded', { note, ...how })),
    settle: (ids, state, note, how) => settle(pool, ids, state, { note, ...how }),
    keep: items => keepItems(pool, items, now()),
    open: item => openItem(dataKeys, item),
    waitingOf: (device, newerThan, cursor, limit) => selectWaiting(pool, device, newerThan, cursor, limit),
    waitingDevices: which => selectWaitingDevices(pool, which),
    deviceIndexOf,
    refresh: fill.refresh
  }
}

/** How full it is: counted here, and read again when it seems full. */
function createFill ({ pool, events, now, itemsMax = 5_000_000, bytesMax = 8 * 1024 ** 3 }: QuarantineOptions) {
  let items = 0
  let bytes = 0
  let refreshedAt = 0
  let isFull = false
  async function refresh (): Promise<void> {
    refreshedAt = now()
    const totals = await selectTotals(pool)
    items = totals.items
    bytes = totals.bytes
    if (isFull && items < itemsMax && bytes < bytesMax) {
      isFull = false
      events.clear('quarantine-full')
    }
  }
  return {
    refresh,
    change (itemCount: number, byteCount: number): void {
      items += itemCount
      bytes += byteCount
    },
    assertRoom (itemCount: number, byteCount: number): void {
      if (items + itemCount <= itemsMax && bytes + byteCount <= bytesMax) return
      if (!isFull) events.raise('quarantine-full', { count: items })
      isFull = true
      if (now() - refreshedAt >= REFRESH_PAUSE_MS) refresh().catch(() => { /* the next refusal asks again */ })
      throw new ServiceError('busy', 'QUARANTINE_FULL', FULL, { retryAfterS: RETRY_AFTER_S })
    }
  }
}

function createWriter (options: QuarantineOptions, onWritten: (rows: readonly NewRow[]) => void): (items: readonly NewItem[]) => Promise<void> {
  const commits = createGroupCommit<readonly NewItem[], void>({
    commit: async batch => {
      try {
        const rows = await sealAll(options, batch.flat())
        const { arrived, fresh } = await transaction(options.pool, client => keepNew(client, rows, dayIsOpen(options)))
        onWritten(fresh)
        report(options, arrived, arrived.length - fresh.length)
      } catch (error) {
        throw asStoreError(error)
      }
      return []
    },
    weigh: items => ({ records: items.length, bytes: 0 }),
    recordsMax: COMMIT_ITEMS_MAX,
    bytesMax: Number.POSITIVE_INFINITY,
    recordsEnough: 1
  })
  return commits.add
}

/** A key that does not answer counts as gone: the worst is a copy. */
function dayIsOpen ({ dataKeys }: QuarantineOptions): (arrivedAt: EpochMs) => Promise<boolean> {
  return async arrivedAt => {
    try {
      await dataKeys.forDay(arrivalDay(arrivedAt))
      return true
    } catch {
      return false
    }
  }
}

async function sealAll ({ dataKeys, deviceIndexOf, fingerprint }: QuarantineOptions, items: readonly NewItem[]): Promise<NewRow[]> {
  const rows: NewRow[] = []
  const devices = new Map<string, DeviceIndex>()
  for (const item of items) {
    const key = dataKeys.forDay(arrivalDay(item.arrivedAt))
    const id = newItemId()
    const { deviceId } = item
    let device = deviceId === undefined ? undefined : devices.get(deviceId)
    if (deviceId !== undefined && device === undefined) {
      device = deviceIndexOf(deviceId)
      devices.set(deviceId, device)
    }
    rows.push({ id, item, device, sealed: sealItem(key instanceof Promise ? await key : key, id, item.bytes), fingerprint: fingerprintOf(fingerprint, item) })
  }
  return rows
}

function report ({ events }: QuarantineOptions, rows: readonly NewRow[], repeatCount: number): void {
  const counts = new Map<ReasonCode, number>()
  for (const { item } of rows) counts.set(item.reason, (counts.get(item.reason) ?? 0) + 1)
  for (const [reason, count] of counts) {
    events.quarantined(reason, count)
    if (SCHEMA_REASONS.has(reason)) events.raise('schema-refused', { reason, count })
  }
  if (repeatCount > 0) events.repeated(repeatCount)
}

/** Bytes an item will hold. */
export function sealedLength (byteCount: number): number { return byteCount + ENVELOPE_BYTES }
