import type { Device, DeviceMetric, DeviceUseStatement } from '@medplum/fhirtypes'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { VISIBLE_ALL } from '../../../../src/fhir/words/search-words.ts'
import type { StoredQuery } from '../../../../src/fhir/resources/resource-store.ts'
import { identifierSystem } from '../../../../src/model/identifier.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { createWriteClock } from '../../../../src/platform/write-clock.ts'
import { association, create, NOW, patient, reader, testRepository, update } from '../../../support/linkage-fixtures.ts'
import { isLockWaited, type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('linkage') })
afterAll(async () => { await database.drop() })

const query: StoredQuery = { identifiers: [], lastUpdated: [], descending: false, count: 10, total: 'accurate', asOf: epochMs(NOW + 10_000_000) }
const conflict = { code: 'FHIR_CONFLICT' }
const rule = { code: 'FHIR_BUSINESS_RULE' }

test('every version of a resource can be read as it was written', async () => {
  const { repository } = testRepository(database.pool)
  const first = await create(repository, { ...patient('p-history'), gender: 'female' })
  await update(repository, { ...patient('p-history'), gender: 'other' }, epochMs(NOW + 1000), '1')
  expect(first.resource.meta).toEqual({ versionId: '1', lastUpdated: '2026-02-10T16:41:12.000Z' })
  expect((await repository.read('Patient', 'p-history', VISIBLE_ALL, NOW))?.resource).toMatchObject({ gender: 'other', meta: { versionId: '2' } })
  expect((await repository.vread('Patient', 'p-history', '1', VISIBLE_ALL, NOW))?.resource).toEqual(first.resource)
  expect(await repository.vread('Patient', 'p-history', '3', VISIBLE_ALL, NOW)).toBeUndefined()
  expect((await repository.history('Patient', 'p-history', { count: 10 }, VISIBLE_ALL, NOW)).map(({ versionId }) => versionId)).toEqual([2, 1])
  expect((await repository.history('Patient', 'p-history', { count: 10, before: 2 }, VISIBLE_ALL, NOW)).map(({ versionId }) => versionId)).toEqual([1])
})

test('the same content again makes no version', async () => {
  const { repository, commits } = testRepository(database.pool)
  await create(repository, patient('p-same'))
  expect((await update(repository, patient('p-same'), epochMs(NOW + 1000))).versionId).toBe(1)
  expect(commits).toHaveLength(1)
})

test('an update of another than the current version is refused', async () => {
  const { repository } = testRepository(database.pool)
  await create(repository, patient('p-match'))
  await expect(update(repository, { ...patient('p-match'), active: true }, NOW, '2')).rejects.toMatchObject({ code: 'FHIR_PRECONDITION' })
  await expect(update(repository, patient('p-nobody'), NOW)).rejects.toMatchObject({ code: 'FHIR_NOT_FOUND' })
})

test('of twenty updates with the same If-Match one succeeds', async () => {
  const { repository } = testRepository(database.pool)
  await create(repository, patient('p-race'))
  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, n) =>
    update(repository, { ...patient('p-race'), name: [{ family: `F${n}` }] }, NOW, '1')))
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
})

test('a failing transaction leaves nothing behind', async () => {
  const { repository, commits } = testRepository(database.pool)
  await expect(repository.transaction(async transaction => {
    await transaction.create(patient('p-nothing'))
    throw new Error('no')
  })).rejects.toThrow('no')
  expect(await repository.read('Patient', 'p-nothing', VISIBLE_ALL, NOW)).toBeUndefined()
  expect(commits).toEqual([])
})

test('of twenty conditional creates of one identifier one creates', async () => {
  const { repository } = testRepository(database.pool)
  const results = await Promise.all(Array.from({ length: 20 }, (_, n) => repository.transaction(async transaction => {
    const found = await transaction.matchForWrite('Patient', [[{ system: 'urn:mrn', code: 'M1' }]], 2, VISIBLE_ALL, NOW)
    if (found[0] !== undefined) return false
    await transaction.create(patient(`p-conditional-${n}`, [{ system: 'urn:mrn', value: 'M1' }]))
    return true
  })))
  expect(results.filter(Boolean)).toHaveLength(1)
})

