/** One PostgreSQL cluster per test run, shared by all projects and files; `postgres.ts` makes databases in it. Leaves nothing behind. */

import { randomBytes } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import type { TestProject } from 'vitest/node'
import { freePort, handOver, initialise, type Postmaster, runAsUser, startPostmaster } from '../../src/platform/postgres/postmaster.ts'
import { provisionRoles } from '../../src/platform/postgres/provision.ts'
import { assertNode } from './assert-node.ts'
import { leaveRoot, takeRoot } from './temporary-root.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The superuser on database `postgres`; every other role has the same password. */
    adminUrl: string
  }
}

interface Cluster { adminUrl: string, folder: string, postmaster: Postmaster }
interface Shared { cluster: Promise<Cluster>, users: number }

// The modules of a global setup are loaded once per project; the cluster is one per process.
const SHARED = Symbol.for('oxbow.test.cluster')
const store = globalThis as { [SHARED]?: Shared | undefined }

const SETTINGS = {
  listen_addresses: '127.0.0.1', unix_socket_directories: '', fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off',
  max_connections: '300', shared_buffers: '128MB', max_wal_size: '2GB', timezone: 'UTC', log_timezone: 'UTC', jit: 'off'
}

export async function setup (project: TestProject): Promise<void> {
  assertNode()
  const root = takeRoot(project)
  store[SHARED] ??= { cluster: startCluster(root), users: 0 }
  store[SHARED].users++
  project.provide('adminUrl', (await store[SHARED].cluster).adminUrl)
}

export async function teardown (): Promise<void> {
  const shared = store[SHARED]
  if (shared !== undefined && --shared.users === 0) {
    store[SHARED] = undefined
    const { postmaster, folder } = await shared.cluster
    await postmaster.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  leaveRoot()
}

async function startCluster (root: string): Promise<Cluster> {
  const folder = join(root, 'cluster')
  await mkdir(folder)
  try {
    return await startIn(folder)
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

async function startIn (folder: string): Promise<Cluster> {
  const runAs = await runAsUser()
  await handOver(folder, runAs)
  const password = randomBytes(18).toString('base64url')
  const data = join(folder, 'data')
  await initialise(data, password, runAs)
  const port = await freePort()
  const postmaster = await startPostmaster({ folder: data, port, settings: SETTINGS, logFile: join(folder, 'postgres.log'), runAs })
  removeOnExit(postmaster, folder)
  const adminUrl = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
  const admin = new Client({ connectionString: adminUrl })
  await admin.connect()
  await provisionRoles(admin, () => password)
  await admin.end()
  return { adminUrl, folder, postmaster }
}

/** An interrupted run (Ctrl-C) does not reach the teardown. */
function removeOnExit (postmaster: Postmaster, folder: string): void {
  let running = true
  postmaster.exited.then(() => { running = false })
  process.once('exit', () => {
    if (running) {
      process.kill(postmaster.pid, 'SIGQUIT')
      for (let turn = 0; turn < 60 && existsSync(join(folder, 'data', 'postmaster.pid')); turn++) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
}
