/** The SQL of quarantine (database `oxbow_bus`, login `oxbow_ingest`): many items at a time, with their counters in the same transaction. */

import type { ClientBase, Pool, PoolClient } from 'pg'
import { type ReasonCode, WAITING_REASONS } from '../../model/reason.ts'
import { type EpochMs, epochMs, hourOf } from '../../model/units.ts'
import { storeQuery, transaction, withClient } from '../../platform/postgres/pool.ts'
import { RULE_VERSION } from '../check-reading.ts'
import { RETURNED_INLET } from '../source-position.ts'
import { type DeviceIndex, type ItemHead, type ItemKind, type ItemState, type NewItem, type SealedItem, SERVER } from './quarantine-item.ts'
import { withoutRedelivered } from './redelivered.ts'
import { type CanOpen, type Counted, countRepeats } from './repeats.ts'

type Db = Pick<ClientBase | Pool, 'query'>

/** A new item, sealed. */
export interface NewRow { id: string, item: NewItem, device: DeviceIndex | undefined, sealed: Buffer, fingerprint: Buffer }

const NO_DEVICE = Buffer.alloc(0)

/** Keeps what is not there yet and counts the rest on the item that stands, with their counters. Gives the rows that arrived, and of these the new ones. */
export async function keepNew (db: Db, rows: readonly NewRow[], canOpen: CanOpen): Promise<{ arrived: readonly NewRow[], fresh: readonly NewRow[] }> {
  const arrived = await withoutRedelivered(db, rows)
  if (arrived.length === 0) return { arrived, fresh: [] }
  const { fresh, repeats } = await countRepeats(db, arrived, canOpen)
  if (fresh.length > 0) await insertItems(db, fresh)
  await countNew(db, arrived, repeats)
  return { arrived, fresh: fresh.map(({ row }) => row) }
}

async function insertItems (db: Db, fresh: readonly Counted<NewRow>[]): Promise<void> {
  const column = <T>(value: (row: NewRow) => T) => fresh.map(({ row }) => value(row))
  await storeQuery(db, `
    INSERT INTO quarantine.item (id, kind, state, reason, field, schema_id, content, encoding, source, place, index_version, device_index,
      event_time, sequence, arrived_at, sealed, request_records, fingerprint, times_seen, seen_again_at, named_schema, sealed_length, rule_version)
    SELECT *, octet_length(sealed), ${RULE_VERSION}
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::text[], $9::text[], $10::int[],
      $11::smallint[], $12::bytea[], $13::bigint[], $14::bigint[], $15::timestamptz[], $16::bytea[], $17::int[],
      $18::bytea[], $19::int[], $20::timestamptz[], $21::bigint[])
      AS new (id, kind, state, reason, field, schema_id, content, encoding, source, place, index_version, device_index, event_time, sequence,
        arrived_at, sealed, request_records, fingerprint, times_seen, seen_again_at, named_schema)`, [
    column(row => row.id),
    column(row => row.item.kind),
    column(row => stateFor(row.item)),
    column(row => row.item.reason),
    column(row => row.item.field ?? null),
    column(row => row.item.schemaId),
    column(row => row.item.content),
    column(row => row.item.encoding ?? ''),
    column(row => row.item.source),
    column(row => row.item.place),
    column(row => row.device?.version ?? null),
    column(row => row.device?.index ?? null),
    column(row => row.item.eventTime ?? null),
    column(row => row.item.sequence ?? null),
    column(row => new Date(row.item.arrivedAt)),
    column(row => row.sealed),
    column(row => row.item.requestRecords ?? null),
    column(row => row.fingerprint),
    fresh.map(({ times }) => times),
    fresh.map(({ times, lastSeenAt }) => times === 1 ? null : new Date(lastSeenAt)),
    column(row => row.item.namedSchema ?? null)
  ])
}

