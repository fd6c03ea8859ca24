/** Schema `delivery` of the linkage database: cursor, what is under way, what arrived, what was skipped or refused. */

import type { Pool, PoolClient } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import { transaction } from '../../platform/postgres/pool.ts'

export interface Sending { last: number, entriesMax: number }
export interface Delivered { id: string, revision: number, receiverId?: string }
export interface Skipped { number: number, reason: string }
export interface DeadLetter { number: number, part: number, ids: readonly string[], revision: number, reason: string, status?: number }

export interface Settlement {
  /** Everything up to this ledger number is settled. */
  last: number
  delivered: readonly Delivered[]
  skipped: readonly Skipped[]
  dead: readonly DeadLetter[]
}

export interface DeliveryStore {
  /** 0 when nothing was settled yet. */
  cursor (destination: string, writer: number): Promise<number>
  sending (destination: string, writer: number): Promise<Sending | undefined>
  /** Written before the first send of these rows. */
  markSending (destination: string, writer: number, sending: Sending, now: EpochMs): Promise<void>
  /** Revisions that the destination has; an id it never got is missing. */
  delivered (destination: string, ids: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** `number/part` of what the destination refused for good in rows above `after`. */
  refused (destination: string, writer: number, after: number): Promise<ReadonlySet<string>>
  /** Keeps what was refused before something else failed, so that it is not sent again. */
  refuse (destination: string, writer: number, dead: readonly DeadLetter[], now: EpochMs): Promise<void>
  /** Keeps what arrived before something else failed, where the destination cannot be asked for it. */
  arrived (destination: string, delivered: readonly Delivered[], now: EpochMs): Promise<void>
  /** All of it in one transaction; the mark of `markSending` goes with it. */
  settle (destination: string, writer: number, settlement: Settlement, now: EpochMs): Promise<void>
}

/** @param pool logged in as `oxbow_delivery` */
export function createDeliveryStore (pool: Pool): DeliveryStore {
  return {
    async cursor (destination, writer) {
      const { rows } = await pool.query<{ number: number }>('select number from delivery.cursor where destination = $1 and writer = $2', [destination, writer])
      return rows[0]?.number ?? 0
    },
    async sending (destination, writer) {
      const { rows } = await pool.query<{ last: number, entries_max: number }>(
        'select last, entries_max from delivery.sending where destination = $1 and writer = $2', [destination, writer])
      return rows[0] && { last: rows[0].last, entriesMax: rows[0].entries_max }
    },
    async markSending (destination, writer, { last, entriesMax }, now) {
      await pool.query('insert into delivery.sending values ($1, $2, $3, $4, $5)', [destination, writer, last, entriesMax, new Date(now)])
    },
    async delivered (destination, ids) {
      const { rows } = await pool.query<{ id: string, revision: number }>(
        'select id, revision from delivery.delivered where destination = $1 and id = any($2)', [destination, ids])
      return new Map(rows.map(row => [row.id, row.revision]))
    },
    async refused (destination, writer, after) {
      const { rows } = await pool.query<{ number: number, part: number }>(
        'select number, part from delivery.dead_letter where destination = $1 and writer = $2 and number > $3', [destination, writer, after])
      return new Set(rows.map(row => `${row.number}/${row.part}`))
    },
    refuse: (destination, writer, dead, now) => transaction(pool, client => insertDead(client, destination, writer, dead, new Date(now))),
    arrived: (destination, delivered, now) => transaction(pool, client => insertDelivered(client, destination, delivered, new Date(now))),
    settle: (destination, writer, settlement, now) => settle(pool, destination, writer, settlement, new Date(now))
  }
}

async function settle (pool: Pool, destination: string, writer: number, { last, delivered, skipped, dead }: Settlement, now: Date): Promise<void> {
  await transaction(pool, async client => {
    await insertDelivered(client, destination, delivered, now)
    await client.query(
      'insert into delivery.skipped select $1, $2, number, reason, $5 from unnest($3::bigint[], $4::text[]) u (number, reason) on conflict do nothing',
      [destination, writer, skipped.map(one => one.number), skipped.map(one => one.reason), now])
    await insertDead(client, destination, writer, dead, now)
    await client.query(
      'insert into delivery.cursor as c values ($1, $2, $3) on conflict (destination, writer) do update set number = greatest(c.number, excluded.number)',
      [destination, writer, last])
    await client.query('delete from delivery.sending where destination = $1 and writer = $2', [destination, writer])
  })
}

async function insertDelivered (client: PoolClient, destination: string, delivered: readonly Delivered[], now: Date): Promise<void> {
  // A backlog may hold several revisions of one Observation: the newest is what the receiver has, under the id it gave to any of them.
  await client.query(
    `insert into delivery.delivered as d
     select $1, id, max(revision), (array_agg(receiver order by revision desc) filter (where receiver is not null))[1], $5
       from unnest($2::uuid[], $3::int[], $4::text[]) u (id, revision, receiver) group by id
     on conflict (destination, id) do update set revision = excluded.revision, delivered_at = excluded.delivered_at,
       receiver_id = coalesce(excluded.receiver_id, d.receiver_id) where d.revision < excluded.revision`,
    [destination, delivered.map(one => one.id), delivered.map(one => one.revision), delivered.map(one => one.receiverId ?? null), now])
}

async function insertDead (client: PoolClient, destination: string, writer: number, dead: readonly DeadLetter[], now: Date): Promise<void> {
  for (const one of dead) {
    await client.query(
      `insert into delivery.dead_letter (destination, writer, number, part, ids, revision, reason, http_status, refused_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing`,
      [destination, writer, one.number, one.part, one.ids, one.revision, one.reason, one.status ?? null, now])
  }
}
