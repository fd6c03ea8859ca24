/** A data folder -> what stands there of an embedded cluster: its secrets, its files, and whoever left it running. */

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { link, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import { assertTraversable, handOver, initialise, type RunAs, readPidFile } from './postmaster.ts'
import { roleNames } from './stores.ts'

export interface ClusterFolder {
  dataDir: string
  /** PostgreSQL's own folder. */
  postgres: string
  logFile: string
  secrets: Secrets
  /** The file lacks passwords that `secrets` has. */
  hasNewPasswords: boolean
  runAs: RunAs
}

/** Kept in `<dataDir>/postgres.json`, mode 0600. */
interface Secrets { port: number, passwords: Record<string, string> }

export const SUPERUSER = 'postgres'
/** Held by a session of the server that has the folder: it ends with that process, however that ends. */
const LOCK = 0x6f78_636c
const PASSWORD_BYTES = 24
const LOG_BYTES_MAX = 10 * 1024 * 1024
const ORPHAN_TIMEOUT_MS = 30_000
/** How long the process that started a server may take to lock it before it is taken for another program. */
const STARTER_TIMEOUT_MS = 5_000
const STARTER = /cluster_name=oxbow-(\d+)/
/** Until then an orphan may write its checkpoint; after it, it is ended at once and the log is read again. */
const FAST_SHUTDOWN_MS = 10_000
const CONNECT_TIMEOUT_MS = 5_000
const POLL_MS = 50

/** Makes what is missing: folder, passwords, database files. @throws ServiceError incorrect STORE_FOLDER naming a folder that PostgreSQL cannot enter */
export async function prepareFolder (dataDir: string, runAs: RunAs): Promise<ClusterFolder> {
  // As root, PostgreSQL runs as another user, who must get through; what is secret is closed by itself.
  await mkdir(dataDir, { recursive: true, mode: runAs.uid === undefined ? 0o700 : 0o755 }).catch((error: NodeJS.ErrnoException) => {
    throw new ServiceError('incorrect', 'STORE_FOLDER', `${dataDir} cannot be made a folder (${error.code ?? 'unknown'}): set dataDir (OXBOW_DATA_DIR)`, { cause: error })
  })
  await assertTraversable(dataDir, runAs)
  const postgres = join(dataDir, 'postgres')
  const loaded = await loadSecrets(dataDir, await exists(join(postgres, 'PG_VERSION')))
  const folder = { dataDir, postgres, logFile: join(dataDir, 'postgres.log'), ...loaded, runAs }
  if (!await exists(join(postgres, 'PG_VERSION'))) await makeFiles(folder)
  if (((await stat(folder.logFile).catch(() => undefined))?.size ?? 0) > LOG_BYTES_MAX) await rename(folder.logFile, `${folder.logFile}.1`)
  return folder
}

/** Removes what an interrupted first start left; called by whoever has the lock. */
export async function removeDrafts ({ dataDir }: ClusterFolder): Promise<void> {
  const drafts = (await readdir(dataDir)).filter(name => /^postgres-new-/.test(name))
  for (const name of drafts) await rm(join(dataDir, name), { recursive: true, force: true })
}

/** Writes what `postgres.json` does not hold yet: the port, and passwords of roles that a newer version brings; call before the roles are made. */
export async function saveSecrets (folder: ClusterFolder, port: number): Promise<void> {
  if (folder.secrets.port === port && !folder.hasNewPasswords) return
  folder.secrets.port = port
  const draft = await writeDraft(folder.dataDir, folder.secrets)
  await rename(draft, secretsFile(folder.dataDir))
}

/** Connection string of a role; the password is the one kept in the folder. */
export function urlIn ({ secrets }: ClusterFolder, port: number, role: string, database: string): string {
  return `postgres://${role}:${encodeURIComponent(secrets.passwords[role] ?? '')}@127.0.0.1:${port}/${database}`
}

/** A superuser's session that holds the folder's lock as long as it lives. @throws ServiceError conflict STORE_IN_USE */
export async function takeLock (folder: ClusterFolder, port: number): Promise<Client> {
  const client = connectionOf(folder, port)
  await client.connect()
  const { rows } = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [LOCK])
  if (rows[0]?.locked) return client
  await client.end()
  throw inUse(folder)
}

/**
 * Ends a server that a killed process left running on the folder. It is ended rather than adopted: no session of the dead process can then
 * still commit. @throws ServiceError conflict STORE_IN_USE when the process that started it lives
 */