test('of twenty conditional creates of one identifier, with its system and without it, one creates', async () => {
  const { repository } = testRepository(database.pool)
  const tokens = [{ system: 'urn:mrn', code: 'M2' }, { code: 'M2' }]
  const results = await Promise.all(Array.from({ length: 20 }, (_, n) => repository.transaction(async transaction => {
    const found = await transaction.matchForWrite('Patient', [[tokens[n % 2]!]], 2, VISIBLE_ALL, NOW)
    if (found[0] !== undefined) return false
    await transaction.create(patient(`p-spelling-${n}`, [{ system: 'urn:mrn', value: 'M2' }]))
    return true
  })))
  expect(results.filter(Boolean)).toHaveLength(1)
})

test.each([
  ['p-by-value', 'M4', { system: undefined, code: 'M4' }], ['p-by-both', 'M5', { system: 'urn:mrn', code: 'M5' }], ['p-by-system', 'M6', { system: 'urn:mrn-6', code: undefined }]
])('who asks for %s (%s, %o) waits for who is writing it', async (id, code, token) => {
  const { repository } = testRepository(database.pool)
  let asked: ReturnType<typeof ask> | undefined
  let isAnswered = false
  const ask = () => repository.transaction(transaction => transaction.matchForWrite('Patient', [[defined(token)]], 2, VISIBLE_ALL, NOW)).finally(() => { isAnswered = true })
  await repository.transaction(async transaction => {
    await transaction.create(patient(id, [{ system: token.system ?? 'urn:mrn', value: code }]))
    asked = ask()
    while (!isAnswered && !(await isLockWaited(database.pool))) { /* it will be one of the two */ }
  })
  expect((await asked)?.map(({ resource }) => resource.id)).toEqual([id])
})

function defined ({ system, code }: { system: string | undefined, code: string | undefined }) { return { ...(system === undefined ? {} : { system }), ...(code === undefined ? {} : { code }) } }

test('search finds by id, identifier and reference, in the order of lastUpdated, page by page', async () => {
  const { repository } = testRepository(database.pool)
  for (let n = 0; n < 5; n++) {
    await create(repository, patient(`p-search-${n}`, [{ system: 'urn:search', value: `v${n}` }, { value: 'shared' }]), epochMs(NOW + n))
  }
  const ids = (page: { versions: readonly { resource: { id?: string } }[] }) => page.versions.map(({ resource }) => resource.id)
  const search = (more: Partial<StoredQuery>) => repository.search('Patient', { ...query, ...more }, VISIBLE_ALL, NOW)
  expect(ids(await search({ identifiers: [[{ system: 'urn:search', code: 'v3' }]] }))).toEqual(['p-search-3'])
  expect(ids(await search({ identifiers: [[{ system: '', code: 'shared' }], [{ code: 'v1' }, { code: 'v2' }]] }))).toEqual(['p-search-1', 'p-search-2'])
  expect(ids(await search({ ids: ['p-search-4', 'p-none'] }))).toEqual(['p-search-4'])
  const first = await search({ identifiers: [[{ code: 'shared' }]], count: 2, descending: true })
  expect(first.total).toBe(5)
  expect(ids(first)).toEqual(['p-search-4', 'p-search-3'])
  const second = await search({ identifiers: [[{ code: 'shared' }]], count: 3, descending: true, after: first.next! })
  expect(ids(second)).toEqual(['p-search-2', 'p-search-1', 'p-search-0'])
  expect(second.next).toBeUndefined()
  const at = epochMs(NOW + 2)
  expect(ids(await search({ identifiers: [[{ code: 'shared' }]], lastUpdated: [[{ prefix: 'gt', from: at, until: epochMs(at + 1) }]] }))).toEqual(['p-search-3', 'p-search-4'])
})

test('a later version is not seen by a search that began before it', async () => {
  const { repository } = testRepository(database.pool)
  await create(repository, patient('p-asof', [{ system: 'urn:asof', value: '1' }]), NOW)
  await update(repository, { ...patient('p-asof', [{ system: 'urn:asof', value: '1' }]), active: true }, epochMs(NOW + 5000))
  const page = await repository.search('Patient', { ...query, identifiers: [[{ system: 'urn:asof' }]], asOf: epochMs(NOW + 100) }, VISIBLE_ALL, NOW)
  expect(page.versions.map(({ versionId }) => versionId)).toEqual([1])
})

