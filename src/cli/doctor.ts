/** `oxbow doctor`: looks at settings, keys, disk, databases, clocks and counters, and says what to do. Changes nothing. */

import { access, constants, readFile, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Pool } from 'pg'
import { localTokenKeyFile } from '../auth/local-issuer.ts'
import { loadDeviceModels } from '../config/device-models.ts'
import { loadConfig } from '../config/load.ts'
import { MODELS_FOLDER } from '../config/product.ts'
import type { Config } from '../config/schema.ts'
import { countOpenJobs } from '../fhir/jobs/open-jobs.ts'
import { arrivalHours } from '../ingest/counters.ts'
import { countOpenByReason } from '../ingest/quarantine/quarantine-rows.ts'
import { selectActive } from '../ingest/schemas/registry-rows.ts'
import { ServiceError } from '../model/errors.ts'
import { RAW, READINGS } from '../model/streams.ts'
import { epochMs } from '../model/units.ts'
import { topicEnds } from '../platform/bus/topic-ends.ts'
import { inspectLogin } from '../platform/postgres/inspect.ts'
import { pendingMigrations } from '../platform/postgres/migrate.ts'
import { LOGIN_NAMES, type LoginName, reachDatabases, type ReachedDatabases, storeOf } from '../platform/postgres/open-stores.ts'
import { createPool } from '../platform/postgres/pool.ts'
import { addressOf, type StoreAddress } from '../platform/postgres/store-address.ts'
import { STORE_NAMES, STORES, type StoreName } from '../platform/postgres/stores.ts'
import { storedByHour } from '../stores/series/counters.ts'
import { resumePoints } from '../stores/series/state.ts'
import { archivedTo, readHeads } from '../stores/archive/manifest-rows.ts'
import { startRefusals } from '../config/start-refusals.ts'
import { keyFileOf } from '../platform/keys/key-file.ts'
import { findKeyProblems } from '../platform/keys/open-key-ring.ts'
import { archiveFolderOf, findObjectsProblems } from '../platform/objects/open-objects.ts'
import { archiveCheck, type ArchiveFolder } from './doctor/archive-checks.ts'
import { type Check, type NamedFinding, note, runChecks, wrong } from './doctor/check.ts'
import { busCheck } from './doctor/bus-checks.ts'
import { flowChecks } from './doctor/flow-checks.ts'
import { schemaCheck } from './doctor/schema-checks.ts'
import { diskCheck, nodeCheck, privateFileCheck, type Readiness, serverCheck, settingsCheck } from './doctor/host-checks.ts'
import { serviceCheck } from './doctor/service-checks.ts'
import { storeChecks } from './doctor/store-checks.ts'
import { serverAddress } from './local-server.ts'
import { type CliContext, EXIT, type Verb } from './verb.ts'

const USAGE = `Usage: oxbow doctor [--config FILE] [--json]

Looks at the settings, Node, the key files or the key service, the disk, the archive's
bucket, the databases of all stores and whether they stand apart, migrations, clocks, schemas,
the counters (in = stored + quarantined + suppressed), the archive, quarantine and jobs, and says
what to do. It changes nothing, and runs beside the server or without it. Exit code 0: all well, 1: something is wrong.

  --config FILE  settings as JSON (the environment goes before the file)
  --json         {"ok", "stores": [{store, host, port, database, role}], "checks": [...]}
  --help         this text
`

export const doctorVerb: Verb = {
  name: 'doctor',
  summary: 'check settings, stores, keys, clocks and counters, and say what to do',
  usage: USAGE,
  run: async (args, context) => {
    const { values } = parseArgs({ args: [...args], options: { config: { type: 'string' }, json: { type: 'boolean', default: false } } })
    const { findings, stores } = await examine(context, values.config)
    const isWell = findings.every(({ verdict }) => verdict !== 'wrong')
    context.stdout(values.json ? `${JSON.stringify({ ok: isWell, stores, checks: findings })}\n` : asText(findings))
    return isWell ? EXIT.done : EXIT.notSo
  }
}