/** Only a whole record can be released by itself. */
function stateFor ({ kind, reason }: Pick<NewItem, 'kind' | 'reason'>): ItemState {
  return kind === 'record' && WAITING_REASONS.has(reason) ? 'waiting' : 'held'
}

interface NewCounts { hour: number, device: DeviceIndex | undefined, records: number, fields: number, returned: number, repeated: number }

/** In a fixed order, so that two writers never wait for each other. */
async function countNew (db: Db, rows: readonly NewRow[], repeats: readonly NewRow[]): Promise<void> {
  const byKey = new Map<string, NewCounts>()
  const again = new Set(repeats)
  for (const row of rows) {
    const { item, device } = row
    const hour = hourOf(item.arrivedAt)
    const key = `${hour}/${device?.version ?? 0}/${device?.index.toString('hex') ?? ''}`
    const counts = byKey.get(key) ?? { hour, device, records: 0, fields: 0, returned: 0, repeated: 0 }
    byKey.set(key, counts)
    if (item.isReturned === true) counts.returned++
    else if (item.kind === 'field') counts.fields++
    else counts.records++
    if (item.kind !== 'field' && again.has(row)) counts.repeated++
  }
  const sorted = [...byKey].sort(([a], [b]) => a < b ? -1 : 1).map(([, counts]) => counts)
  await storeQuery(db, `
    INSERT INTO ingest.quarantined (hour, index_version, device_index, records, fields, returned, repeated)
    SELECT * FROM unnest($1::timestamptz[], $2::smallint[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    ON CONFLICT (hour, index_version, device_index) DO UPDATE SET records = quarantined.records + excluded.records,
      fields = quarantined.fields + excluded.fields, returned = quarantined.returned + excluded.returned,
      repeated = quarantined.repeated + excluded.repeated`, [
    sorted.map(({ hour }) => new Date(hour)),
    sorted.map(({ device }) => device?.version ?? 0),
    sorted.map(({ device }) => device?.index ?? NO_DEVICE),
    sorted.map(({ records }) => records),
    sorted.map(({ fields }) => fields),
    sorted.map(({ returned }) => returned),
    sorted.map(({ repeated }) => repeated)
  ])
}

export interface Settled { items: number, bytes: number }

export type FinalState = 'released' | 'resubmitted' | 'discarded'

/** What is written of an end. */
export interface Ending {
  /** Why. */
  note?: string | undefined
  /** Of a discard; default the server. */
  by?: string | undefined
  /** Items that were seen since are passed over. */
  unseenSince?: EpochMs | undefined
}

/** Ends open items: their bytes go, their counters move, in one statement. Items that are settled already are passed over. */
export async function settleItems (db: Db, ids: readonly string[], state: FinalState, at: EpochMs, { note, by = SERVER, unseenSince }: Ending): Promise<Settled> {
  const { rows } = await storeQuery<Settled>(db, `
    WITH open AS (SELECT id FROM quarantine.item WHERE id = ANY($1::uuid[]) AND state IN ('waiting', 'held')
      AND ($6::timestamptz IS NULL OR coalesce(seen_again_at, arrived_at) < $6) ORDER BY number FOR UPDATE),
    settled AS (
      UPDATE quarantine.item i SET state = $2, sealed = NULL, fingerprint = NULL, settled_at = $3, note = $4, settled_by = $5, tried_at = $3,
        attempts = attempts + 1
      FROM open WHERE i.id = open.id
      RETURNING i.kind, i.arrived_at, i.index_version, i.device_index, i.sealed_length),
    counted AS (
      INSERT INTO ingest.quarantined (hour, index_version, device_index, released, resubmitted, fields_resubmitted, discarded)
      SELECT date_trunc('hour', arrived_at, 'UTC'), coalesce(index_version, 0), coalesce(device_index, ''),
        count(*) FILTER (WHERE kind = 'record' AND $2 IN ('released', 'resubmitted')),
        count(*) FILTER (WHERE kind = 'body' AND $2 = 'resubmitted'),
        count(*) FILTER (WHERE kind = 'field' AND $2 = 'resubmitted'),
        count(*) FILTER (WHERE kind <> 'field' AND $2 = 'discarded')
      FROM settled GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
      ON CONFLICT (hour, index_version, device_index) DO UPDATE SET released = quarantined.released + excluded.released,
        resubmitted = quarantined.resubmitted + excluded.resubmitted, discarded = quarantined.discarded + excluded.discarded,
        fields_resubmitted = quarantined.fields_resubmitted + excluded.fields_resubmitted)
    SELECT count(*)::int AS items, coalesce(sum(sealed_length), 0)::bigint AS bytes FROM settled`,
  [ids, state, new Date(at), note ?? null, state === 'discarded' ? by : null, unseenSince === undefined ? null : new Date(unseenSince)])
  return rows[0]!
}

