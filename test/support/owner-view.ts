/** The databases of a running server, seen by their owners: what stands there, whatever the server says of it. */

import type { Pool } from 'pg'
import { loadConfig } from '../../src/config/load.ts'
import { RAW, READINGS } from '../../src/model/streams.ts'
import { readEnds } from '../../src/platform/bus/embedded/tables.ts'
import { endsOf } from '../../src/platform/bus/kafka/govern-topics.ts'
import { createPool } from '../../src/platform/postgres/pool.ts'
import { runningCluster } from '../../src/platform/postgres/running-cluster.ts'
import { STORES, type StoreName } from '../../src/platform/postgres/stores.ts'
import { externalUrl, hasExternalDatabases } from './external-databases.ts'
import { busEnvironment } from './oxbow-process.ts'

export interface OwnerView {
  pool (store: StoreName): Pool
  /** Offset after the last record of the readings topic, by partition, on whatever bus the server has. */
  readingsEnds (): Promise<ReadonlyMap<number, number>>
  /** The same of the raw topic. */
  rawEnds (): Promise<ReadonlyMap<number, number>>
  close (): Promise<void>
}

/** @throws when no PostgreSQL takes connections on the data directory */
export async function ownerView (dataDir: string): Promise<OwnerView> {
  const cluster = hasExternalDatabases ? { url: (store: StoreName, role: string) => externalUrl(dataDir, store, role) } : await runningCluster(dataDir)
  if (cluster === undefined) throw new Error('PostgreSQL does not take connections')
  const pools = new Map<StoreName, Pool>()
  function pool (store: StoreName): Pool {
    const known = pools.get(store)
    if (known !== undefined) return known
    const made = createPool({ url: cluster!.url(store, STORES[store].owner), applicationName: 'oxbow test' })
    made.on('error', () => {})
    pools.set(store, made)
    return made
  }
  const environment = busEnvironment(dataDir)
  const ends = (topic: string): Promise<ReadonlyMap<number, number>> => 'OXBOW_BUS_KIND' in environment ? endsOf(loadConfig(environment), topic) : readEnds(pool('bus'), topic)
  return {
    pool,
    readingsEnds: () => ends(READINGS),
    rawEnds: () => ends(RAW),
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
