/** FHIR resources as they are: every version kept, the current one found by id and by identifier. All calls take a client, so that
 *  several writes are one transaction. */

import type { ClientBase, Pool, PoolClient } from 'pg'
import { instant } from '../../model/identifier.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'

export type Database = Pool | PoolClient | ClientBase

/** `text` is the JSON as it was written, byte for byte. */
export interface StoredVersion { type: string, id: string, version: number, lastUpdated: EpochMs, text: string }

export interface NewVersion extends StoredVersion {
  identifiers: readonly { system: string, value: string }[]
  references: readonly { element: string, type: string, id: string }[]
}

interface Row { type: string, id: string, version: number, at: number, text: string }

const COLUMNS = 'type, id, version, (extract(epoch from last_updated) * 1000)::float8 as at, content::text as text'

export async function readCurrent (db: Database, type: string, id: string): Promise<StoredVersion | undefined> {
  const { rows } = await db.query<Row>({ name: 'read-current', text: `select ${COLUMNS} from fhir.resource where type = $1 and id = $2`, values: [type, id] })
  return rows[0] && fromRow(rows[0])
}

/** In the order of `ids`; what does not exist is missing. */
export async function readMany (db: Database, type: string, ids: readonly string[]): Promise<StoredVersion[]> {
  const { rows } = await db.query<Row>(`select ${COLUMNS} from fhir.resource where type = $1 and id = any($2)`, [type, ids])
  const byId = new Map(rows.map(row => [row.id, fromRow(row)]))
  return ids.flatMap(id => byId.get(id) ?? [])
}

export async function readVersion (db: Database, type: string, id: string, version: number): Promise<StoredVersion | undefined> {
  const { rows } = await db.query<Row>(`select ${COLUMNS} from fhir.history where type = $1 and id = $2 and version = $3`, [type, id, version])
  return rows[0] && fromRow(rows[0])
}

/** Newest first, below version `before` when given; at most `limit`. */
export async function readHistory (db: Database, type: string, id: string, limit: number, before?: number): Promise<StoredVersion[]> {
  const { rows } = await db.query<Row>(
    `select ${COLUMNS} from fhir.history where type = $1 and id = $2 and version < $3 order by version desc limit $4`,
    [type, id, before ?? 2_147_483_647, limit])
  return rows.map(fromRow)
}

/** Writes the next version of a resource; its identifiers and references take the place of the earlier version's.
 *  The caller holds the lock of its name. @throws the database's 23505 when an identifier of ours already names another resource. */
export async function writeVersion (client: Database, next: NewVersion): Promise<void> {
  // Two statements: one cannot delete a row and insert it again.
  if (next.version > 1) await client.query(FORGET, [next.type, next.id])
  await client.query({
    ...(next.version === 1 ? { name: 'write-first', text: FIRST } : { name: 'write-further', text: FURTHER }),
    values: [
      next.type, next.id, next.version, instant(next.lastUpdated), next.text,
      next.identifiers.map(name => name.system), next.identifiers.map(name => name.value),
      next.references.map(to => to.element), next.references.map(to => to.type), next.references.map(to => to.id)
    ]
  })
}

const FORGET = `with names as (delete from fhir.identifier where type = $1 and id = $2)
  delete from fhir.reference where type = $1 and id = $2`

const REST = `, past as (
    insert into fhir.history (type, id, version, last_updated, content) values ($1, $2, $3, $4, $5)
  ), names as (
    insert into fhir.identifier (type, id, system, value) select distinct $1, $2, s, v from unnest($6::text[], $7::text[]) as n (s, v)
  )
  insert into fhir.reference (type, id, element, target_type, target_id)
  select distinct $1, $2, e, t, i from unnest($8::text[], $9::text[], $10::text[]) as r (e, t, i)`

const FIRST = `with current as (
    insert into fhir.resource (type, id, version, last_updated, content) values ($1, $2, $3, $4, $5)
  )${REST}`

const FURTHER = `with current as (
    update fhir.resource set version = $3, last_updated = $4, content = $5 where type = $1 and id = $2
  )${REST}`

/** Current resources of `type` whose `element` refers to the target, ascending by id. */
export async function readReferring (db: Database, type: string, element: string, targetType: string, targetId: string): Promise<StoredVersion[]> {
  const { rows } = await db.query<Row>(
    `select ${COLUMNS} from fhir.resource join (
       select type, id from fhir.reference where target_type = $3 and target_id = $4 and type = $1 and element = $2
     ) referring using (type, id) order by id`,
    [type, element, targetType, targetId])
  return rows.map(fromRow)
}

function fromRow (row: Row): StoredVersion {
  return { type: row.type, id: row.id, version: row.version, lastUpdated: epochMs(row.at), text: row.text }
}