const TAKING_OUT = "hashtext('oxbow quarantine taking out')"

/** Several at a time, and none while one is `alone`. */
export async function takingOut<T> (pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  return withClient(pool, async client => {
    await storeQuery(client, `SELECT pg_advisory_lock_shared(${TAKING_OUT})`, [])
    try {
      return await work(client)
    } finally {
      await storeQuery(client, `SELECT pg_advisory_unlock_shared(${TAKING_OUT})`, [])
    }
  })
}

/** One transaction, when nobody is `takingOut`. */
export async function alone<T> (pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  return transaction(pool, async client => {
    await storeQuery(client, `SELECT pg_advisory_xact_lock(${TAKING_OUT})`, [])
    return work(client)
  })
}

export async function selectOpen (db: Db, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const { rows } = await storeQuery<{ id: string }>(db, "SELECT id FROM quarantine.item WHERE id = ANY($1::uuid[]) AND state IN ('waiting', 'held')", [ids])
  return new Set(rows.map(({ id }) => id))
}

/** Writes down that an open item was tried and why it stays. */
export async function keepItems (db: Db, items: readonly { id: string, kind: ItemKind, reason: ReasonCode }[], now: EpochMs): Promise<void> {
  if (items.length === 0) return
  await storeQuery(db, `
    UPDATE quarantine.item i SET reason = t.reason, state = t.state, attempts = attempts + 1, tried_at = $4
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t (id, reason, state) WHERE i.id = t.id AND i.state IN ('waiting', 'held')`,
  [items.map(({ id }) => id), items.map(({ reason }) => reason), items.map(stateFor), new Date(now)])
}

interface Row {
  id: string, number: number, kind: ItemKind, state: ItemState, reason: ReasonCode, field: string | null, schema_id: number, named_schema: number | null
  content: ItemHead['content'], encoding: ItemHead['encoding'], source: string, place: number, request_records: number | null, event_time: number | null, sequence: number | null
  arrived_at: Date, rule_version: number, attempts: number, tried_at: Date | null, settled_at: Date | null, note: string | null, sealed: Buffer
  times_seen: number, seen_again_at: Date | null, settled_by: string | null
}

const HEAD_COLUMNS = `id, number, kind, state, reason, field, schema_id, named_schema, content, encoding, source, place, request_records, event_time, sequence, arrived_at,
  rule_version, attempts, tried_at, settled_at, note, times_seen, seen_again_at, settled_by`

function headOf (row: Row): ItemHead {
  const time = (date: Date | null) => date === null ? undefined : epochMs(date.getTime())
  return {
    id: row.id, number: row.number, kind: row.kind, state: row.state, reason: row.reason, field: row.field ?? undefined, schemaId: row.schema_id, namedSchema: row.named_schema ?? undefined,
    content: row.content, encoding: row.encoding, source: row.source, place: row.place, requestRecords: row.request_records ?? undefined,
    eventTime: row.event_time === null ? undefined : epochMs(row.event_time), sequence: row.sequence ?? undefined,
    arrivedAt: epochMs(row.arrived_at.getTime()), lastSeenAt: epochMs((row.seen_again_at ?? row.arrived_at).getTime()), timesSeen: row.times_seen,
    ruleVersion: row.rule_version, attempts: row.attempts, triedAt: time(row.tried_at), settledAt: time(row.settled_at), note: row.note ?? undefined,
    settledBy: row.settled_by ?? undefined
  }
}

