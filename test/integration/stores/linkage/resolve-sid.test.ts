import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LinkageCommit } from '../../../../src/fhir/resources/linkage-commit.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { createPool } from '../../../../src/platform/postgres/pool.ts'
import { createChangeFeed, type LinkageChange } from '../../../../src/stores/linkage/change-feed.ts'
import { createSidResolver, type SidResolverOptions } from '../../../../src/stores/linkage/resolve-sid.ts'
import { association, create, NOW, patient, plainIndex, reader, testRepository, update } from '../../../support/linkage-fixtures.ts'
import { asAdmin, type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('linkage') })
afterAll(async () => { await database.drop() })

const at = (text: string) => epochMs(Date.parse(`2026-02-10T${text}Z`))
const iso = (text: string) => `2026-02-10T${text}Z`
const MODEL = 'Example Sensors Inc./TO2-READER-2'

function ward (options: Partial<SidResolverOptions> = {}) {
  let queries = 0
  const pool = new Proxy(database.pool, {
    get (target, name) {
      if (name === 'query') queries++
      const value = Reflect.get(target, name) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
  let time = NOW
  const resolver = createSidResolver({ pool, blindIndexes: plainIndex, patientSystems: ['urn:mrn'], now: () => time, ...options })
  const { repository } = testRepository(database.pool, { onCommitted: (commit: LinkageCommit) => { resolver.forget(commit.devices) } })
  return { ...resolver, repository, queries: () => queries, setTime: (next: number) => { time = epochMs(next) } }
}

test('a reading belongs to the association that covers its time', async () => {
  const { repository, resolve } = ward()
  await create(repository, patient('p-1', [{ system: 'urn:mrn', value: 'M-1' }, { system: 'urn:other', value: 'O-1' }]))
  await create(repository, patient('p-2'))
  await create(repository, reader('d-1', 'device-1'))
  expect(await resolve('device-1', at('10:30:00'))).toEqual({ model: MODEL, reason: 'not-associated' })
  await create(repository, association('a-1', 'd-1', 'p-1', iso('10:00:00'), iso('11:00:00')))
  await create(repository, association('a-2', 'd-1', 'p-2', iso('11:00:00')))
  const first = await resolve('device-1', at('10:00:00'))
  const second = await resolve('device-1', at('11:00:00'))
  expect(first).toEqual({ sid: expect.stringMatching(/^s1/), model: MODEL })
  expect(second.sid).not.toBe(first.sid)
  expect(await resolve('device-1', at('10:59:59'))).toEqual(first)
  expect(await resolve('device-1', at('09:59:59'))).toEqual({ model: MODEL, reason: 'not-associated' })
  expect(await resolve(' DEVICE-1 ', at('10:30:00'))).toEqual(first)
  expect(await resolve('device-none', at('10:30:00'))).toEqual({ reason: 'device-unknown' })
  expect(await resolve('device-1', at('10:30:00'), 'p-1')).toEqual(first)
  expect(await resolve('device-1', at('10:30:00'), 'M-1')).toEqual(first)
  for (const other of ['p-2', 'O-1', '']) expect(await resolve('device-1', at('10:30:00'), other)).toEqual({ model: MODEL, reason: 'patient-mismatch' })
})

test('a known device is answered without waiting, and many misses are one look-up', async () => {
  const { repository, resolve, queries } = ward()
  for (let n = 0; n < 20; n++) await create(repository, reader(`d-many-${n}`, `many-${n}`))
  await Promise.all(Array.from({ length: 100 }, (_, n) => resolve(`many-${n % 20}`, NOW)))
  expect(queries()).toBe(2)
  expect(resolve('many-3', NOW)).toEqual({ model: MODEL, reason: 'not-associated' })
  expect(queries()).toBe(2)
})

test('what is kept ends after its time, and unknown names sooner', async () => {
  const { repository, resolve, queries, setTime } = ward({ keepMs: 1000, keepUnknownMs: 100 })
  await create(repository, reader('d-keep', 'keep'))
  await resolve('keep', NOW)
  await resolve('keep-none', NOW)
  const before = queries()
  setTime(NOW + 99)
  expect(resolve('keep-none', NOW)).toEqual({ reason: 'device-unknown' })
  setTime(NOW + 100)
  expect(resolve('keep-none', NOW)).toBeInstanceOf(Promise)
  expect(resolve('keep', NOW)).not.toBeInstanceOf(Promise)
  setTime(NOW + 1000)
  const late = resolve('keep', NOW)
  expect(late).toBeInstanceOf(Promise)
  await late
  expect(queries()).toBeGreaterThan(before)
})

test('a change is seen by the next reading, also by a name that was unknown', async () => {
  const { repository, resolve } = ward()
  await create(repository, patient('p-change'))
  expect(await resolve('change', NOW)).toEqual({ reason: 'device-unknown' })
  await create(repository, reader('d-change', 'change'))
  expect(await resolve('change', NOW)).toMatchObject({ reason: 'not-associated' })
  const worn = association('a-change', 'd-change', 'p-change', iso('10:00:00'))
  await create(repository, worn)
  expect(await resolve('change', NOW)).toMatchObject({ model: MODEL })
  await update(repository, { ...patient('p-change', [{ system: 'urn:mrn', value: 'M-new' }]) })
  expect(await resolve('change', NOW, 'M-new')).toMatchObject({ sid: expect.any(String) })
  await update(repository, { ...worn, status: 'entered-in-error' })
  expect(await resolve('change', NOW)).toMatchObject({ reason: 'not-associated' })
})

test('a look-up that began before a change is not kept', async () => {
  const { repository, resolve, forget } = ward()
  await create(repository, reader('d-old', 'old'))
  const early = resolve('old', NOW)
  await new Promise(setImmediate)
  forget(['d-old'])
  await early
  expect(resolve('old', NOW)).toBeInstanceOf(Promise)
})

test('devices used least recently make room', async () => {
  const { repository, resolve } = ward({ devicesMax: 2 })
  for (const name of ['r1', 'r2', 'r3']) await create(repository, reader(`d-${name}`, name))
  for (const name of ['r1', 'r2', 'r3']) await resolve(name, NOW)
  const kept = ['r1', 'r2', 'r3'].filter(name => !(resolve(name, NOW) instanceof Promise))
  expect(kept).toHaveLength(2)
})

test('without the database a known device is answered and the others are unavailable', async () => {
  const dead = createPool({ url: 'postgres://oxbow_linkage:x@127.0.0.1:1/none' })
  let time = NOW
  const { resolve } = createSidResolver({ pool: dead, blindIndexes: plainIndex, patientSystems: [], now: () => time, pauseMs: 1000 })
  expect(await resolve('device-1', NOW)).toEqual({ reason: 'linkage-unavailable' })
  time = epochMs(NOW + 500)
  expect(await resolve('device-1', NOW)).toEqual({ reason: 'linkage-unavailable' })
  await dead.end()
})

test('a database that hangs is unavailable after the time-out', async () => {
  const hanging = new Proxy(database.pool, { get: (target, name) => name === 'query' ? () => new Promise(() => {}) : Reflect.get(target, name) as unknown })
  const { resolve } = createSidResolver({ pool: hanging, blindIndexes: plainIndex, patientSystems: [], now: () => NOW, timeoutMs: 20 })
  expect(await resolve('device-1', NOW)).toEqual({ reason: 'linkage-unavailable' })
})

test('other processes hear of a commit, and of a broken connection that anything may have changed', async () => {
  const { repository } = testRepository(database.pool)
  const heard: (LinkageChange | 'all')[] = []
  const next = () => new Promise<void>(resolve => { waiting = resolve })
  let waiting = () => {}
  const pool = createPool({ url: database.url, applicationName: 'feed test' })
  const feed = await createChangeFeed({ pool, retryMs: 1, onChange: change => { heard.push(change); waiting() } })
  expect(heard).toEqual(['all'])
  const first = next()
  await create(repository, reader('d-heard', 'heard'))
  await first
  expect(heard[1]).toEqual({ devices: ['d-heard'], sids: [] })
  const broken = next()
  await asAdmin(admin => admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'feed test'`))
  await broken
  while (!feed.isListening()) await next()
  expect(heard.at(-1)).toBe('all')
  const again = next()
  await create(repository, reader('d-heard-2', 'heard-2'))
  await again
  expect(heard.at(-1)).toEqual({ devices: ['d-heard-2'], sids: [] })
  await feed.close()
  await pool.end()
})
