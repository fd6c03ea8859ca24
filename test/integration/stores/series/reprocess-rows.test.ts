import { afterAll, beforeAll, expect, test } from 'vitest'
import { epochMs, millivolt, percent } from '../../../../src/model/units.ts'
import { startReprocessJob } from '../../../../src/stores/series/reprocess-job.ts'
import { gatherOriginals, type Original, originalsAfter } from '../../../../src/stores/series/reprocess-rows.ts'
import { testDatabase, type TestDatabase } from '../../../support/postgres.ts'
import { T0 } from '../../../support/series.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('series') })
afterAll(async () => { await database.drop() })

function original (series: number, second: number, sequence: number, value: number): Original {
  return {
    series, takenAt: epochMs(T0 + second * 1_000), sequence, values: [value, undefined, 97.5], battery: second === 1 ? undefined : millivolt(3_700), quality: percent(90), firmware: 2, flags: 5,
    schemaId: 2, receivedAt: epochMs(T0 + 9_000)
  }
}

test('originals come by identity in the order in which they were gathered, whole however small a step is', async () => {
  const all = [
    original(2, 1, 0, 1), original(1, 2, 0, 2), original(1, 2, 0, 3), original(1, 2, 1, 4), original(1, 1, 0, 5), original(1, 2, 0, 6), original(1, 2, 0, 7), original(1, 2, 0, 8), original(3, -1, 0, 9)
  ]
  const job = await startReprocessJob(database.pool, { from: T0, to: epochMs(T0 + 60_000), sids: undefined, pipeline: 'sha256:0' }, T0)
  await gatherOriginals(database.pool, all.slice(0, 4), job, T0)
  await gatherOriginals(database.pool, [], job, T0)
  await gatherOriginals(database.pool, all.slice(4), job, T0)
  const wanted = [[all[4]], [all[1], all[2], all[5], all[6], all[7]], [all[3]], [all[0]], [all[8]]]
  for (const limit of [1, 2, 3, 4, 5, 6, 100]) {
    const seen: Original[][] = []
    for (let groups = await originalsAfter(database.pool, undefined, limit); groups.length > 0; groups = await originalsAfter(database.pool, seen.at(-1)![0], limit)) seen.push(...groups)
    expect(seen).toEqual(wanted)
  }
})

test('what another job gathered is gone when one begins', async () => {
  await database.owner.query("update series.reprocess_job set phase = 'done'")
  await startReprocessJob(database.pool, { from: T0, to: epochMs(T0 + 60_000), sids: undefined, pipeline: 'sha256:0' }, T0)
  expect(await originalsAfter(database.pool, undefined, 10)).toEqual([])
  await expect(startReprocessJob(database.pool, { from: T0, to: epochMs(T0 + 60_000), sids: undefined, pipeline: 'sha256:0' }, T0)).rejects.toMatchObject({ code: '23505' })
})
