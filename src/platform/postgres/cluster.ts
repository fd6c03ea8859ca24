/**
 * A data folder -> embedded PostgreSQL with the databases, roles and logins of all stores, kept running until it is stopped. The folder
 * is held by a lock that ends with this process; a server left over by a killed process is ended first.
 */

import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import { type ClusterFolder, endOrphan, prepareFolder, removeDrafts, saveSecrets, starterSetting, takeLock, urlIn } from './cluster-folder.ts'
import { freePort, type Postmaster, readPidFile, runAsUser, startPostmaster } from './postmaster.ts'
import { provisionDatabase, provisionRoles } from './provision.ts'
import { LOG_SETTINGS } from './server-log.ts'
import { STORES, type StoreName } from './stores.ts'

/** `up` and `down` alternate; `taken`: another process has the folder since PostgreSQL was down, this one must end. */
export type ClusterState = 'up' | 'down' | 'taken'

export interface ClusterOptions {
  /** Made when missing; PostgreSQL stands in `postgres` below it. */
  dataDir: string
  /** Called when PostgreSQL ended by itself and when it is back; it is started again without end. */
  onState?: (state: ClusterState) => void
  /** Added to, or instead of, our own settings of the server; `fsync` stays on. */
  settings?: Readonly<Record<string, string>>
}

export interface Cluster {
  port: number
  /** Connection string of a login of the store; its main login when `role` is left out. */
  url (store: StoreName, role?: string): string
  /** Connection string of the store's owner, for migrations. */
  ownerUrl (store: StoreName): string
  /** Ends all sessions and the server; within 10 s. */
  stop (): Promise<void>
}

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  timezone: 'UTC',
  log_timezone: 'UTC',
  shared_buffers: '256MB',
  wal_buffers: '16MB',
  // A checkpoint writes each page changed since the last one whole into the log again: few and spread out, so that they do not throttle
  // ingest. The price is at most 4 GB of log to read again after a crash, and on disk.
  max_wal_size: '4GB',
  min_wal_size: '512MB',
  checkpoint_timeout: '15min',
  // A table that is new gets its statistics soon: without them the planner reads all of it.
  autovacuum_naptime: '10s',
  // Statements here are short: compiling them, or sharing them out to workers (that need shared memory a container may not give), costs more.
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  // No statement, value or key of a row reaches the log: an error goes to the client that made it, and to nobody else, unless it is a denial.
  ...LOG_SETTINGS,
  // Acknowledged is durable.
  synchronous_commit: 'on',
  full_page_writes: 'on'
}
const START_ATTEMPTS = 20
/** Processes of a server that was killed end when they next look up from what they do: on a busy machine that takes a while. */
const LEFT_OVER_MS = 30_000
const RETRY_MIN_MS = 100
const RETRY_MAX_MS = 5_000

/** @throws ServiceError conflict STORE_IN_USE, incorrect STORE_FOLDER, unavailable STORE_UNAVAILABLE; each message names the folder or file */
export async function startCluster (options: ClusterOptions): Promise<Cluster> {
  const runAs = await runAsUser()
  const folder = await prepareFolder(resolve(options.dataDir), runAs)
  await endOrphan(folder)
  const settings = { ...SETTINGS, ...options.settings, ...starterSetting(), fsync: 'on' }
  const running = await startServer(folder, settings)
  try {
    await removeDrafts(folder)
    await saveSecrets(folder, running.port)
    await provision(folder, running.lock)
  } catch (error) {
    await running.postmaster.stop()
    throw error
  }
  const stopping = new AbortController()
  const supervised = supervise(folder, settings, running, options.onState ?? (() => {}), stopping.signal)
  return {
    port: running.port,
    url: (store, role) => urlIn(folder, running.port, role ?? STORES[store].logins[0]!.role, STORES[store].database),
    ownerUrl: store => urlIn(folder, running.port, STORES[store].owner, STORES[store].database),
    stop: async () => {
      stopping.abort()
      await supervised
      await running.lock.end().catch(() => {})
      await running.postmaster.stop()
    }
  }
}

interface Running { port: number, postmaster: Postmaster, lock: Client }
type Settings = Readonly<Record<string, string>>

/** Several attempts: a port may be snatched, and processes of a server that was killed may still hold its shared memory; its pid file tells. */
async function startServer (folder: ClusterFolder, settings: Settings): Promise<Running> {
  const startedAt = performance.now()
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(folder.secrets.port)
    try {
      return await startOn(folder, settings, port)
    } catch (error) {
      await endOrphan(folder)
      const mayBeHeld = performance.now() - startedAt < LEFT_OVER_MS && await readPidFile(folder.postgres) !== undefined
      if (attempt >= START_ATTEMPTS && !mayBeHeld) throw error
      await delay(RETRY_MIN_MS)
    }
  }
}

async function startOn (folder: ClusterFolder, settings: Settings, port: number): Promise<Running> {
  const postmaster = await startPostmaster({ folder: folder.postgres, port, settings, logFile: folder.logFile, runAs: folder.runAs })
  try {
    return { port, postmaster, lock: await takeLock(folder, port) }
  } catch (error) {
    await postmaster.stop()
    throw error
  }
}

/** Roles and databases in the session that holds the lock. */
async function provision (folder: ClusterFolder, admin: Client): Promise<void> {
  await provisionRoles(admin, role => folder.secrets.passwords[role]!)
  for (const store of Object.values(STORES)) await provisionDatabase(admin, store, store.database)
}

/** Starts the server again on its port whenever it ends, and takes the lock again whenever its session ends. */
async function supervise (folder: ClusterFolder, settings: Settings, running: Running, onState: (state: ClusterState) => void, signal: AbortSignal): Promise<void> {
  const stopped = new Promise<'stopped'>(resolve => { signal.addEventListener('abort', () => { resolve('stopped') }, { once: true }) })
  while (!signal.aborted) {
    const lockEnded = new Promise<'lost'>(resolve => { running.lock.once('end', () => { resolve('lost') }) })
    if (await Promise.race([stopped, lockEnded]) === 'stopped') return
    onState('down')
    for (let waitMs = RETRY_MIN_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      const outcome = await restart(folder, settings, running)
      if (outcome !== 'down') onState(outcome)
      if (outcome === 'up') break
      if (outcome === 'taken') return
      await delay(waitMs, undefined, { signal }).catch(() => {})
    }
  }
}

async function restart (folder: ClusterFolder, settings: Settings, running: Running): Promise<ClusterState> {
  const ended = await Promise.race([running.postmaster.exited.then(() => true), delay(RETRY_MIN_MS, false)])
  try {
    // While the server was down another process may have come; `endOrphan` and the lock tell.
    if (ended) {
      await endOrphan(folder)
      Object.assign(running, await startOn(folder, settings, running.port))
    } else running.lock = await takeLock(folder, running.port)
    return 'up'
  } catch (error) {
    return error instanceof ServiceError && error.code === 'STORE_IN_USE' ? 'taken' : 'down'
  }
}
