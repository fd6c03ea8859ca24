/** A data directory -> the product as its users have it: `oxbow serve` in a process of its own, its databases, its processes. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { readPidFile } from '../../src/platform/postgres/postmaster.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MAIN = join(ROOT, 'src/main.ts')

export interface ServerOptions {
  dataDir: string
  /** 0: any free one. */
  port?: number
  /** Of Node, before the program. */
  nodeArgs?: readonly string[]
  /** Settings of the server beside those every server of the bench has. */
  env?: Readonly<Record<string, string>>
}

export interface Server {
  url: string
  dataDir: string
  pid: number
  /** From the start of the process to its ready line. */
  readyMs: number
  /** Connection string of the superuser on one of the databases: the bench looks on, and changes nothing. */
  databaseUrl (database: string): Promise<string>
  postmasterPid (): Promise<number>
  exited: Promise<void>
  /** SIGTERM, in order. */
  stop (): Promise<void>
  kill (): void
}

export async function startServer ({ dataDir, port = 0, nodeArgs = [], env = {} }: ServerOptions): Promise<Server> {
  const startedAt = performance.now()
  const log = openSync(`${dataDir}.log`, 'a')
  const child = spawn(process.execPath, [...nodeArgs, MAIN, 'serve'], {
    cwd: ROOT, env: { ...environment(dataDir, port), ...env }, stdio: ['ignore', 'pipe', log]
  })
  closeSync(log)
  const exited = once(child, 'exit').then(() => {})
  const url = await Promise.race([readyUrl(child.stdout!), exited.then(() => { throw new Error(`the server ended while starting: see ${dataDir}.log`) })])
  return {
    url,
    dataDir,
    pid: child.pid!,
    readyMs: performance.now() - startedAt,
    databaseUrl: database => databaseUrl(dataDir, database),
    postmasterPid: () => postmasterPid(dataDir),
    exited,
    async stop () {
      child.kill('SIGTERM')
      await exited
    },
    kill: () => { child.kill('SIGKILL') }
  }
}

/** By the product's own verb. */
export async function createToken (dataDir: string): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'token', 'create', '--ttl', '86400', '--scope', '__telemetry.write system/*.cruds'], { cwd: ROOT, env: environment(dataDir, 0) })
  return stdout.trim()
}

export async function databaseUrl (dataDir: string, database: string, role = 'postgres'): Promise<string> {
  const { passwords } = JSON.parse(await readFile(join(dataDir, 'postgres.json'), 'utf8')) as { passwords: Record<string, string> }
  const { port } = await readPidFile(join(dataDir, 'postgres')) ?? { port: 0 }
  return `postgres://${role}:${encodeURIComponent(passwords[role] ?? '')}@127.0.0.1:${port}/${database}`
}

export async function postmasterPid (dataDir: string): Promise<number> {
  const found = await readPidFile(join(dataDir, 'postgres'))
  if (found === undefined) throw new Error('PostgreSQL does not run')
  return found.pid
}

function environment (dataDir: string, port: number): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], HOME: process.env['HOME'], OXBOW_DATA_DIR: dataDir, OXBOW_HTTP_PORT: String(port), OXBOW_DEMO: 'off' }
}

async function readyUrl (stdout: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stdout) {
    text += String(chunk)
    const ready = /^oxbow ready (\S+)$/m.exec(text)
    if (ready !== null) {
      stdout.resume()
      return ready[1]!
    }
  }
  throw new Error('the server said nothing')
}
