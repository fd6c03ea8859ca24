import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLinkageJobs } from '../../../../src/fhir/jobs/linkage-jobs.ts'
import type { SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { association, create, NOW, patient, reader, testRepository, update } from '../../../support/linkage-fixtures.ts'
import { MODELS } from '../../../support/ingest-door.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('linkage') })
afterAll(async () => { await database.drop() })

test('a relabel job that fails is reported and stays open, and the report ends when it is done', async () => {
  const { repository } = testRepository(database.pool)
  await create(repository, patient('p-1'))
  await create(repository, reader('d-1', 'device-1'))
  await create(repository, association('a-1', 'd-1', 'p-1', '2026-02-10T10:00:00Z'))
  await update(repository, association('a-1', 'd-1', 'p-1', '2026-02-10T10:00:00Z', '2026-02-10T10:10:00Z'))
  let isStoreUp = false
  const numbersOf: SeriesStore['numbersOf'] = async () => {
    if (!isStoreUp) throw new Error('the store is away')
    return new Map()
  }
  const told: string[] = []
  const [failed, fine] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const jobs = startLinkageJobs({
    linkagePool: database.pool,
    // Of a sid without a number nothing else is asked.
    series: { numbersOf } as SeriesStore,
    sizesMs: [60_000],
    isSettled: async () => true,
    models: MODELS,
    requarantine: async () => { throw new Error('not asked for') },
    onConflicts: () => { throw new Error('not asked for') },
    releaseDevice: device => { told.push(`release ${device}`) },
    contextChanged: () => {},
    report: () => ({
      failing: error => {
        told.push((error as Error).message)
        failed.resolve()
      },
      fine: () => {
        told.push('fine')
        fine.resolve()
      }
    }),
    now: () => NOW
  })
  await failed.promise
  isStoreUp = true
  jobs.wake()
  await fine.promise
  await jobs.stop()
  expect(told).toEqual(['the store is away', 'release device-1', 'fine'])
})
