/** The server as its users run it: a process of its own on a data directory of its own, reached over HTTP and by its verbs. */

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'
import { externalEnvironment, makeExternalDatabases } from './external-databases.ts'
import { temporaryFolder } from './temporary-folder.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const START_TIMEOUT_MS = 60_000

export interface Exit { code: number | null, signal: NodeJS.Signals | null }
export interface VerbResult { code: number, stdout: string, stderr: string }

export interface Oxbow {
  address: string
  pid: number
  isRunning (): boolean
  dataDir: string
  /** Everything the process has written so far. */
  stdout (): string
  stderr (): string
  /** Runs a verb on the same data directory. */
  verb (...args: string[]): Promise<VerbResult>
  token (scope: string, ...args: string[]): Promise<string>
  /** SIGTERM, and waits for the end. */
  stop (): Promise<Exit>
  kill (signal: NodeJS.Signals): Promise<Exit>
  exited: Promise<Exit>
}

/** A data directory that the postgres user can reach, also when the tests run as root. */
export function makeDataDir (): string {
  return join(temporaryFolder('e2e'), 'data')
}

/** Removes the data directory, the keys beside it and the folder that holds both. */
export function removeDataDir (dataDir: string): void { rmSync(join(dataDir, '..'), { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }) }

export interface StartOptions {
  dataDir: string
  env?: Readonly<Record<string, string>>
  /** Called at once with its process id, before it is ready. */
  onSpawn?: (pid: number) => void
}

/** Resolves at the line `oxbow ready …`. */
export async function startOxbow ({ dataDir, env = {}, onSpawn }: StartOptions): Promise<Oxbow> {
  await makeExternalDatabases(dataDir)
  const environment = serverEnvironment(dataDir, env)
  const child = spawn(process.execPath, ['src/main.ts', 'serve'], { cwd: ROOT, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  onSpawn?.(child.pid!)
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => { output.stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { output.stderr += text })
  const exited = once(child, 'exit').then(([code, signal]): Exit => ({ code: code as number | null, signal: signal as NodeJS.Signals | null }))
  const address = await readyAddress(child, output, exited)
  const verb = (...args: string[]): Promise<VerbResult> => runVerb(args, environment)
  return {
    address,
    pid: child.pid!,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    dataDir,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    verb,
    token: async (scope, ...args) => {
      const { code, stdout, stderr } = await verb('token', 'create', '--scope', scope, ...args)
      if (code !== 0) throw new Error(`no token: ${stderr}`)
      return stdout.trim()
    },
    stop: async () => {
      child.kill('SIGTERM')
      return exited
    },
    kill: async signal => {
      child.kill(signal)
      return exited
    },
    exited
  }
}

function serverEnvironment (dataDir: string, env: Readonly<Record<string, string>>): Record<string, string> {
  return { ...plainEnvironment(), OXBOW_DATA_DIR: dataDir, OXBOW_HTTP_PORT: '0', OXBOW_DEMO: 'off', ...busEnvironment(dataDir), ...externalEnvironment(dataDir), ...env }
}

let brokerOfFile: string | undefined

/** Servers of this test file use this broker instead of the one that all files share. */
export function useBroker (address: string): void { brokerOfFile = address }

/** Settings of the bus that the servers of this run have: on Kafka each data directory has topics of its own. */
export function busEnvironment (dataDir: string): Record<string, string> {
  const broker = brokerOfFile ?? inject('kafka')
  if (broker === undefined) return {}
  return { OXBOW_BUS_KIND: 'kafka', OXBOW_KAFKA_BROKERS: broker, OXBOW_KAFKA_REPLICATION_FACTOR: '1', OXBOW_KAFKA_TOPIC_PREFIX: `${basename(dirname(dataDir))}.` }
}

/** Without settings of ours that the caller's shell may have. */
function plainEnvironment (): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith('OXBOW_')))
}

async function readyAddress (child: ChildProcess, output: { stdout: string, stderr: string }, exited: Promise<Exit>): Promise<string> {
  const timeout = new Promise<never>((_resolve, reject) => { setTimeout(reject, START_TIMEOUT_MS, new Error(`not ready in time: ${output.stderr}`)).unref() })
  const ready = new Promise<string>(resolve => {
    child.stdout!.on('data', () => {
      const address = /^oxbow ready (\S+)$/m.exec(output.stdout)?.[1]
      if (address !== undefined) resolve(address)
    })
  })
  const ended = exited.then(({ code }): never => { throw new Error(`ended with ${code} before it was ready: ${output.stderr}`) })
  return Promise.race([ready, ended, timeout])
}

export function runVerb (args: readonly string[], env: Readonly<Record<string, string>>): Promise<VerbResult> {
  return new Promise(resolve => {
    execFile(process.execPath, ['src/main.ts', ...args], { cwd: ROOT, env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ code, stdout, stderr })
    })
  })
}

/** Process id of the embedded PostgreSQL of a data directory. */
export function postmasterPid (dataDir: string): number {
  return Number(readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0])
}

/** A start that is expected to fail. */
export function runServe ({ dataDir, env = {} }: StartOptions): Promise<VerbResult> {
  return runVerb(['serve'], serverEnvironment(dataDir, env))
}

/** Ends the server, or the PostgreSQL that it left running when it was killed, and removes everything it had. */
export async function endOxbow (oxbow: Oxbow | undefined, dataDir: string): Promise<void> {
  await oxbow?.stop()
  for (let signal: NodeJS.Signals | 0 = 'SIGQUIT'; isRunning(dataDir, signal); signal = 0) await new Promise(resolve => { setTimeout(resolve, 50) })
  removeDataDir(dataDir)
}

/** Whether PostgreSQL runs on the folder; sends it a signal too. */
function isRunning (dataDir: string, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(postmasterPid(dataDir), signal)
  } catch {
    return false
  }
}