export interface ItemFilter {
  states?: readonly ItemState[]
  reasons?: readonly ReasonCode[]
  /** Of the schema an item was sent in, or that it names. */
  schemaIds?: readonly number[]
  device?: DeviceIndex
  arrivedFrom?: EpochMs
  /** Exclusive. */
  arrivedUntil?: EpochMs
  /** Only items behind this number. */
  after?: number
  limit: number
}

/** In order of arrival. */
export async function selectHeads (db: Db, filter: ItemFilter): Promise<ItemHead[]> {
  const date = (time: EpochMs | undefined) => time === undefined ? null : new Date(time)
  const { rows } = await storeQuery<Row>(db, `
    SELECT ${HEAD_COLUMNS} FROM quarantine.item
    WHERE ($1::text[] IS NULL OR state = ANY($1)) AND ($2::text[] IS NULL OR reason = ANY($2))
      AND ($3::bytea IS NULL OR (device_index = $3 AND index_version = $4))
      AND ($5::timestamptz IS NULL OR arrived_at >= $5) AND ($6::timestamptz IS NULL OR arrived_at < $6) AND number > $7
      AND ($9::bigint[] IS NULL OR coalesce(named_schema, schema_id) = ANY($9))
    ORDER BY number LIMIT $8`, [
    filter.states ?? null, filter.reasons ?? null, filter.device?.index ?? null, filter.device?.version ?? null, date(filter.arrivedFrom),
    date(filter.arrivedUntil), filter.after ?? 0, filter.limit, filter.schemaIds ?? null
  ])
  return rows.map(headOf)
}

/** One item, with its bytes while it is open; `undefined` when there is none. */
export async function selectItem (db: Db, id: string): Promise<ItemHead & { sealed: Buffer | undefined } | undefined> {
  const { rows } = await storeQuery<Row>(db, `SELECT ${HEAD_COLUMNS}, sealed FROM quarantine.item WHERE id = $1`, [id])
  const row = rows[0]
  return row === undefined ? undefined : { ...headOf(row), sealed: row.sealed ?? undefined }
}

/** Place in a device's waiting items. */
export interface WaitingCursor { eventTime: number, sequence: number, number: number }

/** A device's waiting items in order of event time, sequence, arrival, behind the cursor and with a number above `newerThan`. */
export async function selectWaiting (
  db: Db, { version, index }: DeviceIndex, newerThan: number, cursor: WaitingCursor | undefined, limit: number
): Promise<SealedItem[]> {
  const { rows } = await storeQuery<Row>(db, `
    SELECT ${HEAD_COLUMNS}, sealed FROM quarantine.item
    WHERE state = 'waiting' AND device_index = $1 AND index_version = $2 AND number > $3
      AND (event_time, sequence, number) > ($4::bigint, $5::bigint, $6::bigint)
    ORDER BY event_time, sequence, number LIMIT $7`,
  [index, version, newerThan, cursor?.eventTime ?? Number.MIN_SAFE_INTEGER, cursor?.sequence ?? -1, cursor?.number ?? -1, limit])
  return rows.map(row => ({ ...headOf(row), sealed: row.sealed }))
}

/** A device that has waiting items. `isKnown`: the identity store knew it, or did not answer, when one of them was tried. */
export interface FoundDevice { device: DeviceIndex, isKnown: boolean }

