/** The SQL of the archive (database `oxbow_bus`, login `oxbow_archive`): ranges reserved, objects written, each behind the one before. */

import type { ClientBase, Pool } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import { storeQuery, transaction } from '../../platform/postgres/pool.ts'
import { type Manifest, manifestText, sha256 } from './manifest.ts'

export interface Reservation { next: number, object: string }

/** How far a partition is archived. */
export interface PartitionHead {
  partition: number
  /** Offset of the first record that is not. */
  next: number
  /** Digest of its last manifest. */
  digest: string
  /** Range from `next` on whose object was being written; absent: none. */
  reserved: Reservation | undefined
}

export interface ManifestRow {
  partition: number
  first: number
  next: number
  object: string
  /** Absent while the object is being written. */
  manifest: string | undefined
}

type Db = Pick<ClientBase, 'query'>

/** Those of these partitions, made where they are missing, in the order asked. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openHeads (db: Db, partitions: readonly number[]): Promise<PartitionHead[]> {
  await storeQuery(db, 'INSERT INTO archive.partition (partition) SELECT * FROM unnest($1::int[]) ON CONFLICT DO NOTHING', [partitions])
  const heads = new Map((await readHeads(db)).map(head => [head.partition, head]))
  return partitions.map(partition => heads.get(partition)!)
}

/** Of every partition, ascending. */
export async function readHeads (db: Db): Promise<PartitionHead[]> {
  const { rows } = await storeQuery<{ partition: number, next: number, head: Buffer, reservedNext: number | null, object: string | null }>(db, `
    SELECT p.partition, p.next_offset AS next, p.head, o.next_offset AS "reservedNext", o.name AS object
    FROM archive.partition p LEFT JOIN archive.object o ON o.partition = p.partition AND o.first_offset = p.next_offset AND o.manifest IS NULL ORDER BY p.partition`)
  return rows.map(({ partition, next, head, reservedNext, object }) => ({
    partition, next, digest: head.toString('hex'), reserved: object === null ? undefined : { next: reservedNext!, object }
  }))
}

/** Before the object is written. @throws ServiceError conflict STORE_CONFLICT when another process went on with the partition */
export async function reserve (db: Db, { partition, next }: PartitionHead, range: Reservation): Promise<void> {
  const { rowCount } = await storeQuery(db, `
    INSERT INTO archive.object (partition, first_offset, next_offset, name)
    SELECT partition, next_offset, $3, $4 FROM archive.partition WHERE partition = $1 AND next_offset = $2
    ON CONFLICT DO NOTHING`, [partition, next, range.next, range.object])
  if (rowCount !== 1) throw anotherWent()
}

/** When the object is written: its row and how far its partition is archived, at once. @throws ServiceError conflict STORE_CONFLICT as `reserve` */
export async function commitObject (pool: Pool, head: PartitionHead, manifest: Manifest): Promise<PartitionHead> {
  const text = manifestText(manifest)
  const digest = sha256(text)
  const { partition, first, next, object } = manifest
  await transaction(pool, async client => {
    const moved = await client.query(`
      UPDATE archive.partition SET next_offset = $3, head = $4 WHERE partition = $1 AND next_offset = $2 AND head = $5`,
    [partition, first, next, Buffer.from(digest, 'hex'), Buffer.from(head.digest, 'hex')])
    const written = await client.query(`
      UPDATE archive.object SET manifest = $5, received_from = $6, received_to = $7
      WHERE partition = $1 AND first_offset = $2 AND next_offset = $3 AND name = $4 AND manifest IS NULL`,
    [partition, first, next, object, text, manifest.receivedFrom, manifest.receivedTo])
    if (moved.rowCount !== 1 || written.rowCount !== 1) throw anotherWent()
  })
  return { partition, next, digest, reserved: undefined }
}

export interface RowFilter {
  /** Objects with records that came in at this time or later. */
  from?: EpochMs | undefined
  /** Exclusive. */
  to?: EpochMs | undefined
  /** Only objects behind this one. */
  after?: { partition: number, first: number } | undefined
}

const PAGE = 500

/** By partition and offset, also those that are being written. */
export async function * manifestRows (db: Db, { from, to, after }: RowFilter = {}): AsyncGenerator<ManifestRow> {
  for (let last = after; ;) {
    const { rows } = await storeQuery<{ partition: number, first: number, next: number, object: string, manifest: string | null }>(db, `
      SELECT partition, first_offset AS first, next_offset AS next, name AS object, manifest FROM archive.object
      WHERE (partition, first_offset) > ($1::int, $2::bigint) AND ($3::timestamptz IS NULL OR received_to >= $3) AND ($4::timestamptz IS NULL OR received_from < $4)
      ORDER BY partition, first_offset LIMIT ${PAGE}`,
    [last?.partition ?? -1, last?.first ?? -1, from === undefined ? null : new Date(from), to === undefined ? null : new Date(to)])
    for (const row of rows) yield { ...row, manifest: row.manifest ?? undefined }
    if (rows.length < PAGE) return
    last = rows.at(-1)!
  }
}

/** Which of these names stand in the manifest. */
export async function knownObjects (db: Db, names: readonly string[]): Promise<ReadonlySet<string>> {
  const { rows } = await storeQuery<{ name: string }>(db, 'SELECT name FROM archive.object WHERE name = ANY($1::text[])', [names])
  return new Set(rows.map(({ name }) => name))
}

/** The object whose manifest says that its bytes have this digest. */
export async function objectOfDigest (db: Db, digest: string): Promise<string | undefined> {
  const { rows } = await storeQuery<{ name: string }>(db, 'SELECT name FROM archive.object WHERE strpos(manifest, $1) > 0 LIMIT 1', [`"sha256":"${digest}"`])
  return rows[0]?.name
}

/** When the oldest record came in that is archived; `undefined`: none is. */
export async function archivedFrom (db: Db): Promise<EpochMs | undefined> {
  const { rows } = await storeQuery<{ time: Date | null }>(db, 'SELECT min(received_from) AS time FROM archive.object')
  const time = rows[0]?.time
  return time === null || time === undefined ? undefined : epochMs(time.getTime())
}

/** When the newest record came in that is archived; `undefined`: none is. */
export async function archivedTo (db: Db): Promise<EpochMs | undefined> {
  const { rows } = await storeQuery<{ time: Date | null }>(db, 'SELECT max(received_to) AS time FROM archive.object')
  const time = rows[0]?.time
  return time === null || time === undefined ? undefined : epochMs(time.getTime())
}

/** The same of each partition that has an object. */
export async function archivedToByPartition (db: Db): Promise<ReadonlyMap<number, EpochMs>> {
  const { rows } = await storeQuery<{ partition: number, time: Date }>(db, 'SELECT partition, max(received_to) AS time FROM archive.object WHERE received_to IS NOT NULL GROUP BY partition')
  return new Map(rows.map(({ partition, time }) => [partition, epochMs(time.getTime())]))
}

function anotherWent (): ServiceError {
  return new ServiceError('conflict', 'STORE_CONFLICT', 'another process archives this partition: what is known of it must be read again')
}
