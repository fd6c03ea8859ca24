import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Cluster, type ClusterOptions, type ClusterState, startCluster } from '../../../../src/platform/postgres/cluster.ts'
import { createPool } from '../../../../src/platform/postgres/pool.ts'
import { readPidFile } from '../../../../src/platform/postgres/postmaster.ts'
import { STORE_NAMES, STORES } from '../../../../src/platform/postgres/stores.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'

const isRoot = process.getuid?.() === 0
/** An ordinary user cannot become another one; root can, so that a run as root shows both. */
const FOR_ROOT = isRoot ? '' : ' (skipped: needs root, and this user is not)'
let dataDir: string
/** A folder as a first start leaves it, to copy: making it takes most of a test's time. */
let template: string
const clusters: Cluster[] = []
const processes: ChildProcess[] = []

beforeAll(async () => {
  template = temporaryFolder('cluster')
  await (await startCluster({ dataDir: join(template, 'data') })).stop()
})
afterAll(() => rm(template, { recursive: true, force: true }))
beforeEach(() => {
  const parent = temporaryFolder('cluster')
  dataDir = join(parent, 'data')
})
afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.stop()
  for (const child of processes.splice(0)) child.kill('SIGKILL')
  const orphan = await readPidFile(join(dataDir, 'postgres'))
  if (orphan !== undefined) await killServer('SIGQUIT')
  await rm(join(dataDir, '..'), { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
})

