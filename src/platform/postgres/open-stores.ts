/** Config → every store's database at hand: the embedded cluster or connection strings, migrated, one pool per login. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Config } from '../../config/schema.ts'
import { ServiceError } from '../../model/errors.ts'
import { type ClusterState, startCluster } from './cluster.ts'
import { migrateStore, pendingMigrations } from './migrate.ts'
import { createPool } from './pool.ts'
import { addressOf, assertApart, type StoreAddress } from './store-address.ts'
import { hasCluster, runningCluster } from './running-cluster.ts'
import { STORE_NAMES, STORES, type StoreName } from './stores.ts'

/** Logins of the server, each with the setting that holds its connection string on external PostgreSQL. */
const LOGINS = {
  oxbow_bus: ['bus', 'postgres.busUrl'],
  oxbow_ingest: ['bus', 'postgres.ingestUrl'],
  oxbow_archive: ['bus', 'postgres.archiveUrl'],
  oxbow_linkage: ['linkage', 'postgres.linkageUrl'],
  oxbow_delivery: ['linkage', 'postgres.deliveryUrl'],
  oxbow_series: ['series', 'postgres.seriesUrl'],
  oxbow_audit: ['audit', 'postgres.auditUrl'],
  oxbow_keys: ['keys', 'postgres.keysUrl']
} as const

export type LoginName = keyof typeof LOGINS

const OWNER_SETTINGS = {
  bus: 'postgres.busOwnerUrl',
  linkage: 'postgres.linkageOwnerUrl',
  series: 'postgres.seriesOwnerUrl',
  audit: 'postgres.auditOwnerUrl',
  keys: 'postgres.keysOwnerUrl'
} as const satisfies Record<StoreName, keyof Config>

export interface StoreUrls {
  login (login: LoginName): string
  owner (store: StoreName): string
}

export interface Stores {
  url (login: LoginName): string
  /** Made at the first call, ended by `close`. */
  pool (login: LoginName): Pool
  /** Stores that do not answer within a second, by name. */
  unreachable (): Promise<readonly StoreName[]>
  /** Where each login points, without its password. */
  addresses: readonly StoreAddress[]
  /** Ends the pools, then the embedded cluster. */
  close (): Promise<void>
}

export interface OpenStoresOptions {
  /** Of the embedded cluster. */
  onState?: (state: ClusterState) => void
  /** Last chance to refuse, before the databases are changed. */
  beforeMigrations?: (urls: StoreUrls) => Promise<void>
}

/** @throws ServiceError CONFIG_INVALID naming what is missing or shared; STORE_IN_USE, STORE_FOLDER, STORE_UNAVAILABLE, STORE_MIGRATION */
export async function openStores (config: Config, options: OpenStoresOptions = {}): Promise<Stores> {
  const { onState } = options
  const cluster = config['postgres.kind'] === 'embedded' ? await startCluster({ dataDir: config.dataDir, ...(onState === undefined ? {} : { onState }) }) : undefined
  try {
    const urls = cluster === undefined ? externalUrls(config) : { login: (login: LoginName) => cluster.url(LOGINS[login][0], login), owner: cluster.ownerUrl }
    const addresses = addressesOf(urls)
    if (config.mode === 'production') assertApart([...addresses, ...STORE_NAMES.map(store => addressOf(store, urls.owner(store)))])
    await options.beforeMigrations?.(urls)
    await Promise.all(STORE_NAMES.map(store => migrateStore(urls.owner(store), STORES[store])))
    return openPools(urls, addresses, async () => { await cluster?.stop() })
  } catch (error) {
    await cluster?.stop()
    throw error
  }
}

/** The same beside a running server: the databases of its cluster where it runs, else they are opened for as long as the caller needs them.
 *  @throws as `openStores`; STORE_FOLDER where no server was ever started: nothing is made to be looked at */
export async function reachStores (config: Config): Promise<Stores> {
  const isEmbedded = config['postgres.kind'] === 'embedded'
  const urls = isEmbedded ? await runningUrls(config.dataDir) : undefined
  if (isEmbedded && urls === undefined && !await hasCluster(config.dataDir)) {
    throw new ServiceError('not-found', 'STORE_FOLDER', `there are no data below ${config.dataDir}: set dataDir (OXBOW_DATA_DIR) to the folder of the deployment, or start its server first`)
  }
  return urls === undefined ? openStores(config) : openPools(urls, addressesOf(urls), async () => {})
}

