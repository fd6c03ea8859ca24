import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDemonstrationWard } from '../../../../src/fhir/views/demonstration-ward.ts'
import { CANONICAL } from '../../../../src/model/identifier.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import type { RowIn } from '../../../../src/stream/sink.ts'
import { association, create, MODELS, NOW, patient, reader, testRepository } from '../../../support/linkage-fixtures.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await testDatabase('linkage')
  const { repository } = testRepository(database.pool)
  await create(repository, patient('demo', [{ system: `${CANONICAL}/identifier/demonstration`, value: 'Demo-Ash' }]))
  await create(repository, patient('real', [{ system: 'urn:oid:2.16.840.1.113883.19.5', value: 'MRN-1' }]))
  for (const id of ['demo', 'real']) {
    await create(repository, reader(`dev-${id}`, `reader-${id}`))
    await create(repository, association(`use-${id}`, `dev-${id}`, id, '2026-02-10T00:00:00.000Z'))
  }
})
afterAll(() => database.drop())

/** A series store in which every sid has one series with these rows. */
function wardOver (rows: readonly Partial<RowIn>[]) {
  const sids: Sid[] = []
  const ward = createDemonstrationWard({
    linkagePool: database.pool,
    series: {
      numbersOf: async names => { sids.push(...names); return new Map(names.map((name, index) => [name, index])) },
      readings: async () => rows as RowIn[],
      countsBySid: async () => new Map(sids.map(sid => [sid, { accepted: 13, stored: 10, duplicate: 2, conflict: 1 }]))
    },
    models: MODELS,
    quarantinedOf: async telemetry => telemetry === 'reader-demo' ? 4 : Number.NaN,
    now: () => NOW
  })
  return { ward, sids }
}

test('the curves are those of patients of the demonstration, and of nobody else', async () => {
  const at = epochMs(NOW - 1_000)
  const { ward, sids } = wardOver([{ takenAt: at, values: [41.2, undefined] }])
  expect(await ward.curves()).toEqual([
    { title: 'Demo-Ash', metric: 'Tissue pO₂', unit: 'mmHg', digits: 1, points: [{ at, value: 41.2 }] },
    { title: 'Demo-Ash', metric: 'SpO₂', unit: '%', digits: 1, points: [{ at, value: undefined }] }
  ])
  expect(sids).toHaveLength(1)
})

test('its sensors are counted by patient', async () => {
  const { ward } = wardOver([])
  await ward.curves()
  expect(await ward.devices()).toEqual([{ title: 'Demo-Ash · Tissue oxygen reader', stored: 10, suppressed: 3, quarantined: 4 }])
})
