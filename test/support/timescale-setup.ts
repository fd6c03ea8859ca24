/** A cluster of PostgreSQL 15 with TimescaleDB for the tests that run on both: `postgres.ts` makes databases in it, those of series with the extension. */

import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import type { TestProject } from 'vitest/node'
import { provisionRoles } from '../../src/platform/postgres/provision.ts'
import { assertNode } from './assert-node.ts'
import { leaveRoot, takeRoot } from './temporary-root.ts'
import { startTimescale, type Timescale } from './timescale.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Series databases have the extension. */
    timescale?: boolean
  }
}

let cluster: Timescale | undefined
let folder: string

/** Nothing is kept, and no job of the extension runs by itself: a database with sessions of others cannot be copied. */
const SETTINGS = {
  fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300', shared_buffers: '128MB', max_wal_size: '2GB', jit: 'off',
  'timescaledb.max_background_workers': '0'
}

export async function setup (project: TestProject): Promise<void> {
  assertNode()
  // Each project has one of its own, for as long as the run lasts.
  folder = join(takeRoot(project), project.name)
  mkdirSync(folder)
  const password = randomBytes(18).toString('base64url')
  cluster = await startTimescale({ folder, password, settings: SETTINGS })
  const admin = new Client({ connectionString: cluster.adminUrl })
  await admin.connect()
  await provisionRoles(admin, () => password)
  const { rows: [found] } = await admin.query<{ postgres: string, timescale: string }>(
    "select current_setting('server_version') as postgres, default_version as timescale from pg_available_extensions where name = 'timescaledb'")
  await admin.end()
  process.stderr.write(`${project.name} runs on PostgreSQL ${found!.postgres} with TimescaleDB ${found!.timescale}\n`)
  project.provide('adminUrl', cluster.adminUrl)
  project.provide('timescale', true)
}

export async function teardown (): Promise<void> {
  await cluster?.stop()
  rmSync(folder, { recursive: true, force: true })
  leaveRoot()
}
