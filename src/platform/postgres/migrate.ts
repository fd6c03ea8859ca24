/**
 * A store's migration folders + a connection as its owner -> a database that is up to date.
 *
 * Files are `NNNN-name.sql`, run in the order of the folders and of their numbers, all new ones in one transaction under an advisory
 * lock. They create what they need (schemas too), name login roles as `stores.ts` does, and grant each what it may do: without a
 * GRANT a login sees nothing. `public.oxbow_migration` keeps name and SHA-256 of what ran; a file once run never changes. One whose words had to
 * change and whose effect did not (an older PostgreSQL did not know them) says what it stands for: `-- same as SHA-256`.
 */

import { hash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { Client, type ClientBase } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import type { MigrationFolder, Store } from './stores.ts'

export interface Migration {
  room: string
  name: string
  sql: string
  digest: string
  /** SHA-256 of other wordings with the same effect. */
  sameAs: readonly string[]
}

const FILE = /^\d{4}-[a-z0-9-]+\.sql$/
const SAME_AS = /^-- same as ([0-9a-f]{64})$/gm
const LOCK = 0x6f78_626f
const CONNECT_TIMEOUT_MS = 5_000

/** Brings the database at `ownerUrl` up to date; returns the number of files run. @throws ServiceError fault STORE_MIGRATION */
export async function migrateStore (ownerUrl: string, store: Store): Promise<number> {
  const migrations = await readMigrations(store.migrations)
  const client = new Client({ connectionString: ownerUrl, application_name: 'oxbow migrate' })
  await client.connect()
  try {
    return await migrate(client, migrations, store.extensions)
  } finally {
    await client.end()
  }
}

/** Names of the files that have not run at `ownerUrl`, `room/name`; changes nothing. @throws ServiceError fault STORE_MIGRATION, or when it cannot be reached */
export async function pendingMigrations (ownerUrl: string, store: Store): Promise<readonly string[]> {
  const migrations = await readMigrations(store.migrations)
  const client = new Client({ connectionString: ownerUrl, application_name: 'oxbow doctor', connectionTimeoutMillis: CONNECT_TIMEOUT_MS })
  await client.connect()
  try {
    const { rows } = await client.query<{ made: boolean }>(`SELECT to_regclass('public.oxbow_migration') IS NOT NULL AS made`)
    return (rows[0]?.made ? await notYetRun(client, migrations) : migrations).map(key)
  } finally {
    await client.end()
  }
}

/** In the order they run. @throws ServiceError fault STORE_MIGRATION when a name is no `NNNN-name.sql` or a number stands twice */
export async function readMigrations (folders: readonly MigrationFolder[]): Promise<readonly Migration[]> {
  const found = await Promise.all(folders.map(readFolder))
  return found.flat()
}

/** @param client logged in as the owner of the database */
export async function migrate (client: ClientBase, migrations: readonly Migration[], extensions: readonly string[] = []): Promise<number> {
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK])
    await client.query(`CREATE TABLE IF NOT EXISTS public.oxbow_migration (
      room text NOT NULL, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (room, name))`)
    for (const extension of extensions) await client.query(`CREATE EXTENSION IF NOT EXISTS ${client.escapeIdentifier(extension)}`)
    const fresh = await notYetRun(client, migrations)
    for (const migration of fresh) await run(client, migration)
    await client.query('COMMIT')
    return fresh.length
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

async function notYetRun (client: ClientBase, migrations: readonly Migration[]): Promise<readonly Migration[]> {
  const { rows } = await client.query<{ room: string, name: string, sha256: string }>('SELECT room, name, sha256 FROM public.oxbow_migration')
  const known = new Map(migrations.map(migration => [key(migration), migration]))
  for (const row of rows) {
    const migration = known.get(key(row))
    if (migration === undefined) throw refusal(`the database has run ${key(row)}, which this version does not know: it was used by a newer version`)
    if (migration.digest !== row.sha256 && !migration.sameAs.includes(row.sha256)) throw refusal(`${key(row)} has changed since it was run; a migration that has run is never edited, add a new one`)
  }
  const done = new Set(rows.map(key))
  return migrations.filter(migration => !done.has(key(migration)))
}

async function run (client: ClientBase, migration: Migration): Promise<void> {
  try {
    await client.query(migration.sql)
  } catch (error) {
    throw refusal(`${key(migration)} failed: ${error instanceof Error ? error.message : 'unknown error'}`, error)
  }
  await client.query('INSERT INTO public.oxbow_migration (room, name, sha256) VALUES ($1, $2, $3)', [migration.room, migration.name, migration.digest])
}

async function readFolder ({ room, url }: MigrationFolder): Promise<readonly Migration[]> {
  const names = (await readdir(url).catch(emptyWhenMissing)).filter(name => name.endsWith('.sql')).sort()
  const numbers = new Set(names.map(name => name.slice(0, 4)))
  if (numbers.size !== names.length) throw refusal(`two files of ${room} have the same number`)
  return Promise.all(names.map(async name => {
    if (!FILE.test(name)) throw refusal(`${room}/${name} is not named NNNN-name.sql`)
    const sql = await readFile(new URL(name, url), 'utf8')
    return { room, name, sql, digest: hash('sha256', sql), sameAs: [...sql.matchAll(SAME_AS)].map(([, digest]) => digest!) }
  }))
}

function emptyWhenMissing (error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return []
  throw error
}

const key = ({ room, name }: { room: string, name: string }) => `${room}/${name}`
const refusal = (message: string, cause?: unknown) => new ServiceError('fault', 'STORE_MIGRATION', message, { cause })