/** @param which `known`: only those */
export async function selectWaitingDevices (db: Db, which: 'all' | 'known' = 'all'): Promise<FoundDevice[]> {
  const { rows } = await storeQuery<DeviceIndex & { known: boolean }>(db, `
    SELECT index_version AS version, device_index AS index, bool_or(reason <> 'device-unknown') AS known FROM quarantine.item
    WHERE state = 'waiting' AND ($1 = 'all' OR reason <> 'device-unknown') GROUP BY 1, 2`, [which])
  return rows.map(({ version, index, known }) => ({ device: { version, index }, isKnown: known }))
}

/** Open items and the bytes they hold. */
export async function selectTotals (db: Db): Promise<{ items: number, bytes: number }> {
  const { rows } = await storeQuery<{ items: number, bytes: number }>(db, `SELECT count(*)::bigint AS items, coalesce(sum(sealed_length), 0)::bigint AS bytes FROM quarantine.item WHERE state IN ('waiting', 'held')`)
  return rows[0]!
}

export interface OpenCount {
  reason: ReasonCode
  waiting: number
  held: number
  /** Of those waiting, arrived more than a minute ago. */
  overdue: number
}

/** Open items by reason, most first. */
export async function countOpenByReason (db: Db): Promise<OpenCount[]> {
  const { rows } = await storeQuery<OpenCount>(db, `
    SELECT reason, count(*) FILTER (WHERE state = 'waiting')::int AS waiting, count(*) FILTER (WHERE state = 'held')::int AS held,
      count(*) FILTER (WHERE state = 'waiting' AND arrived_at < now() - interval '1 minute')::int AS overdue
    FROM quarantine.item WHERE state IN ('waiting', 'held') GROUP BY reason ORDER BY count(*) DESC, reason`)
  return rows
}

/** Open items that were seen last before `held` (held ones) or `waiting` (waiting ones). */
const EXPIRED = `state IN ('waiting', 'held') AND coalesce(seen_again_at, arrived_at) < CASE state WHEN 'held' THEN $1::timestamptz ELSE $2::timestamptz END`

/** Oldest first. */
export async function selectExpired (db: Db, before: { held: EpochMs, waiting: EpochMs }, limit: number): Promise<string[]> {
  const { rows } = await storeQuery<{ id: string }>(db, `SELECT id FROM quarantine.item WHERE ${EXPIRED} ORDER BY coalesce(seen_again_at, arrived_at) LIMIT $3`,
  [new Date(before.held), new Date(before.waiting), limit])
  return rows.map(({ id }) => id)
}

export async function countExpired (db: Db, before: { held: EpochMs, waiting: EpochMs }): Promise<number> {
  const { rows } = await storeQuery<{ count: number }>(db, `SELECT count(*)::int AS count FROM quarantine.item WHERE ${EXPIRED}`,
    [new Date(before.held), new Date(before.waiting)])
  return rows[0]!.count
}

/** Of rows settled before `time`: those released or re-submitted go into the book, their counters stay; a discarded one stays on record, without
 *  what tells of its device. */
export async function clearSettled (db: Db, time: EpochMs): Promise<void> {
  await storeQuery(db, `
    WITH gone AS (DELETE FROM quarantine.item WHERE settled_at < $1 AND state <> 'discarded' RETURNING source, kind, state, request_records, place)
    INSERT INTO quarantine.book (source, kind, state, request_records, places)
    SELECT source, kind, state, max(request_records), range_agg(int4range(place, place + 1)) FROM gone
    WHERE kind <> 'field' AND NOT starts_with(source, $2) GROUP BY source, kind, state ORDER BY source, kind, state
    ON CONFLICT (source, kind, state) DO UPDATE SET places = book.places + excluded.places`, [new Date(time), RETURNED_INLET])
  await storeQuery(db, `
    UPDATE quarantine.item SET index_version = NULL, device_index = NULL, event_time = NULL, sequence = NULL
    WHERE settled_at < $1 AND state = 'discarded' AND (device_index IS NOT NULL OR event_time IS NOT NULL OR sequence IS NOT NULL)`, [new Date(time)])
}
