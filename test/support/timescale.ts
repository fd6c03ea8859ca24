/** A folder -> a running PostgreSQL 15 of Debian that may have TimescaleDB. As `postmaster.ts` starts the embedded one, whose programs are others. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort, handOver, readPidFile, runAsUser } from '../../src/platform/postgres/postmaster.ts'
import { PROGRAMS } from './missing-timescale.ts'

export interface Timescale {
  /** The superuser on database `postgres`. */
  adminUrl: string
  port: number
  stop (): Promise<void>
}

export interface TimescaleOptions {
  /** Empty, made by the caller. */
  folder: string
  password: string
  settings: Readonly<Record<string, string>>
}

const run = promisify(execFile)
const ENVIRONMENT = { LC_ALL: 'C.UTF-8', PATH: '/usr/bin:/bin' }
const COMMON = {
  listen_addresses: '127.0.0.1', unix_socket_directories: '', timezone: 'UTC', log_timezone: 'UTC', shared_preload_libraries: 'timescaledb', 'timescaledb.telemetry_level': 'off'
}
const START_TIMEOUT_MS = 60_000
const POLL_MS = 20

export async function startTimescale ({ folder, password, settings }: TimescaleOptions): Promise<Timescale> {
  const runAs = await runAsUser()
  const data = join(folder, 'data')
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  for (const path of [folder, passwordFile]) await handOver(path, runAs)
  const options = { ...runAs, env: ENVIRONMENT, cwd: '/' }
  await run(join(PROGRAMS, 'initdb'), ['--pgdata', data, '--pwfile', passwordFile, '--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C'], options)
  const port = await freePort()
  const given = Object.entries({ ...COMMON, ...settings }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const log = openSync(join(folder, 'postgres.log'), 'a')
  const child = spawn(join(PROGRAMS, 'postgres'), ['-D', data, '-p', String(port), ...given], { ...options, detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  const exited = once(child, 'exit')
  // An interrupted run (Ctrl-C) does not reach the teardown.
  const quit = () => { child.kill('SIGQUIT') }
  process.once('exit', quit)
  const deadline = performance.now() + START_TIMEOUT_MS
  while (!(await readPidFile(data))?.ready) {
    if (child.exitCode !== null || performance.now() > deadline) throw new Error(`PostgreSQL 15 did not start: see ${join(folder, 'postgres.log')}`)
    await delay(POLL_MS)
  }
  child.unref()
  return {
    adminUrl: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    port,
    stop: async () => {
      child.ref()
      child.kill('SIGINT')
      await exited
      process.off('exit', quit)
    }
  }
}
