/** Inputs on their way into quarantine → those that stand there already, counted on their item, and those that are new.
 *
 *  The same input: the same bytes, read in the same way (kind, field, schema, content, encoding, from the door or given back), under the same
 *  reason. Its device, time and sequence are then the same too. The item keeps its bytes, its number and its place in every order; nothing but
 *  its count and the time it was seen last changes, so that a release is none the wiser. Two processes that meet keep two items. */

import type { ClientBase, Pool } from 'pg'
import { type EpochMs, epochMs } from '../../model/units.ts'
import { storeQuery } from '../../platform/postgres/pool.ts'
import type { Fingerprint } from '../../security/fingerprint.ts'
import type { NewItem } from './quarantine-item.ts'

type Db = Pick<ClientBase | Pool, 'query'>

/** What tells inputs of one reason apart. */
export function fingerprintOf (fingerprint: Fingerprint, { kind, field, schemaId, content, encoding, isReturned, bytes }: NewItem): Buffer {
  const words = [kind, kind === 'field' ? field ?? '' : '', schemaId, content, encoding ?? '', isReturned === true ? 'returned' : 'sent']
  return fingerprint(words, bytes.source.subarray(bytes.start, bytes.end))
}

interface Marked { item: NewItem, fingerprint: Buffer }

/** An input and how often it came in this commit. */
export interface Counted<R extends Marked> { row: R, times: number, lastSeenAt: EpochMs }

export interface Sorted<R extends Marked> {
  fresh: readonly Counted<R>[]
  /** Those that stood there already, or stand further ahead in the same commit. */
  repeats: readonly R[]
}

/** Whether what arrived then can still be opened: bytes that came again must not end in an item whose key is gone. */
export type CanOpen = (arrivedAt: EpochMs) => Promise<boolean>

const NO_KEYS: Set<string> = new Set()

/** In the transaction that keeps the fresh ones. */
export async function countRepeats<R extends Marked> (db: Db, rows: readonly R[], canOpen: CanOpen): Promise<Sorted<R>> {
  const { counted, repeats } = countOnce(rows)
  const known = await countOnItems(db, [...counted.values()], canOpen)
  const again = known.size === 0 ? repeats : [...repeats, ...[...counted].filter(([key]) => known.has(key)).map(([, { row }]) => row)]
  await keepPlaces(db, again)
  return { fresh: [...counted].filter(([key]) => !known.has(key)).map(([, one]) => one), repeats: again }
}

const keyOf = (fingerprint: Buffer, reason: string) => `${reason}/${fingerprint.toString('latin1')}`

function countOnce<R extends Marked> (rows: readonly R[]): { counted: Map<string, Counted<R>>, repeats: R[] } {
  const counted = new Map<string, Counted<R>>()
  const repeats: R[] = []
  for (const row of rows) {
    const key = keyOf(row.fingerprint, row.item.reason)
    const first = counted.get(key)
    if (first === undefined) {
      counted.set(key, { row, times: 1, lastSeenAt: row.item.arrivedAt })
    } else {
      first.times++
      if (row.item.arrivedAt > first.lastSeenAt) first.lastSeenAt = row.item.arrivedAt
      repeats.push(row)
    }
  }
  return { counted, repeats }
}

/** Gives the keys that have an item. */
async function countOnItems<R extends Marked> (db: Db, counted: readonly Counted<R>[], canOpen: CanOpen): Promise<Set<string>> {
  const standing = await standingItems(db, counted, canOpen)
  const found = counted.flatMap(one => {
    const key = keyOf(one.row.fingerprint, one.row.item.reason)
    const number = standing.get(key)
    return number === undefined ? [] : [{ key, number, times: one.times, lastSeenAt: one.lastSeenAt }]
  })
  if (found.length === 0) return NO_KEYS
  await storeQuery(db, `
    UPDATE quarantine.item i SET times_seen = i.times_seen + again.times, seen_again_at = greatest(i.seen_again_at, i.arrived_at, again.seen_at)
    FROM unnest($1::bigint[], $2::int[], $3::timestamptz[]) AS again (number, times, seen_at) WHERE i.number = again.number`,
  [found.map(({ number }) => number), found.map(({ times }) => times), found.map(({ lastSeenAt }) => new Date(lastSeenAt))])
  return new Set(found.map(({ key }) => key))
}

interface Standing { number: number, fingerprint: Buffer, reason: string, arrived_at: Date }

/** Numbers of the oldest items that can still be opened, by key. Locked in the order of their numbers, as `settleItems` does, so that the two
 *  never wait for each other. */
async function standingItems<R extends Marked> (db: Db, counted: readonly Counted<R>[], canOpen: CanOpen): Promise<Map<string, number>> {
  const { rows } = await storeQuery<Standing>(db, `
    SELECT i.number, i.fingerprint, i.reason, i.arrived_at FROM quarantine.item i JOIN unnest($1::bytea[], $2::text[]) AS new (fingerprint, reason) USING (fingerprint, reason)
    ORDER BY i.number FOR UPDATE OF i`,
  [counted.map(({ row }) => row.fingerprint), counted.map(({ row }) => row.item.reason)])
  const numbers = new Map<string, number>()
  for (const { number, fingerprint, reason, arrived_at: arrivedAt } of rows) {
    const key = keyOf(fingerprint, reason)
    if (!numbers.has(key) && await canOpen(epochMs(arrivedAt.getTime()))) numbers.set(key, number)
  }
  return numbers
}

/** Into the book of places. A field's record went on, and a returned reading has no place in a request. */
async function keepPlaces (db: Db, repeats: readonly Marked[]): Promise<void> {
  const placed = repeats.map(({ item }) => item).filter(({ kind, isReturned }) => kind !== 'field' && isReturned !== true)
  if (placed.length === 0) return
  await storeQuery(db, `
    INSERT INTO quarantine.book (source, kind, state, request_records, places)
    SELECT source, kind, 'repeated', max(records), range_agg(int4range(place, place + 1)) FROM unnest($1::text[], $2::text[], $3::int[], $4::int[]) AS new (source, kind, records, place)
    GROUP BY source, kind ORDER BY source, kind
    ON CONFLICT (source, kind, state) DO UPDATE SET places = book.places + excluded.places`,
  [placed.map(({ source }) => source), placed.map(({ kind }) => kind), placed.map(({ requestRecords }) => requestRecords ?? null), placed.map(({ place }) => place)])
}