interface Examination { findings: NamedFinding[], stores: readonly StoreAddress[] }

async function examine (context: CliContext, file: string | undefined): Promise<Examination> {
  const node = await runChecks([nodeCheck(process.versions.node)])
  const config = readConfig(context, file)
  if ('name' in config) return { findings: [...node, config], stores: [] }
  const reached = await reach(config)
  const isDatabase = reached !== undefined && !('name' in reached)
  try {
    const host = await runChecks(hostChecks(config, reached !== undefined, context.now))
    if (!isDatabase) return { findings: [...node, ...host, reached ?? { name: 'databases', ...note('none yet', 'the first npm start makes them') }], stores: [] }
    const { findings, stores } = await examineStores(config, reached, context)
    return { findings: [...node, ...host, ...findings], stores }
  } finally {
    if (isDatabase) await reached.close()
  }
}

function readConfig ({ env }: CliContext, file: string | undefined): Config | NamedFinding {
  try {
    return loadConfig(env, file)
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    return { name: 'settings', ...wrong(error.message, 'mend these settings (docs/configuration.md), then run this again') }
  }
}

async function reach (config: Config): Promise<ReachedDatabases | NamedFinding | undefined> {
  try {
    return await reachDatabases(config)
  } catch (error) {
    const message = error instanceof ServiceError ? error.message : `the embedded PostgreSQL cannot be reached (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`
    return { name: 'databases', ...wrong(message, 'mend that, then run this again') }
  }
}

function hostChecks (config: Config, hasData: boolean, now: CliContext['now']): Check[] {
  const keyFile = keyFileOf(config)
  const common = { dataDir: config.dataDir, modeOf: (path: string) => stat(path).then(found => found.mode, undefinedWhenMissing) }
  return [
    settingsCheck(startRefusals(config, keyFile)),
    config['keys.kind'] === 'kms' ? keyService(config)
      : privateFileCheck({ ...common, name: 'key file', path: keyFile, isNeeded: hasData, loss: 'nothing sealed can be opened without it' }),
    privateFileCheck({ ...common, name: 'token key file', path: localTokenKeyFile(keyFile), isNeeded: false, loss: 'tokens made with it end with it' }),
    diskCheck(config.dataDir, () => freeBytes(config.dataDir)),
    ...(config['archive.store'] === 's3' ? [bucket(config, now)] : []),
    serverCheck(() => readiness(config))
  ]
}

function keyService (config: Config): Check {
  return serviceCheck({
    name: 'key service', well: 'every wrapping key wraps and opens', problems: () => findKeyProblems(config),
    todo: 'see that these keys are there and enabled, and that this login may use them (docs/operations.md, Keys in KMS)'
  })
}

function bucket (config: Config, now: CliContext['now']): Check {
  return serviceCheck({
    name: 'archive bucket', well: `there, ${config['s3.objectLock'] === 'off' ? 'without locks' : 'with object lock'}`, problems: () => findObjectsProblems(config, now),
    todo: 'see that the bucket is there and that this login may use it (docs/operations.md, Archive in S3)'
  })
}

function undefinedWhenMissing (error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined
  throw error
}

/** A folder that does not exist yet will stand on the disk of the one above it. */
async function freeBytes (folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(folder) === folder) throw error
    return freeBytes(dirname(folder))
  }
}

const READY_TIMEOUT_MS = 5_000
const ALL_TIME = { from: epochMs(0), until: epochMs(Date.UTC(9_999, 0)) } as const

async function readiness (config: Config): Promise<(Readiness & { address: string }) | undefined> {
  const isThere = await readFile(join(config.dataDir, 'server.json')).then(() => true, () => false)
  if (!isThere) return undefined
  const address = await serverAddress(config)
  try {
    const answer = await fetch(new URL('/health/ready', address), { signal: AbortSignal.timeout(READY_TIMEOUT_MS) })
    return { ...await answer.json() as Readiness, address }
  } catch {
    // A server that was killed leaves its address behind.
    return undefined
  }
}

