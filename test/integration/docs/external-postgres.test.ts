/** The script that docs/operations.md gives to administrators, run as it stands on a fresh PostgreSQL: enough for Oxbow, and no more than it needs. */

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { doctorVerb } from '../../../src/cli/doctor.ts'
import { serveVerb } from '../../../src/cli/serve.ts'
import { EXIT } from '../../../src/cli/verb.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { epochMs } from '../../../src/model/units.ts'
import { joinStores, openStores } from '../../../src/platform/postgres/open-stores.ts'
import { freePort, handOver, initialise, type Postmaster, runAsUser, startPostmaster } from '../../../src/platform/postgres/postmaster.ts'
import { STORES } from '../../../src/platform/postgres/stores.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const SCRIPT = readFileSync('docs/examples/external-postgres.sql', 'utf8')
const PASSWORDS = new Map([...SCRIPT.matchAll(/CREATE ROLE (\w+) LOGIN PASSWORD '([^']+)'/g)].map(([, role, password]) => [role!, password!]))
const WAIT = { timeout: 30_000 }
const SETTINGS = { listen_addresses: '127.0.0.1', unix_socket_directories: '' }

let folder: string
let postmaster: Postmaster
let port: number
let env: Record<string, string>

const urlOf = (role: string, database: string) => `postgres://${role}:${PASSWORDS.get(role)}@127.0.0.1:${port}/${database}`

beforeAll(async () => {
  folder = temporaryFolder('external')
  const runAs = await runAsUser()
  await handOver(folder, runAs)
  const password = randomBytes(18).toString('base64url')
  await initialise(join(folder, 'data'), password, runAs)
  port = await freePort()
  postmaster = await startPostmaster({ folder: join(folder, 'data'), port, settings: SETTINGS, logFile: join(folder, 'postgres.log'), runAs })
  const admin = new Client({ connectionString: `postgres://postgres:${password}@127.0.0.1:${port}/postgres` })
  await admin.connect()
  // A database cannot be made in a transaction, so each statement goes by itself, as psql sends them.
  for (const statement of SCRIPT.replace(/^--.*$/gm, '').split(';').map(text => text.trim()).filter(text => text !== '')) await admin.query(statement)
  await admin.end()
  const [bus, linkage, series, audit, keys] = ['bus', 'linkage', 'series', 'audit', 'keys'].map(store => (role: string) => urlOf(role, `oxbow_${store}`))
  env = {
    OXBOW_MODE: 'production', OXBOW_DEMO: 'off', OXBOW_KEYS_ALLOW_LOCAL: 'yes', OXBOW_DATA_DIR: join(folder, 'oxbow'), OXBOW_KEYS_FILE: join(folder, 'keys.json'), OXBOW_POSTGRES_KIND: 'external',
    OXBOW_POSTGRES_BUS_URL: bus!('oxbow_bus'), OXBOW_POSTGRES_INGEST_URL: bus!('oxbow_ingest'), OXBOW_POSTGRES_ARCHIVE_URL: bus!('oxbow_archive'), OXBOW_POSTGRES_BUS_OWNER_URL: bus!('oxbow_bus_owner'),
    OXBOW_POSTGRES_LINKAGE_URL: linkage!('oxbow_linkage'), OXBOW_POSTGRES_DELIVERY_URL: linkage!('oxbow_delivery'), OXBOW_POSTGRES_LINKAGE_OWNER_URL: linkage!('oxbow_linkage_owner'),
    OXBOW_POSTGRES_SERIES_URL: series!('oxbow_series'), OXBOW_POSTGRES_SERIES_OWNER_URL: series!('oxbow_series_owner'),
    OXBOW_POSTGRES_AUDIT_URL: audit!('oxbow_audit'), OXBOW_POSTGRES_AUDIT_OWNER_URL: audit!('oxbow_audit_owner'),
    OXBOW_POSTGRES_KEYS_URL: keys!('oxbow_keys'), OXBOW_POSTGRES_KEYS_OWNER_URL: keys!('oxbow_keys_owner')
  }
})
afterAll(async () => {
  await postmaster?.stop()
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

test('a server that joins changes no database: it waits for the one that leads', async () => {
  await expect(joinStores(loadConfig(env))).rejects.toMatchObject({ code: 'STORE_MIGRATION', message: expect.stringContaining('start the server that leads on it first') })
})

test('the stores open in production mode, and their migrations run', async () => {
  const stores = await openStores(loadConfig(env))
  try {
    expect((await stores.pool('oxbow_series').query('SELECT current_user AS role')).rows).toEqual([{ role: 'oxbow_series' }])
    await stores.pool('oxbow_series').query('CREATE TEMPORARY TABLE staging (number int)')
    await expect(stores.pool('oxbow_linkage').query('CREATE TEMPORARY TABLE staging (number int)')).rejects.toMatchObject({ code: '42501' })
    await expect(stores.pool('oxbow_bus').query('CREATE TABLE public.mine (number int)')).rejects.toMatchObject({ code: '42501' })
  } finally {
    await stores.close()
  }
})

test('then a server may join them', async () => {
  const stores = await joinStores(loadConfig(env))
  expect((await stores.pool('oxbow_series').query('SELECT current_user AS role')).rows).toEqual([{ role: 'oxbow_series' }])
  await stores.close()
})

test('no login and no owner may enter a database of another store, or any other', async () => {
  const databases = ['postgres', 'template1', ...Object.values(STORES).map(({ database }) => database)]
  for (const { database: own, owner, logins } of Object.values(STORES)) {
    for (const role of [owner, ...logins.map(login => login.role)]) {
      for (const database of databases) {
        const client = new Client({ connectionString: urlOf(role, database) })
        client.on('error', () => {})
        const outcome = await client.connect().then(async () => { await client.end(); return 'entered' }, (error: { code?: string }) => error.code)
        expect([role, database, outcome]).toEqual([role, database, database === own ? 'entered' : '42501'])
      }
    }
  }
})

interface Serving { address: Promise<string>, code: Promise<number>, stop (): void, log (): string }

function serve (folderName: string): Serving {
  const ready = Promise.withResolvers<string>()
  const stop = new AbortController()
  let log = ''
  const code = serveVerb.run([], {
    env: { ...env, OXBOW_HTTP_PORT: '0', OXBOW_DATA_DIR: join(folder, folderName) },
    stdout: text => { ready.resolve(text) }, stderr: text => { log += text }, now: () => epochMs(Date.now()), signal: stop.signal
  })
  code.catch(() => {})
  const address = Promise.race([ready.promise, code.then(String)]).then(text => /^oxbow ready (\S+)\n$/.exec(text)?.[1] ?? text)
  address.catch(() => {})
  return { address, code, stop: () => { stop.abort() }, log: () => log }
}

test('a server starts on it, in a data directory that is not there yet, and stops in order', async () => {
  const server = serve('oxbow')
  expect((await fetch(`${await server.address}/health/ready`)).status).toBe(200)
  server.stop()
  expect(await server.code).toBe(EXIT.done)
})

test('a second server that does everything is refused, from wherever it is started, until the first has ended', async () => {
  const first = serve('one')
  await first.address
  const refused = { category: 'conflict', code: 'STORE_IN_USE', message: expect.stringContaining('--roles stream') }
  await expect(serve('other').code).rejects.toMatchObject(refused)
  first.stop()
  expect(await first.code).toBe(EXIT.done)
  const next = serve('other')
  expect((await fetch(`${await next.address}/health/ready`)).status).toBe(200)
  next.stop()
  expect(await next.code).toBe(EXIT.done)
})

test('a server whose lead was lost leads again; it ends when another has it by then', async () => {
  const server = serve('one')
  await server.address
  const other = new Client({ connectionString: urlOf('oxbow_linkage', 'oxbow_linkage') })
  await other.connect()
  const endLead = () => other.query<{ pid: number }>(`select pid, pg_terminate_backend(pid) from pg_stat_activity where application_name like 'oxbow lead %'`)
  expect((await endLead()).rows).toHaveLength(1)
  await expect.poll(server.log, WAIT).toMatch(/"event":"lead-lost".*[\s\S]*"event":"lead-lost","msg":"operational alarm over"/)
  expect((await fetch(`${await server.address}/health/ready`)).status).toBe(200)
  const waiting = new Client({ connectionString: urlOf('oxbow_linkage', 'oxbow_linkage') })
  await waiting.connect()
  const taken = waiting.query(`select pg_advisory_lock(classid::int, objid::int) from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and a.application_name like 'oxbow lead %'`)
  await expect.poll(async () => (await other.query(`select from pg_locks where locktype = 'advisory' and not granted`)).rowCount, WAIT).toBe(1)
  await endLead()
  await taken
  expect(await server.code).toBe(EXIT.notSo)
  expect(server.log()).toContain('another server leads now')
  await Promise.all([other.end(), waiting.end()])
})

test('the doctor finds nothing wrong with it', async () => {
  const out: string[] = []
  const context = { env, stdout: (text: string) => { out.push(text) }, stderr: () => {}, now: () => epochMs(Date.now()), signal: new AbortController().signal }
  await doctorVerb.run(['--json'], context)
  const { checks } = JSON.parse(out.join('')) as { checks: { name: string, verdict: string }[] }
  expect(checks.filter(({ verdict }) => verdict === 'wrong')).toEqual([])
  expect(checks.filter(({ name }) => ['apart', 'durability', 'migrations', 'database keys'].includes(name)).map(({ verdict }) => verdict)).toEqual(['ok', 'ok', 'ok', 'ok'])
})