/** The folder of this test, as after a first start and an orderly end. */
async function copyTemplate (): Promise<void> {
  await promisify(execFile)('cp', ['-a', join(template, 'data'), dataDir])
}
async function start (options: Partial<ClusterOptions> = {}): Promise<Cluster> {
  const cluster = await startCluster({ dataDir, ...options })
  clusters.push(cluster)
  return cluster
}
async function stop (cluster: Cluster): Promise<void> {
  clusters.splice(clusters.indexOf(cluster), 1)
  await cluster.stop()
}
async function query (url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
const serverPid = async () => (await readPidFile(join(dataDir, 'postgres')))!.pid
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
async function killServer (signal: NodeJS.Signals): Promise<void> {
  const pid = await serverPid()
  if (isAlive(pid)) process.kill(pid, signal)
  await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false)
}
/** A whole process with a cluster of its own, to be killed. */
async function startElsewhere (as: { uid?: number, gid?: number } = {}): Promise<{ child: ChildProcess, url: string, ownerUrl: string }> {
  const script = fileURLToPath(new URL('../../../support/cluster-process.ts', import.meta.url))
  const child = spawn(process.execPath, [script, dataDir], { ...as, cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] })
  processes.push(child)
  const [line] = await once(child.stdout!, 'data') as [Buffer]
  return { child, ...JSON.parse(line.toString()) as { url: string, ownerUrl: string } }
}
async function kill (child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** Ways out of the own database: other databases by a foreign server or dblink, programs, files, other roles. */
const ATTEMPTS = [
  'CREATE EXTENSION dblink', 'CREATE EXTENSION postgres_fdw', 'CREATE FOREIGN DATA WRAPPER w',
  "COPY (SELECT 1) TO PROGRAM 'cat'", "COPY pg_temp.x FROM PROGRAM 'id'", "COPY (SELECT 1) TO '/tmp/x'",
  "SELECT pg_read_file('postgresql.conf')", "SELECT pg_ls_dir('.')", "SELECT lo_import('/etc/hosts')", 'SET ROLE postgres'
]

test('a new folder gets the database of every store, with its logins', async () => {
  const cluster = await start()
  for (const store of STORE_NAMES) {
    for (const { role } of STORES[store].logins) {
      expect(await query(cluster.url(store, role), 'SELECT current_database() AS d, current_user::text AS u')).toEqual([{ d: `oxbow_${store}`, u: role }])
    }
    expect(await query(cluster.ownerUrl(store), 'SELECT current_user::text AS u')).toEqual([{ u: `oxbow_${store}_owner` }])
  }
})

test('no login connects to the database of another store, nor to those of the cluster', async () => {
  await copyTemplate()
  const cluster = await start()
  for (const store of STORE_NAMES) {
    for (const { role } of [...STORES[store].logins, { role: STORES[store].owner }]) {
      const others = [...STORE_NAMES.filter(other => other !== store).map(other => STORES[other].database), 'postgres', 'template1']
      for (const database of others) {
        const url = new URL(cluster.url(store, role))
        url.pathname = `/${database}`
        await expect(query(url.href, 'SELECT 1'), `${role} on ${database}`).rejects.toMatchObject({ code: '42501' })
      }
    }
  }
})

test('the server is durable, listens on loopback alone, and wants passwords', async () => {
  await copyTemplate()
  const cluster = await start({ settings: { fsync: 'off' } })
  const settings = await query(cluster.url('bus'), `SELECT name, setting FROM pg_settings
    WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'listen_addresses') ORDER BY name`)
  expect(settings.map(({ setting }) => setting)).toEqual(['on', 'on', '127.0.0.1', 'on'])
  const url = new URL(cluster.url('bus'))
  url.password = 'wrong'
  await expect(query(url.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' })
})

test('passwords stand in one file that its owner alone can read', async () => {
  await copyTemplate()
  await start()
  expect((await stat(join(dataDir, 'postgres.json'))).mode & 0o777).toBe(0o600)
  expect((await stat(join(dataDir, 'postgres'))).mode & 0o777).toBe(0o700)
})

test('data, passwords and port are the same after a restart', async () => {
  await copyTemplate()
  const first = await start()
  await query(first.ownerUrl('series'), 'CREATE TABLE kept AS SELECT 42 AS answer')
  const urls = STORE_NAMES.map(store => first.url(store))
  await stop(first)
  const second = await start()
  expect(STORE_NAMES.map(store => second.url(store))).toEqual(urls)
  expect(await query(second.ownerUrl('series'), 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
})

test('a role that a newer version brings keeps the password it was made with', async () => {
  await copyTemplate()
  const secrets = join(dataDir, 'postgres.json')
  const older = await start()
  const { passwords, port } = JSON.parse(await readFile(secrets, 'utf8')) as { passwords: Record<string, string>, port: number }
  const admin = `postgres://postgres:${passwords['postgres']}@127.0.0.1:${port}/${STORES.linkage.database}`
  await query(admin, 'DROP OWNED BY oxbow_delivery')
  await query(admin, 'DROP ROLE oxbow_delivery')
  await stop(older)
  const { oxbow_delivery: _, ...others } = passwords
  await writeFile(secrets, JSON.stringify({ port, passwords: others }))
  for (let time = 0; time < 2; time++) {
    const newer = await start()
    expect(await query(newer.url('linkage', 'oxbow_delivery'), 'SELECT current_user AS role')).toEqual([{ role: 'oxbow_delivery' }])
    await stop(newer)
  }
})

test('a second start on the same folder is refused, names it, and leaves the first alone', async () => {
  await copyTemplate()
  const first = await start()
  const refusal = { category: 'conflict', code: 'STORE_IN_USE', message: expect.stringContaining(dataDir) }
  await expect(start()).rejects.toMatchObject(refusal)
  await query(first.url('series'), 'SELECT 1')
  await stop(first)
  const { child } = await startElsewhere()
  await expect(start()).rejects.toMatchObject(refusal)
  expect(child.exitCode).toBe(null)
})

test('of two first starts at once one gets the folder', async () => {
  const outcomes = await Promise.allSettled([start(), start()])
  const codes = outcomes.map(outcome => outcome.status === 'fulfilled' ? 'started' : outcome.reason.code).sort()
  expect(codes).toEqual(['STORE_IN_USE', 'started'])
})

test('after the process was killed, its PostgreSQL is ended and the data is there', async () => {
  await copyTemplate()
  const { child, ownerUrl } = await startElsewhere()
  await query(ownerUrl, 'CREATE TABLE kept AS SELECT 42 AS answer')
  const session = new Client({ connectionString: ownerUrl })
  const ended = new Promise(resolve => { session.on('error', resolve) })
  await session.connect()
  const orphan = await serverPid()
  await kill(child)
  const cluster = await start()
  await ended
  expect(await serverPid()).not.toBe(orphan)
  expect(await query(cluster.ownerUrl('series'), 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
})

test('after process and PostgreSQL were killed, the folder is usable and what was committed is there', async () => {
  await copyTemplate()
  const { child, ownerUrl } = await startElsewhere()
  await query(ownerUrl, 'CREATE TABLE kept AS SELECT 42 AS answer')
  await kill(child)
  await killServer('SIGKILL')
  const cluster = await start()
  expect(await query(cluster.ownerUrl('series'), 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
})

test('a session of a killed PostgreSQL that is slow to end keeps the next start waiting, not failing', async () => {
  await copyTemplate()
  const { child, ownerUrl } = await startElsewhere()
  const session = new Client({ connectionString: ownerUrl })
  session.on('error', () => {})
  await session.connect()
  const [slow] = (await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows
  process.kill(slow!.pid, 'SIGSTOP')
  await kill(child)
  await killServer('SIGKILL')
  const starting = start()
  // More attempts than a start makes when nothing is left over.
  const refusals = async () => (await readFile(join(dataDir, 'postgres.log'), 'utf8')).split('pre-existing shared memory block').length - 1
  await expect.poll(refusals, { timeout: 25_000 }).toBeGreaterThan(22)
  process.kill(slow!.pid, 'SIGCONT')
  expect(await query((await starting).ownerUrl('series'), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
})

test('PostgreSQL that is killed under a running process is started again, and its pools go on', async () => {
  await copyTemplate()
  const states: ClusterState[] = []
  const cluster = await start({ onState: state => states.push(state) })
  await query(cluster.ownerUrl('series'), 'CREATE TABLE kept AS SELECT 42 AS answer')
  const pool = createPool({ url: cluster.ownerUrl('series') })
  const answer = () => pool.query('SELECT answer FROM kept').then(({ rows }) => rows[0]?.answer, () => 'unreachable')
  for (let round = 1; round <= 3; round++) {
    expect(await answer()).toBe(42)
    await killServer('SIGKILL')
    await expect.poll(answer, { timeout: 30_000 }).toBe(42)
    await expect.poll(() => states, { timeout: 30_000 }).toEqual(Array.from({ length: round }, () => ['down', 'up']).flat())
  }
  await pool.end()
  await expect(start()).rejects.toMatchObject({ code: 'STORE_IN_USE' })
})

test('the lock is taken again when its session was ended', async () => {
  await copyTemplate()
  const states: ClusterState[] = []
  await start({ onState: state => states.push(state) })
  const secrets = JSON.parse(await readFile(join(dataDir, 'postgres.json'), 'utf8')) as { port: number, passwords: Record<string, string> }
  const admin = `postgres://postgres:${secrets.passwords['postgres']}@127.0.0.1:${secrets.port}/postgres`
  await query(admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'oxbow cluster'")
  await expect.poll(() => states, { timeout: 30_000 }).toEqual(['down', 'up'])
  await expect(start()).rejects.toMatchObject({ code: 'STORE_IN_USE' })
})

test('a stale pid file with the number of another program does not stop a start', async () => {
  await copyTemplate()
  const other = spawn('sleep', ['60'])
  processes.push(other)
  const file = join(dataDir, 'postgres', 'postmaster.pid')
  await writeFile(file, `${other.pid}\n${join(dataDir, 'postgres')}\n0\n1\n\n127.0.0.1\n\nready\n`)
  await query((await start()).url('bus'), 'SELECT 1')
  expect(other.exitCode).toBe(null)
})

test('what an interrupted first start left is removed, and a start succeeds', async () => {
  await mkdir(join(dataDir, 'postgres-new-abc'), { recursive: true })
  await writeFile(join(dataDir, 'postgres-new-abc', 'PG_VERSION'), '17')
  await start()
  expect((await readdir(dataDir)).sort()).toEqual(['postgres', 'postgres.json', 'postgres.log'])
})

test('a folder whose passwords are lost is refused, and not made anew', async () => {
  await stop(await start())
  await rm(join(dataDir, 'postgres.json'))
  await expect(start()).rejects.toMatchObject({ code: 'STORE_FOLDER', message: expect.stringContaining('postgres.json') })
})

const NOBODY = 65_534

test.skipIf(!isRoot)(`as root, a folder that the user postgres cannot enter is named${FOR_ROOT}`, async () => {
  const closed = join(dataDir, '..')
  await chmod(closed, 0o700)
  await expect(start()).rejects.toMatchObject({ category: 'incorrect', code: 'STORE_FOLDER', message: expect.stringContaining(`cannot enter ${closed}:`) })
})

test.skipIf(!isRoot)(`an ordinary user's PostgreSQL runs as that user, and all it has is that user's${FOR_ROOT}`, async () => {
  await chown(join(dataDir, '..'), NOBODY, NOBODY)
  const { child, url } = await startElsewhere({ uid: NOBODY, gid: NOBODY })
  expect(await query(url, 'SELECT current_user::text AS u')).toEqual([{ u: 'oxbow_series' }])
  for (const file of ['postgres.json', 'postgres.log', 'postgres/postmaster.pid']) expect((await stat(join(dataDir, file))).uid, file).toBe(NOBODY)
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})

test('no statement and no value reaches the log of the server, and each denial does', async () => {
  await copyTemplate()
  const cluster = await start()
  await query(cluster.ownerUrl('series'), 'CREATE TABLE planted (name text PRIMARY KEY)')
  await query(cluster.ownerUrl('series'), "INSERT INTO planted VALUES ('Erika Mustermann')")
  await expect(query(cluster.ownerUrl('series'), "INSERT INTO planted VALUES ('Erika Mustermann')")).rejects.toMatchObject({ code: '23505' })
  await expect(query(cluster.ownerUrl('series'), "SELECT 'Erika Mustermann'::int")).rejects.toMatchObject({ code: '22P02' })
  await expect(query(cluster.ownerUrl('series'), "SELECT E'x\\n2026-01-01 00:00:00.000 UTC [1] 42501 a@b ERROR:  Erika Mustermann'::int")).rejects.toMatchObject({ code: '22P02' })
  await expect(query(cluster.url('series'), "SELECT 'Erika Mustermann' FROM planted")).rejects.toMatchObject({ code: '42501' })
  await stop(cluster)
  const log = await readFile(join(dataDir, 'postgres.log'), 'utf8')
  expect(log).not.toContain('Mustermann')
  expect(log).toMatch(/ 42501 oxbow_series@oxbow_series ERROR: {2}permission denied for table planted\n/)
  expect(log).toMatch(/ LOG: {2}database system is shut down\n$/)
})

test('each login is kept from other stores, other servers, programs and files, and the log of the server says so', async () => {
  await copyTemplate()
  const cluster = await start()
  const denied = new Map<string, RegExp>()
  for (const store of STORE_NAMES) {
    for (const { role } of STORES[store].logins) {
      const other = STORES[store === 'linkage' ? 'series' : 'linkage']
      const url = new URL(cluster.url(store, role))
      url.pathname = `/${other.database}`
      await expect(query(url.href, 'SELECT 1'), role).rejects.toMatchObject({ code: '42501' })
      for (const sql of ATTEMPTS) await expect(query(cluster.url(store, role), sql), `${role}: ${sql}`).rejects.toMatchObject({ code: '42501' })
      await expect(query(cluster.url(store, role), `SET search_path = ${other.name}; SELECT 1 FROM oxbow_migration`), role).rejects.toMatchObject({ code: '42P01' })
      await expect(query(cluster.url(store, role), `SELECT 1 FROM ${other.database}.public.oxbow_migration`), role).rejects.toMatchObject({ code: '0A000' })
      denied.set(role, new RegExp(` 42501 ${role}@oxbow_${store} ERROR: {2}`, 'g'))
      denied.set(`${role} at ${other.database}`, new RegExp(` 42501 ${role}@${other.database} FATAL: {2}permission denied for database`, 'g'))
    }
  }
  await stop(cluster)
  const log = await readFile(join(dataDir, 'postgres.log'), 'utf8')
  const counts = Object.fromEntries([...denied].map(([what, pattern]) => [what, log.match(pattern)?.length]))
  expect(counts).toEqual(Object.fromEntries([...denied.keys()].map(what => [what, what.includes(' ') ? 1 : ATTEMPTS.length])))
})

test('a server whose process was killed goes on though nobody reads what it says', async () => {
  await copyTemplate()
  const { child, url } = await startElsewhere()
  const before = await serverPid()
  await kill(child)
  for (let turn = 0; turn < 3; turn++) await expect(query(url, ATTEMPTS[0]!)).rejects.toMatchObject({ code: '42501' })
  expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  expect(await serverPid()).toBe(before)
})
