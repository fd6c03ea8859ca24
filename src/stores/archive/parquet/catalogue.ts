/** The catalogue of Parquet files (database `oxbow_bus`, login `oxbow_archive`): which version of which day stands under which name. */

import type { ClientBase, Pool, PoolClient } from 'pg'
import { ServiceError } from '../../../model/errors.ts'
import { type EpochMs, epochMs } from '../../../model/units.ts'
import { storeQuery, transaction, withClient } from '../../../platform/postgres/pool.ts'

/** A day of a series as long as its readings stand in the series store. Days count from 1970-01-01, UTC. */
export interface DayKey { series: number, day: number, life: number }

export interface NewFile extends DayKey {
  name: string
  version: number
  change: number
  pipelineVersion: string
  keyId: string
}

export interface FileEntry extends NewFile {
  rows: number
  bytes: number
  sha256: Buffer
  writtenAt: EpochMs
}

/** What is known once the object is made. */
export interface WrittenFile extends Pick<FileEntry, 'rows' | 'bytes' | 'sha256'> { now: EpochMs }

type Db = Pick<ClientBase, 'query'>
interface Row { name: string, series: number, day: number, life: number, version: number, change: number, pipelineVersion: string, keyId: string, rows: number, bytes: number, sha256: Buffer, writtenAt: Date }

const ENTRY = `name, series, day - date '1970-01-01' AS day, life, version, change, pipeline_version AS "pipelineVersion", key_id AS "keyId", rows, bytes, sha256, written_at AS "writtenAt"`
const IS_CURRENT = 'written_at IS NOT NULL AND superseded_at IS NULL'
const DAY = "date '1970-01-01' + "
/** Of the database, and of nothing else. */
const LOCK = "hashtextextended('oxbow archive parquet', 0)"

/** Runs `work` unless another process does so now: then `undefined` at once. The lock ends with its connection. */
export async function alone<T> (pool: Pool, work: () => Promise<T>): Promise<T | undefined> {
  return withClient(pool, async (client: PoolClient) => {
    const { rows } = await client.query<{ locked: boolean }>(`SELECT pg_try_advisory_lock(${LOCK}) AS locked`)
    if (rows[0]?.locked !== true) return undefined
    try {
      return await work()
    } finally {
      await client.query(`SELECT pg_advisory_unlock(${LOCK})`)
    }
  })
}

/** The newest version that is written; `undefined`: there is none. */
export async function currentFile (db: Db, { series, day, life }: DayKey): Promise<FileEntry | undefined> {
  const { rows } = await storeQuery<Row>(db, `SELECT ${ENTRY} FROM archive.parquet WHERE series = $1 AND day = ${DAY}$2::int AND life = $3 AND ${IS_CURRENT}`, [series, day, life])
  return rows.map(entryOf)[0]
}

/** Of a day, whatever became of its readings; numbers are given once. */
export async function nextVersion (db: Db, { series, day }: DayKey): Promise<number> {
  const { rows } = await storeQuery<{ next: number }>(db, `SELECT coalesce(max(version), 0) + 1 AS next FROM archive.parquet WHERE series = $1 AND day = ${DAY}$2::int`, [series, day])
  return rows[0]!.next
}

/** Before the object is written. */
export async function reserveFile (db: Db, file: NewFile, now: EpochMs): Promise<void> {
  await storeQuery(db, `INSERT INTO archive.parquet (name, series, day, life, version, change, pipeline_version, key_id, reserved_at) VALUES ($1, $2, ${DAY}$3::int, $4, $5, $6, $7, $8, $9)`,
    [file.name, file.series, file.day, file.life, file.version, file.change, file.pipelineVersion, file.keyId, new Date(now)])
}

/** When the object is written: it is the current one from now on, and the one before it is superseded.
 *  @throws ServiceError conflict STORE_CONFLICT when another process took the reserved name for one that was left */
export async function finishFile (pool: Pool, file: NewFile, { rows, bytes, sha256, now }: WrittenFile): Promise<void> {
  await transaction(pool, async client => {
    await supersede(client, file, now)
    const written = await client.query('UPDATE archive.parquet SET written_at = $2, rows = $3, bytes = $4, sha256 = $5 WHERE name = $1 AND written_at IS NULL AND removed_at IS NULL',
      [file.name, new Date(now), rows, bytes, sha256])
    if (written.rowCount !== 1) throw new ServiceError('conflict', 'STORE_CONFLICT', 'another process writes Parquet files: this one is left to it')
  })
}

/** The day holds no readings any more. */
export async function supersede (db: Db, { series, day, life }: DayKey, now: EpochMs): Promise<void> {
  await storeQuery(db, `UPDATE archive.parquet SET superseded_at = $4 WHERE series = $1 AND day = ${DAY}$2::int AND life = $3 AND ${IS_CURRENT}`, [series, day, life, new Date(now)])
}

/** Names of objects that are to be removed: superseded, or left by a process that ended. */
export async function unneededNames (db: Db, limit: number): Promise<string[]> {
  const { rows } = await storeQuery<{ name: string }>(db,
    'SELECT name FROM archive.parquet WHERE removed_at IS NULL AND (written_at IS NULL OR superseded_at IS NOT NULL) ORDER BY reserved_at LIMIT $1', [limit])
  return rows.map(({ name }) => name)
}

export async function noteRemoved (db: Db, name: string, now: EpochMs): Promise<void> {
  await storeQuery(db, 'UPDATE archive.parquet SET removed_at = $2 WHERE name = $1', [name, new Date(now)])
}

export interface FileFilter {
  /** Absent: every one. */
  series?: readonly number[] | undefined
  /** First and last day. */
  from?: number | undefined
  to?: number | undefined
}

const PAGE = 500

/** Current files, by series, day and version. */
export async function * currentFiles (db: Db, { series, from, to }: FileFilter = {}): AsyncGenerator<FileEntry[]> {
  for (let last: FileEntry | undefined; ;) {
    const { rows } = await storeQuery<Row>(db, `SELECT ${ENTRY} FROM archive.parquet
      WHERE ${IS_CURRENT} AND ($1::int[] IS NULL OR series = ANY($1)) AND ($2::int IS NULL OR day >= ${DAY}$2) AND ($3::int IS NULL OR day <= ${DAY}$3)
        AND (series, day, version) > ($4::int, ${DAY}$5::int, $6::int) ORDER BY series, day, version LIMIT ${PAGE}`,
    [series ?? null, from ?? null, to ?? null, last?.series ?? -1, last?.day ?? 0, last?.version ?? 0])
    const page = rows.map(entryOf)
    if (page.length > 0) yield page
    if (page.length < PAGE) return
    last = page.at(-1)
  }
}

function entryOf ({ writtenAt, ...row }: Row): FileEntry { return { ...row, writtenAt: epochMs(writtenAt.getTime()) } }
