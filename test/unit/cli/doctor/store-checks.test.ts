import { expect, test } from 'vitest'
import { runChecks } from '../../../../src/cli/doctor/check.ts'
import { storeChecks, type StoreParts } from '../../../../src/cli/doctor/store-checks.ts'
import { epochMs } from '../../../../src/model/units.ts'
import type { LoginFacts } from '../../../../src/platform/postgres/inspect.ts'
import type { StoreAddress } from '../../../../src/platform/postgres/store-address.ts'

const NOW = epochMs(1_772_720_591_000)
const address = (store: string, parts: Partial<StoreAddress> = {}): StoreAddress => ({ store, host: 'db', port: 5432, database: `oxbow_${store}`, role: `oxbow_${store}`, ...parts })
const ADDRESSES = ['bus', 'linkage', 'series'].map(store => address(store))

async function findings (facts: Partial<LoginFacts> = {}, parts: Partial<StoreParts> = {}) {
  const checks = storeChecks({
    addresses: ADDRESSES,
    inspect: async ({ role, database }) => ({
      role, database, version: '17.10', clock: NOW, tookMs: 1, isPrivileged: false, mayConnectTo: [],
      durability: { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' }, ...facts
    }),
    stores: ['bus', 'linkage', 'series'],
    pendingMigrations: async () => [],
    now: () => NOW,
    ...parts
  })
  return new Map((await runChecks(checks)).map(finding => [finding.name, finding]))
}

test('databases that are well have no fault', async () => {
  const found = await findings()
  expect([...found.values()].map(({ verdict }) => verdict)).toEqual(Array.from({ length: 7 }, () => 'ok'))
  expect(found.get('database bus')!.message).toBe('oxbow_bus@db:5432/oxbow_bus')
})

test('a login that may enter another store, or is an administrator, is wrong', async () => {
  expect((await findings({ mayConnectTo: ['oxbow_linkage', 'postgres'] })).get('apart')).toMatchObject({ verdict: 'wrong', message: expect.stringContaining('role oxbow_series of store series may connect to oxbow_linkage') })
  expect((await findings({ mayConnectTo: ['postgres'] })).get('apart')!.verdict).toBe('ok')
  expect((await findings({ isPrivileged: true })).get('apart')!.verdict).toBe('wrong')
})

test('commits that are not awaited are wrong', async () => {
  expect((await findings({ durability: { fsync: 'off', synchronous_commit: 'on', full_page_writes: 'on' } })).get('durability')).toMatchObject({ verdict: 'wrong', message: expect.stringContaining('fsync is off for store bus') })
  expect((await findings({ durability: { fsync: 'on', synchronous_commit: 'remote_apply', full_page_writes: 'on' } })).get('durability')!.verdict).toBe('ok')
})

test.each([[200, 'ok'], [-2_000, 'note'], [60_000, 'wrong']])('clocks %d ms apart: %s', async (ms, verdict) => {
  expect((await findings({ clock: epochMs(NOW + ms) })).get('clock')!.verdict).toBe(verdict)
})

test('the way of the answer is no difference of clocks', async () => {
  expect((await findings({ clock: epochMs(NOW - 4_000), tookMs: 4_000 })).get('clock')!.verdict).toBe('ok')
})

test('a database that does not answer is named with the reason, and the others are judged without it', async () => {
  const inspect: StoreParts['inspect'] = async ({ store }) => {
    if (store === 'linkage') throw Object.assign(new Error('password authentication failed'), { code: '28P01' })
    return { role: 'r', database: 'd', version: '17.10', clock: NOW, tookMs: 1, isPrivileged: false, mayConnectTo: [], durability: { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' } }
  }
  const found = await findings({}, { inspect })
  expect(found.get('database linkage')).toMatchObject({ verdict: 'wrong', message: 'oxbow_linkage@db:5432/oxbow_linkage: the password is wrong' })
  expect(found.get('database bus')!.verdict).toBe('ok')
  expect(found.get('durability')!.verdict).toBe('ok')
})

test('migrations that have not run are noted by name', async () => {
  const found = await findings({}, { pendingMigrations: async store => store === 'series' ? ['stores/series/0003-x.sql'] : [] })
  expect(found.get('migrations')).toMatchObject({ verdict: 'note', message: 'not run yet: stores/series/0003-x.sql' })
})
