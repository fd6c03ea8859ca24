/** A data folder -> the embedded cluster that runs there now, for verbs that work beside the server. Starts and changes nothing. */

import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { readPidFile } from './postmaster.ts'
import { STORES, type StoreName } from './stores.ts'

export interface RunningCluster {
  /** Connection string of a login of the store. */
  url (store: StoreName, role: string): string
}

const CONNECT_TIMEOUT_MS = 5_000

/** True once a first start has made the database files. */
export async function hasCluster (dataDir: string): Promise<boolean> {
  return stat(join(dataDir, 'postgres', 'PG_VERSION')).then(() => true, () => false)
}

/** `undefined`: none runs, or it takes no connections. @throws when its passwords cannot be read by this user */
export async function runningCluster (dataDir: string): Promise<RunningCluster | undefined> {
  const found = await readPidFile(join(dataDir, 'postgres'))
  if (found === undefined || !found.ready) return undefined
  const { passwords } = JSON.parse(await readFile(join(dataDir, 'postgres.json'), 'utf8')) as { passwords: Readonly<Record<string, string>> }
  const url = (store: StoreName, role: string) =>
    `postgres://${role}:${encodeURIComponent(passwords[role] ?? '')}@127.0.0.1:${found.port}/${STORES[store].database}`
  return await answers(url('bus', STORES.bus.owner)) ? { url } : undefined
}

/** Of a server that was killed, the file of its process stays behind. */
async function answers (connectionString: string): Promise<boolean> {
  const client = new Client({ connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, application_name: 'oxbow' })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.end()
    return true
  } catch {
    return false
  }
}