/** For a server beside the one that opened them: nothing is started, nothing migrated. @throws ServiceError unavailable STORE_UNAVAILABLE · CONFIG_INVALID */
export async function joinStores (config: Config): Promise<Stores> {
  const urls = config['postgres.kind'] === 'external' ? externalUrls(config) : await runningUrls(config.dataDir)
  if (urls === undefined) throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', `no PostgreSQL runs below ${config.dataDir}: start the server that has it first`)
  const addresses = addressesOf(urls)
  if (config.mode === 'production') assertApart(addresses)
  const pending = await Promise.all(STORE_NAMES.map(store => pendingMigrations(urls.owner(store), STORES[store])))
  if (pending.flat().length > 0) {
    throw new ServiceError('unavailable', 'STORE_MIGRATION', 'the databases are not on this version: start the server that leads on it first')
  }
  return openPools(urls, addresses, async () => {})
}

export interface ReachedDatabases {
  place: 'external' | 'running' | 'started'
  urls: StoreUrls
  close (): Promise<void>
}

/** For looking at them: nothing is migrated, nothing asserted. `undefined`: embedded, and no first start has made them. @throws ServiceError as `startCluster`, or CONFIG_INVALID */
export async function reachDatabases (config: Config): Promise<ReachedDatabases | undefined> {
  if (config['postgres.kind'] === 'external') return { place: 'external', urls: externalUrls(config), close: async () => {} }
  const running = await runningUrls(config.dataDir)
  if (running !== undefined) return { place: 'running', urls: running, close: async () => {} }
  if (!await hasCluster(config.dataDir)) return undefined
  const cluster = await startCluster({ dataDir: config.dataDir })
  return { place: 'started', urls: { login: login => cluster.url(LOGINS[login][0], login), owner: cluster.ownerUrl }, close: cluster.stop }
}

async function runningUrls (dataDir: string): Promise<StoreUrls | undefined> {
  const cluster = await runningCluster(dataDir)
  if (cluster === undefined) return undefined
  return { login: login => cluster.url(LOGINS[login][0], login), owner: store => cluster.url(store, STORES[store].owner) }
}

export const LOGIN_NAMES = Object.keys(LOGINS) as readonly LoginName[]

export function storeOf (login: LoginName): StoreName { return LOGINS[login][0] }

/** @throws ServiceError CONFIG_INVALID naming every connection string that is missing */
export function externalUrls (config: Config): StoreUrls {
  const settings = [...Object.values(LOGINS).map(([, setting]) => setting), ...Object.values(OWNER_SETTINGS)]
  const missing = settings.filter(setting => config[setting] === '')
  if (missing.length > 0) throw new ServiceError('incorrect', 'CONFIG_INVALID', `postgres.kind is external, but these are not set: ${missing.join(', ')}`)
  return { login: login => config[LOGINS[login][1]], owner: store => config[OWNER_SETTINGS[store]] }
}

export function addressesOf (urls: Pick<StoreUrls, 'login'>): StoreAddress[] {
  return LOGIN_NAMES.map(login => addressOf(storeOf(login), urls.login(login)))
}

function openPools (urls: StoreUrls, addresses: readonly StoreAddress[], stopCluster: () => Promise<void>): Stores {
  const pools = new Map<LoginName, Pool>()
  return {
    url: urls.login,
    addresses,
    unreachable: async () => {
      const asked = [...new Map([...pools].map(([login, pool]) => [storeOf(login), pool]))]
      const answers = await Promise.all(asked.map(async ([store, pool]) => await answersSoon(pool) ? [] : [store]))
      return answers.flat()
    },
    pool: login => {
      let pool = pools.get(login)
      if (pool === undefined) {
        pool = createPool({ url: urls.login(login) })
        pools.set(login, pool)
      }
      return pool
    },
    close: async () => {
      await Promise.allSettled([...pools.values()].map(pool => pool.end()))
      await stopCluster()
    }
  }
}

const ANSWER_MS = 1_000

async function answersSoon (pool: Pool): Promise<boolean> {
  const late = new AbortController()
  const answer = pool.query('select 1').then(() => true, () => false)
  const timeout = delay(ANSWER_MS, false, { signal: late.signal }).catch(() => false)
  const isThere = await Promise.race([answer, timeout])
  late.abort()
  return isThere
}
