/** Databases for integration tests: each call a fresh one, migrated, in the cluster of `global-setup.ts`. Call `drop()` in `afterAll`. */

import { createHash, randomBytes } from 'node:crypto'
import { Client, type Pool } from 'pg'
import { inject } from 'vitest'
import { migrateStore, readMigrations } from '../../src/platform/postgres/migrate.ts'
import { createPool } from '../../src/platform/postgres/pool.ts'
import { provisionDatabase } from '../../src/platform/postgres/provision.ts'
import { STORE_NAMES, STORES, type Store, type StoreName } from '../../src/platform/postgres/stores.ts'

export interface TestDatabase {
  /** As the server: the store's main login (`oxbow_series` …). */
  pool: Pool
  /** As the owner of the database: sees and may change everything in it. */
  owner: Pool
  /** Connection string of `pool`. */
  url: string
  ownerUrl: string
  /** Connection string of another login of the store, e.g. `oxbow_ingest` of `bus`. */
  urlOf (role: string): string
  /** A pool of another login of the store; ended by `drop`. */
  poolOf (role: string): Pool
  /** Ends the pools and removes the database. */
  drop (): Promise<void>
}

/** Readings of the series databases stand in a hypertable. */
export const isTimescale = inject('timescale') === true

const TEMPLATE_LOCK = 0x6f78_7470

/** A new database of `store`, migrated with all its migrations. */
export async function testDatabase (store: StoreName): Promise<TestDatabase> {
  const definition = STORES[store]
  const database = `test_${store}_${randomBytes(6).toString('hex')}`
  await asAdmin(async admin => provisionDatabase(admin, definition, database, await migratedTemplate(admin, definition)))
  return handle(definition, database)
}

/** One of each store, as a running system has them. */
export async function testStores (): Promise<Record<StoreName, TestDatabase> & { drop (): Promise<void> }> {
  const databases = await Promise.all(STORE_NAMES.map(testDatabase))
  const byName = Object.fromEntries(STORE_NAMES.map((name, index) => [name, databases[index]])) as Record<StoreName, TestDatabase>
  return { ...byName, drop: async () => { await Promise.all(databases.map(({ drop }) => drop())) } }
}

/** A database of `store` without its migrations, for tests of provisioning and migrating. @param timescale with the extension, where the cluster has it */
export async function emptyDatabase (store: StoreName, timescale = isTimescale): Promise<TestDatabase> {
  const database = `test_${store}_${randomBytes(6).toString('hex')}`
  await asAdmin(admin => provisionDatabase(admin, STORES[store], database))
  if (store === 'series' && timescale) await addTimescale(database)
  return handle(STORES[store], database)
}

/** What an administrator does so that readings stand in a hypertable. */
export async function addTimescale (database: string): Promise<void> {
  const admin = new Client({ connectionString: testUrl('postgres', database) })
  await admin.connect()
  await admin.query('CREATE EXTENSION timescaledb')
  await admin.end()
}

/** Runs `work` as the superuser of the test cluster. */
export async function asAdmin<T> (work: (admin: Client) => Promise<T>): Promise<T> {
  const admin = new Client({ connectionString: inject('adminUrl') })
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.end()
  }
}

/** Connection string of `role` on `database` of the test cluster. */
export function testUrl (role: string, database: string): string {
  const url = new URL(inject('adminUrl'))
  url.username = role
  url.pathname = `/${database}`
  return url.href
}

function handle (store: Store, database: string): TestDatabase {
  const urlOf = (role: string) => testUrl(role, database)
  const pools: Pool[] = []
  const poolOf = (role: string) => {
    const pool = createPool({ url: urlOf(role), applicationName: 'oxbow test' })
    pools.push(pool)
    return pool
  }
  const drop = async () => {
    await Promise.all(pools.map(pool => pool.ended ? undefined : pool.end()))
    await asAdmin(admin => admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`))
  }
  const login = store.logins[0]!.role
  return { pool: poolOf(login), owner: poolOf(store.owner), url: urlOf(login), ownerUrl: urlOf(store.owner), urlOf, poolOf, drop }
}

/** A migrated database to copy from, one for each state of the migration files (they change under a watching runner). */
async function migratedTemplate (admin: Client, store: Store): Promise<string> {
  const migrations = await readMigrations(store.migrations)
  const state = createHash('sha256').update(JSON.stringify(migrations.map(({ room, name, digest }) => [room, name, digest]))).digest('hex')
  const template = `template_${store.name}_${state.slice(0, 12)}`
  await admin.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK])
  try {
    const { rowCount } = await admin.query('SELECT FROM pg_database WHERE datname = $1', [template])
    if (rowCount === 0) await makeTemplate(admin, store, template)
  } finally {
    await admin.query('SELECT pg_advisory_unlock($1)', [TEMPLATE_LOCK])
  }
  return template
}

async function makeTemplate (admin: Client, store: Store, template: string): Promise<void> {
  const draft = `${template}_draft`
  await admin.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`)
  await provisionDatabase(admin, store, draft)
  if (store.name === 'series' && isTimescale) await addTimescale(draft)
  await migrateStore(testUrl(store.owner, draft), store)
  await admin.query(`ALTER DATABASE ${draft} RENAME TO ${template}`)
}

/** Whether somebody on this database waits for an advisory lock. */
export async function isLockWaited (db: Pick<Pool, 'query'>): Promise<boolean> {
  const { rows } = await db.query(`select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`)
  return rows.length > 0
}

/** How many locks sessions of this database wait for: those of rows too, which name no database. */
export async function waitCount (db: Pick<Pool, 'query'>): Promise<number> {
  const { rows } = await db.query('select from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database()')
  return rows.length
}
