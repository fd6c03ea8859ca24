/** The databases of a running server, seen by their owners: what stands there, whatever the server says of it. */

import type { Pool } from 'pg'
import { createPool } from '../../src/platform/postgres/pool.ts'
import { runningCluster } from '../../src/platform/postgres/running-cluster.ts'
import { STORES, type StoreName } from '../../src/platform/postgres/stores.ts'

export interface OwnerView {
  pool (store: StoreName): Pool
  close (): Promise<void>
}

/** @throws when no PostgreSQL takes connections on the data directory */
export async function ownerView (dataDir: string): Promise<OwnerView> {
  const cluster = await runningCluster(dataDir)
  if (cluster === undefined) throw new Error('PostgreSQL does not take connections')
  const pools = new Map<StoreName, Pool>()
  return {
    pool: store => {
      const known = pools.get(store)
      if (known !== undefined) return known
      const pool = createPool({ url: cluster.url(store, STORES[store].owner), applicationName: 'oxbow test' })
      pool.on('error', () => {})
      pools.set(store, pool)
      return pool
    },
    close: async () => { await Promise.all([...pools.values()].map(pool => pool.end())) }
  }
}

/** Looks once, and leaves nothing open. */
export async function asOwner<T> (dataDir: string, look: (view: OwnerView) => Promise<T>): Promise<T> {
  const view = await ownerView(dataDir)
  try {
    return await look(view)
  } finally {
    await view.close()
  }
}
