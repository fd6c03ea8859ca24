/** A topic gives its last records again after a crash: those that stand in quarantine, or in its book, from the same place are no second arrival. */

import type { ClientBase, Pool } from 'pg'
import { storeQuery } from '../../platform/postgres/pool.ts'
import { BUS_INLET, TOPIC_INLET } from '../source-position.ts'
import type { NewItem } from './quarantine-item.ts'

type Db = Pick<ClientBase | Pool, 'query'>

/** Those that have not arrived before, in their order; in the transaction that keeps them. */
export async function withoutRedelivered<R extends { item: NewItem }> (db: Db, rows: readonly R[]): Promise<readonly R[]> {
  const asked = rows.filter(({ item }) => item.source.startsWith(TOPIC_INLET) || item.source.startsWith(BUS_INLET))
  if (asked.length === 0) return rows
  // Two processes may be given the same records: one after the other they look and keep.
  await storeQuery(db, `SELECT pg_advisory_xact_lock(hashtext('oxbow quarantine redelivered'))`)
  const { rows: known } = await storeQuery<{ index: number }>(db, `
    SELECT new.index::int FROM unnest($1::text[], $2::int[], $3::text[], $4::text[]) WITH ORDINALITY AS new (source, place, kind, field, index)
    WHERE EXISTS (SELECT FROM quarantine.item i WHERE (starts_with(i.source, '${TOPIC_INLET}') OR starts_with(i.source, '${BUS_INLET}')) AND i.source = new.source AND i.place = new.place AND i.kind = new.kind
        AND i.field IS NOT DISTINCT FROM new.field)
      OR EXISTS (SELECT FROM quarantine.book b WHERE b.source = new.source AND b.kind = new.kind AND b.places @> new.place)`,
  [asked.map(({ item }) => item.source), asked.map(({ item }) => item.place), asked.map(({ item }) => item.kind), asked.map(({ item }) => item.field ?? null)])
  if (known.length === 0) return rows
  const again = new Set(known.map(({ index }) => asked[index - 1]))
  return rows.filter(row => !again.has(row))
}