export async function endOrphan (folder: ClusterFolder): Promise<void> {
  const startedAt = performance.now()
  for (;;) {
    const found = await readPidFile(folder.postgres)
    if (found === undefined || !isAlive(found.pid)) return
    const command = await commandOf(found.pid)
    if (!command.includes(folder.postgres)) {
      // A number of a process that is gone, since given to another program.
      await rm(join(folder.postgres, 'postmaster.pid'), { force: true })
      return
    }
    const waitedMs = performance.now() - startedAt
    const starter = Number(STARTER.exec(command)?.[1])
    if (isAlive(starter)) {
      // Perhaps another program has its number by now: then nobody holds the lock, however long one looks.
      if (await isLockHeld(folder, found.port) || waitedMs > STARTER_TIMEOUT_MS * 2) throw inUse(folder)
      if (waitedMs < STARTER_TIMEOUT_MS) {
        await delay(POLL_MS)
        continue
      }
    }
    if (waitedMs > ORPHAN_TIMEOUT_MS) throw inUse(folder)
    process.kill(found.pid, waitedMs < FAST_SHUTDOWN_MS ? 'SIGINT' : 'SIGQUIT')
    await delay(POLL_MS)
  }
}

/** Setting by which a server says which process started it. */
export function starterSetting (): Readonly<Record<string, string>> {
  return { cluster_name: `oxbow-${process.pid}` }
}

/** @returns false also when it does not answer: it is starting or stopping */
async function isLockHeld (folder: ClusterFolder, port: number): Promise<boolean> {
  const client = connectionOf(folder, port)
  try {
    await client.connect()
    const { rows } = await client.query<{ held: boolean }>("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = $1) AS held", [LOCK])
    return rows[0]?.held ?? false
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}

function connectionOf (folder: ClusterFolder, port: number): Client {
  const client = new Client({
    connectionString: urlIn(folder, port, SUPERUSER, 'postgres'), application_name: 'oxbow cluster', keepAlive: true, connectionTimeoutMillis: CONNECT_TIMEOUT_MS
  })
  client.on('error', () => {})
  return client
}

function inUse ({ dataDir }: ClusterFolder): ServiceError {
  return new ServiceError('conflict', 'STORE_IN_USE', `${dataDir} is in use by another Oxbow: stop that one, or set another data directory`)
}

async function loadSecrets (dataDir: string, hasFiles: boolean): Promise<Pick<ClusterFolder, 'secrets' | 'hasNewPasswords'>> {
  const file = secretsFile(dataDir)
  if (!await exists(file)) {
    if (hasFiles) throw new ServiceError('incorrect', 'STORE_FOLDER', `${file} is missing: it holds the passwords of the databases beside it; restore it`)
    const passwords = Object.fromEntries([SUPERUSER, ...roleNames()].map(role => [role, newPassword()]))
    const draft = await writeDraft(dataDir, { port: 0, passwords })
    // Of two first starts at once, one makes the file and both read it.
    await link(draft, file).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'EEXIST') throw error })
    await rm(draft)
  }
  const secrets = JSON.parse(await readFile(file, 'utf8')) as Secrets
  const newRoles = roleNames().filter(role => secrets.passwords[role] === undefined)
  for (const role of newRoles) secrets.passwords[role] = newPassword()
  return { secrets, hasNewPasswords: newRoles.length > 0 }
}

async function writeDraft (dataDir: string, secrets: Secrets): Promise<string> {
  const draft = `${secretsFile(dataDir)}.${randomBytes(6).toString('hex')}`
  await writeFile(draft, JSON.stringify(secrets, null, 2) + '\n', { mode: 0o600, flag: 'wx', flush: true })
  return draft
}

/** In a folder of its own, moved into place whole: an interrupted start leaves no half of a database behind. */
async function makeFiles (folder: ClusterFolder): Promise<void> {
  const draft = await mkdtemp(join(folder.dataDir, 'postgres-new-'))
  try {
    await handOver(draft, folder.runAs)
    await initialise(draft, folder.secrets.passwords[SUPERUSER]!, folder.runAs)
    await rename(draft, folder.postgres)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    // Another first start was quicker, and swept up this one's draft; the lock decides which of the two goes on.
    if (!await exists(join(folder.postgres, 'PG_VERSION'))) throw error
  }
}

function isAlive (pid: number): boolean {
  if (!(pid > 0)) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Program and arguments of a process; '' when they cannot be told. */
async function commandOf (pid: number): Promise<string> {
  return readFile(`/proc/${pid}/cmdline`, 'utf8')
    .catch(async () => (await promisify(execFile)('ps', ['-p', String(pid), '-o', 'command='])).stdout)
    .catch(() => '')
}

async function exists (path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false)
}

const secretsFile = (dataDir: string) => join(dataDir, 'postgres.json')
const newPassword = () => randomBytes(PASSWORD_BYTES).toString('base64url')
