import { chmod, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { doctorVerb } from '../../../src/cli/doctor.ts'
import { runVerb } from '../../../src/cli/run-verb.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { epochMs } from '../../../src/model/units.ts'
import { createLocalKeyRing } from '../../../src/platform/keys/local.ts'
import { openStores } from '../../../src/platform/postgres/open-stores.ts'
import { keyFileOf } from '../../../src/platform/keys/key-file.ts'
import { testStores } from '../../support/postgres.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

let folder: string
const dataDir = () => join(folder, 'data')
beforeAll(() => { folder = temporaryFolder('doctor') })
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))

interface Report { ok: boolean, stores: { store: string, database: string, role: string }[], checks: { name: string, verdict: string, message: string }[] }

async function examine (env: Record<string, string> = {}): Promise<{ code: number, report: Report, out: string }> {
  const out: string[] = []
  const code = await runVerb(['doctor', '--json'], {
    env: { OXBOW_DATA_DIR: dataDir(), ...env },
    stdout: text => { out.push(text) },
    stderr: () => {},
    now: () => epochMs(Date.now()),
    signal: new AbortController().signal
  })
  return { code, out: out.join(''), report: JSON.parse(out.join('')) as Report }
}

const verdicts = ({ checks }: Report) => Object.fromEntries(checks.map(({ name, verdict }) => [name, verdict]))

test('settings that are wrong are told all at once, by name and never by value', async () => {
  const { code, report, out } = await examine({ OXBOW_HTTP_PORT: 'canary-value', OXBOW_NO_SUCH: '1' })
  expect(code).toBe(1)
  expect(report.checks.find(({ name }) => name === 'settings')!.message).toMatch(/http\.port.*OXBOW_NO_SUCH/s)
  expect(out).not.toContain('canary-value')
})

test('before the first start all is well and nothing is made', async () => {
  const { code, report } = await examine()
  expect([code, report.ok, report.stores]).toEqual([0, true, []])
  expect(verdicts(report)).toMatchObject({ databases: 'note', server: 'note', 'key file': 'note' })
})

test('beside what runs, and without it, the stores of a deployment are named and well, and no secret is told', async () => {
  const config = loadConfig({ OXBOW_DATA_DIR: dataDir() })
  const stores = await openStores(config)
  await createLocalKeyRing({ file: keyFileOf(config), pool: stores.pool('oxbow_keys'), now: () => epochMs(Date.now()) })
  const beside = await examine()
  await stores.close()
  const alone = await examine()
  const secrets = Object.values((JSON.parse(await readFile(join(dataDir(), 'postgres.json'), 'utf8')) as { passwords: Record<string, string> }).passwords)
  for (const { code, report, out } of [beside, alone]) {
    expect(report.checks.filter(({ verdict }) => verdict === 'wrong')).toEqual([])
    expect([code, report.ok]).toEqual([0, true])
    expect(report.stores).toContainEqual(expect.objectContaining({ store: 'series', database: 'oxbow_series', role: 'oxbow_series' }))
    expect(new Set(report.stores.map(({ store }) => store))).toEqual(new Set(['bus', 'linkage', 'series', 'audit', 'keys']))
    expect(secrets.some(secret => out.includes(secret))).toBe(false)
  }
})

test('a key file that others may read, or that is lost, is wrong', async () => {
  const file = keyFileOf(loadConfig({ OXBOW_DATA_DIR: dataDir() }))
  await chmod(file, 0o644)
  expect(verdicts((await examine()).report)['key file']).toBe('wrong')
  await rm(file)
  const { code, report } = await examine()
  expect([code, verdicts(report)['key file']]).toEqual([1, 'wrong'])
})

test('external databases are examined by their connection strings: shared ones and closed ones are named', async () => {
  const stores = await testStores()
  try {
    const urls = {
      OXBOW_POSTGRES_KIND: 'external',
      OXBOW_POSTGRES_BUS_URL: stores.bus.url, OXBOW_POSTGRES_BUS_OWNER_URL: stores.bus.ownerUrl, OXBOW_POSTGRES_INGEST_URL: stores.bus.urlOf('oxbow_ingest'),
      OXBOW_POSTGRES_ARCHIVE_URL: stores.bus.urlOf('oxbow_archive'), OXBOW_POSTGRES_LINKAGE_URL: stores.linkage.url, OXBOW_POSTGRES_LINKAGE_OWNER_URL: stores.linkage.ownerUrl, OXBOW_POSTGRES_DELIVERY_URL: stores.linkage.urlOf('oxbow_delivery'),
      OXBOW_POSTGRES_SERIES_URL: stores.series.url, OXBOW_POSTGRES_SERIES_OWNER_URL: stores.series.ownerUrl,
      OXBOW_POSTGRES_AUDIT_URL: stores.audit.url, OXBOW_POSTGRES_AUDIT_OWNER_URL: stores.audit.ownerUrl,
      OXBOW_POSTGRES_KEYS_URL: stores.keys.url, OXBOW_POSTGRES_KEYS_OWNER_URL: stores.keys.ownerUrl
    }
    // The tests' cluster does not wait for the disk.
    expect(verdicts((await examine(urls)).report)).toMatchObject({ 'database series': 'ok', apart: 'ok', migrations: 'ok', counters: 'ok', durability: 'wrong' })
    const shared = (await examine({ ...urls, OXBOW_POSTGRES_SERIES_URL: stores.linkage.url })).report
    expect(shared.checks.find(({ name }) => name === 'apart')!.message).toContain('stores linkage and series share the role oxbow_linkage')
    const secret = 'canary-password'
    const closed = await examine({ ...urls, OXBOW_POSTGRES_KEYS_URL: stores.keys.url.replace(/:[^:@]+@/, `:${secret}@`) })
    expect(closed.report.checks.find(({ name }) => name === 'database keys')!.message).toContain('the password is wrong')
    expect([closed.code, closed.out.includes(secret)]).toEqual([1, false])
  } finally {
    await stores.drop()
  }
})

test('connection strings that are missing are named', async () => {
  const { code, report } = await examine({ OXBOW_POSTGRES_KIND: 'external' })
  expect([code, verdicts(report)['databases']]).toEqual([1, 'wrong'])
})

test('its help says how it is used', () => { expect(doctorVerb.usage).toContain('--json') })