async function examineStores (config: Config, { urls }: ReachedDatabases, { now }: CliContext): Promise<Examination> {
  const loginByRole = new Map<StoreAddress, string>()
  for (const login of LOGIN_NAMES) loginByRole.set(addressOf(storeOf(login), urls.login(login)), urls.login(login))
  for (const store of STORE_NAMES) loginByRole.set(addressOf(store, urls.owner(store)), urls.owner(store))
  const stores = [...loginByRole.keys()]
  const pools = new Map<LoginName, Pool>()
  const pool = (login: LoginName): Pool => {
    const found = pools.get(login) ?? createPool({ url: urls.login(login), connectionsMax: 1, applicationName: 'oxbow doctor', connectTimeoutMs: 5_000 })
    pools.set(login, found)
    return found
  }
  const endsOf = (topic: string) => topicEnds(config, () => pool('oxbow_bus'), topic)
  try {
    const findings = await runChecks([
      ...storeChecks({
        addresses: stores,
        inspect: address => inspectLogin(loginByRole.get(address)!),
        stores: STORE_NAMES,
        pendingMigrations: store => pendingMigrations(urls.owner(store as StoreName), STORES[store as StoreName]),
        now
      }),
      schemaCheck({ active: () => selectActive(pool('oxbow_ingest')), models: () => loadDeviceModels(MODELS_FOLDER) }),
      busCheck({ kind: config['bus.kind'], differences: async () => (await kafka()).compareTopics(config) }),
      archiveCheck({
        folder: config['archive.store'] === 'disk' ? usableFolder(archiveFolderOf(config)) : undefined,
        ends: () => endsOf(RAW),
        archived: async () => new Map((await readHeads(pool('oxbow_archive'))).map(({ partition, next }) => [partition, next])),
        archivedTo: () => archivedTo(pool('oxbow_archive'))
      }),
      ...flowChecks({
        door: () => arrivalHours(pool('oxbow_ingest'), ALL_TIME.from, ALL_TIME.until),
        ends: () => endsOf(READINGS),
        resumePoints: () => resumePoints(pool('oxbow_series'), READINGS),
        stored: () => storedByHour(pool('oxbow_series'), ALL_TIME.from, ALL_TIME.until),
        openItems: () => countOpenByReason(pool('oxbow_ingest')),
        openJobs: () => countOpenJobs(pool('oxbow_linkage'))
      })
    ])
    return { findings, stores }
  } finally {
    await Promise.all([...pools.values()].map(one => one.end()))
  }
}

function usableFolder (path: string): ArchiveFolder {
  return { path, fault: () => access(path, constants.R_OK | constants.W_OK | constants.X_OK).then(() => undefined, faultOf) }
}

function faultOf (error: NodeJS.ErrnoException): string { return error.code === 'ENOENT' ? 'missing' : error.code ?? 'unknown' }

/** Loaded where it is asked. */
const kafka = () => import('../platform/bus/kafka/govern-topics.ts')

const MARKS = { ok: 'ok   ', note: 'note ', wrong: 'WRONG' } as const

function asText (findings: readonly NamedFinding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length))
  const lines = findings.flatMap(({ name, verdict, message, todo }) => [
    `${MARKS[verdict]}  ${name.padEnd(width)}  ${message.replaceAll('\n', `\n${' '.repeat(width + 9)}`)}`,
    ...(todo === undefined ? [] : [`${' '.repeat(width + 9)}→ ${todo}`])
  ])
  const wrongCount = findings.filter(({ verdict }) => verdict === 'wrong').length
  return `${lines.join('\n')}\n\n${wrongCount === 0 ? 'All well.' : `${wrongCount} of ${findings.length} checks found something wrong.`}\n`
}
