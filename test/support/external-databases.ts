/** Databases of a server's own in the cluster of this run, for end-to-end tests on another PostgreSQL than the embedded one: one set for each data directory. */

import { basename, dirname } from 'node:path'
import { provisionDatabase } from '../../src/platform/postgres/provision.ts'
import { STORE_NAMES, STORES, type StoreName } from '../../src/platform/postgres/stores.ts'
import { addTimescale, asAdmin, isTimescale, testUrl } from './postgres.ts'

/** Whether servers of this project have their databases there. */
export const hasExternalDatabases = isTimescale

/** Connection string of a role on a database of the server with this data directory. */
export function externalUrl (dataDir: string, store: StoreName, role: string): string { return testUrl(role, databaseOf(dataDir, store)) }

/** Settings by which a server has its stores there; none where it has the embedded cluster. */
export function externalEnvironment (dataDir: string): Record<string, string> {
  if (!hasExternalDatabases) return {}
  const url = (store: StoreName, role: string) => externalUrl(dataDir, store, role)
  return {
    OXBOW_POSTGRES_KIND: 'external',
    OXBOW_POSTGRES_INGEST_URL: url('bus', 'oxbow_ingest'),
    OXBOW_POSTGRES_ARCHIVE_URL: url('bus', 'oxbow_archive'),
    OXBOW_POSTGRES_DELIVERY_URL: url('linkage', 'oxbow_delivery'),
    ...Object.fromEntries(STORE_NAMES.flatMap(store => [
      [`OXBOW_POSTGRES_${store.toUpperCase()}_URL`, url(store, STORES[store].logins[0]!.role)], [`OXBOW_POSTGRES_${store.toUpperCase()}_OWNER_URL`, url(store, STORES[store].owner)]
    ]))
  }
}

/** Makes them unless they are there; that of series with the extension. They go with the cluster. */
export async function makeExternalDatabases (dataDir: string): Promise<void> {
  if (!hasExternalDatabases) return
  await asAdmin(async admin => {
    for (const store of STORE_NAMES) {
      const database = databaseOf(dataDir, store)
      const { rowCount } = await admin.query('SELECT FROM pg_database WHERE datname = $1', [database])
      if (rowCount !== 0) continue
      await provisionDatabase(admin, STORES[store], database)
      if (store === 'series') await addTimescale(database)
    }
  })
}

function databaseOf (dataDir: string, store: StoreName): string { return `${basename(dirname(dataDir)).toLowerCase().replaceAll(/[^a-z0-9]/g, '_')}_${store}` }