test('a version is found by the identifiers it had: lost ones by a search that began before, gained ones not', async () => {
  const { repository } = testRepository(database.pool)
  await create(repository, patient('p-renamed', [{ system: 'urn:renamed', value: 'old' }, { value: 'plain' }]), NOW)
  await update(repository, patient('p-renamed', [{ system: 'urn:renamed', value: 'new' }]), epochMs(NOW + 5000))
  const search = async (system: string, code: string, at: number) => {
    const page = await repository.search('Patient', { ...query, identifiers: [[{ system, code }]], asOf: epochMs(at) }, VISIBLE_ALL, NOW)
    return [page.total, ...page.versions.map(({ versionId }) => versionId)]
  }
  const [early, late] = [NOW + 100, NOW + 5001]
  expect(await search('urn:renamed', 'old', early)).toEqual([1, 1])
  expect(await search('', 'plain', early)).toEqual([1, 1])
  expect(await search('urn:renamed', 'new', early)).toEqual([0])
  expect(await search('urn:renamed', 'old', late)).toEqual([0])
  expect(await search('urn:renamed', 'new', late)).toEqual([1, 2])
})

test('a version that is being written while the first page is read takes no resource from the second', async () => {
  // Later than whatever else was written here: a clock behind that would be one that was set back.
  const start = NOW + 1_000_000
  let now = epochMs(start)
  const { repository } = testRepository(database.pool, { writes: createWriteClock(() => now) })
  const bearer = (n: number) => patient(`p-page-${n}`, [{ system: 'urn:page', value: `${n}` }])
  for (const n of [0, 1, 2, 3]) {
    now = epochMs(start + n)
    await repository.transaction(transaction => transaction.create(bearer(n)))
  }
  const { asOf: _, ...first } = { ...query, identifiers: [[{ system: 'urn:page' }]], descending: true, count: 2 }
  const [written, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  now = epochMs(start + 10)
  const writing = repository.transaction(async transaction => {
    await transaction.update({ ...bearer(1), active: true }, undefined)
    written.resolve()
    await end.promise
  })
  await written.promise
  now = epochMs(start + 20)
  const page = await repository.search('Patient', first, VISIBLE_ALL, now)
  end.resolve()
  await writing
  const rest = await repository.search('Patient', { ...first, asOf: page.asOf, after: page.next! }, VISIBLE_ALL, now)
  const shown = [...page.versions, ...rest.versions]
  expect(shown.map(({ resource, versionId }) => [resource.id, versionId])).toEqual([['p-page-3', 1], ['p-page-2', 1], ['p-page-1', 1], ['p-page-0', 1]])
  expect([page.asOf, rest.next]).toEqual([start + 9, undefined])
  const polled = await repository.search('Patient', { ...first, lastUpdated: [[{ prefix: 'gt', from: page.asOf, until: epochMs(page.asOf + 1) }]] }, VISIBLE_ALL, now)
  expect(polled.versions.map(({ resource, versionId }) => [resource.id, versionId])).toEqual([['p-page-1', 2]])
})

test('a transaction that fails holds no search back', async () => {
  const writes = createWriteClock(() => NOW)
  const { repository } = testRepository(database.pool, { writes })
  await expect(repository.transaction(async transaction => {
    await transaction.create(patient('p-held'))
    expect(await writes.completeThrough(0)).toBe(NOW - 1)
    throw new Error('no')
  })).rejects.toThrow('no')
  expect(await writes.completeThrough(0)).toBe(NOW)
})

test('a Device of a registered model brings its DeviceMetrics', async () => {
  const { repository, commits } = testRepository(database.pool)
  await create(repository, reader('d-metrics', 'device-metrics'))
  const page = await repository.search('DeviceMetric', { ...query, sources: ['d-metrics'] }, VISIBLE_ALL, NOW)
  const metrics = page.versions.map(({ resource }) => resource as DeviceMetric)
  expect(metrics.map(metric => metric.identifier?.[0]?.value).sort()).toEqual(['device-metrics/spo2', 'device-metrics/tissue-po2'])
  const tissue = metrics.find(metric => metric.identifier?.[0]?.value === 'device-metrics/tissue-po2')
  expect(tissue).toMatchObject({
    source: { reference: 'Device/d-metrics' }, category: 'measurement', measurementPeriod: { repeat: { period: 1, periodUnit: 's', frequency: 1 } },
    meta: { profile: ['https://oxbow-fhir.github.io/ig/StructureDefinition/tissue-oxygen-metric-channel'] }
  })
  expect(commits[0]?.changes.map(({ type }) => type)).toEqual(['Device', 'DeviceMetric', 'DeviceMetric'])
})

test('a Device is not renamed while a metric under its old name is made', async () => {
  const { repository } = testRepository(database.pool)
  for (let round = 0; round < 10; round++) {
    const id = `d-skew-${round}`
    const device = (name: string): Device => ({ resourceType: 'Device', id, identifier: [{ system: identifierSystem('telemetry-device'), value: name }] })
    const metric: DeviceMetric = {
      resourceType: 'DeviceMetric', id: `dm-skew-${round}`, identifier: [{ system: identifierSystem('device-metric'), value: `skew-${round}/temperature` }],
      type: { text: 'temperature' }, category: 'measurement', source: { reference: `Device/${id}` }
    }
    await create(repository, device(`skew-${round}`))
    const results = await Promise.allSettled([update(repository, device(`skew-${round}-new`), NOW), create(repository, metric)])
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  }
})

test('DeviceMetrics that come in the same transaction are not made again', async () => {
  const { repository } = testRepository(database.pool)
  await repository.transaction(async transaction => {
    await transaction.create({
      resourceType: 'DeviceMetric', id: 'dm-own', identifier: [{ system: identifierSystem('device-metric'), value: 'device-own/spo2' }],
      type: { text: 'SpO2' }, unit: { coding: [{ system: 'http://unitsofmeasure.org', code: '%' }] }, source: { reference: 'Device/d-own' }, category: 'measurement'
    })
    await transaction.create(reader('d-own', 'device-own'))
  })
  const page = await repository.search('DeviceMetric', { ...query, sources: ['d-own'] }, VISIBLE_ALL, NOW)
  expect(page.total).toBe(2)
  expect(page.versions.map(({ resource }) => resource.id)).toContain('dm-own')
})

test('a channel in another unit than the registry says is refused', async () => {
  const { repository } = testRepository(database.pool)
  await expect(repository.transaction(async transaction => {
    await transaction.create(reader('d-unit', 'device-unit'))
    await transaction.create({
      resourceType: 'DeviceMetric', id: 'dm-unit', identifier: [{ system: identifierSystem('device-metric'), value: 'device-unit/tissue-po2' }],
      type: { text: 'tissue' }, unit: { coding: [{ system: 'http://unitsofmeasure.org', code: 'kPa' }] }, source: { reference: 'Device/d-unit' }, category: 'measurement'
    })
  })).rejects.toMatchObject(rule)
})

test('a telemetry identifier names one Device, in any spelling', async () => {
  const { repository } = testRepository(database.pool)
  await create(repository, reader('d-name-1', 'Device-Name'))
  await expect(create(repository, reader('d-name-2', 'Device-Name'))).rejects.toMatchObject(conflict)
  await expect(create(repository, reader('d-name-3', ' device-name '))).rejects.toMatchObject(conflict)
  await expect(create(repository, { ...reader('d-name-4', 'a'), identifier: [...reader('', 'a').identifier!, ...reader('', 'b').identifier!] })).rejects.toMatchObject(rule)
})

test('a worn Device keeps its model and its name', async () => {
  const { repository } = testRepository(database.pool)
  await create(repository, patient('p-worn'))
  await create(repository, reader('d-worn', 'device-worn'))
  await create(repository, association('a-worn', 'd-worn', 'p-worn', '2026-02-10T16:40:00Z'))
  await expect(update(repository, { ...reader('d-worn', 'device-worn'), modelNumber: 'OTHER' } as Device)).rejects.toMatchObject(rule)
  await expect(update(repository, reader('d-worn', 'device-worn-2'))).rejects.toMatchObject(rule)
  expect((await update(repository, { ...reader('d-worn', 'device-worn'), serialNumber: '7' } as Device)).versionId).toBe(2)
})

test('an association names a Patient and a Device that exist, in any order of one transaction', async () => {
  const { repository } = testRepository(database.pool)
  await expect(create(repository, association('a-ghost', 'd-ghost', 'p-ghost', '2026-02-10T16:40:00Z'))).rejects.toMatchObject(rule)
  await repository.transaction(async transaction => {
    await transaction.create(association('a-order', 'd-order', 'p-order', '2026-02-10T16:40:00Z'))
    await transaction.create(reader('d-order', 'device-order'))
    await transaction.create(patient('p-order'))
  })
  const found = await repository.read('DeviceUseStatement', 'a-order', VISIBLE_ALL, NOW)
  expect(found?.resource).toMatchObject({ id: 'a-order' })
})

test('an association gets the name <device>/<start> when it brings none', async () => {
  const { repository } = testRepository(database.pool)
  await create(repository, patient('p-named'))
  await create(repository, reader('d-named', 'device-named'))
  const made = await create(repository, association('a-named', 'd-named', 'p-named', '2026-02-10T16:40:00Z'))
  expect((made.resource as DeviceUseStatement).identifier).toEqual([{ system: identifierSystem('device-association'), value: 'device-named/2026-02-10T16:40:00.000Z' }])
})

test('an association with the name of another device is refused, when it is made and when it is changed', async () => {
  const { repository } = testRepository(database.pool)
  await create(repository, patient('p-foreign'))
  await create(repository, reader('d-foreign', 'device-foreign'))
  const named = (value: string): DeviceUseStatement => ({
    ...association('a-foreign', 'd-foreign', 'p-foreign', '2026-02-10T16:40:00Z'), identifier: [{ system: identifierSystem('device-association'), value }]
  })
  await expect(create(repository, named('device-other/2026-02-10T16:40:00.000Z'))).rejects.toMatchObject(rule)
  await create(repository, named('device-foreign/2026-02-10T16:40:00.000Z'))
  await expect(update(repository, named('device-other/2026-02-10T16:40:00.000Z'))).rejects.toMatchObject(rule)
})

test('resources written for the demonstration are marked', async () => {
  const { repository } = testRepository(database.pool, { isDemo: true })
  const made = await create(repository, patient('p-demo'))
  expect(made.resource.meta?.tag).toEqual([{ system: 'https://oxbow-fhir.github.io/ig/CodeSystem/demonstration', code: 'DEMO', display: 'Demonstration data' }])
})

test('a patient sees the own record, the worn device and its metrics, and nothing else', async () => {
  const { repository } = testRepository(database.pool)
  for (const name of ['mine', 'other']) {
    await create(repository, patient(`p-${name}`))
    await create(repository, reader(`d-${name}`, `device-${name}`))
    await create(repository, association(`a-${name}`, `d-${name}`, `p-${name}`, '2026-02-10T16:40:00Z', '2026-02-10T18:00:00Z'))
  }
  const mine = [{ patientId: 'p-mine', filters: [] }]
  const later = epochMs(Date.parse('2026-02-10T18:00:00Z'))
  expect(await repository.read('Patient', 'p-mine', mine, NOW)).toBeDefined()
  expect(await repository.read('Patient', 'p-other', mine, NOW)).toBeUndefined()
  expect(await repository.read('Device', 'd-mine', mine, NOW)).toBeDefined()
  expect(await repository.read('Device', 'd-other', mine, NOW)).toBeUndefined()
  expect(await repository.read('Device', 'd-mine', mine, later)).toBeUndefined()
  expect(await repository.history('DeviceUseStatement', 'a-other', { count: 5 }, mine, NOW)).toEqual([])
  expect(await repository.vread('DeviceUseStatement', 'a-mine', '1', mine, NOW)).toBeDefined()
  const metrics = await repository.search('DeviceMetric', { ...query }, mine, NOW)
  expect(metrics.total).toBe(2)
  const typed = [{ filters: [{ parameter: 'type' as const, anyOf: [{ code: 'none' }] }] }]
  expect((await repository.search('Device', query, typed, NOW)).total).toBe(0)
})

test('what the database cannot hold is refused, not a fault', async () => {
  const { repository } = testRepository(database.pool)
  await expect(create(repository, patient('p-long', [{ value: 'x'.repeat(3000) }]))).rejects.toMatchObject(rule)
  await expect(create(repository, patient('p-null', [{ value: 'a\0b' }]))).rejects.toMatchObject({ code: 'FHIR_INVALID' })
})
