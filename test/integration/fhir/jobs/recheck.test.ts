import { afterAll, beforeAll, expect, test } from 'vitest'
import { recheckRelabelled } from '../../../../src/fhir/jobs/recheck.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { sidsOfDevice } from '../../../../src/stores/linkage/association.ts'
import { finishRelabelJob, nextRelabelJobs, type RelabelJob } from '../../../../src/stores/linkage/relabel-job.ts'
import { covers } from '../../../../src/stores/linkage/span.ts'
import { association, create, NOW, patient, reader, testRepository, update } from '../../../support/linkage-fixtures.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { storedReading } from '../../../support/stored-reading.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('linkage') })
afterAll(async () => { await database.drop() })

const start = Date.parse('2026-02-10T10:00:00Z')
const iso = (minute: number) => new Date(start + minute * 60_000).toISOString()
const at = (minute: number) => epochMs(start + minute * 60_000)

/** Runs every open job without moving anything. */
async function finishAll (device: string): Promise<RelabelJob[]> {
  const done: RelabelJob[] = []
  for (;;) {
    const [job] = await nextRelabelJobs(database.pool, 1, device)
    if (job === undefined) return done
    await finishRelabelJob(database.pool, job.id, {}, NOW)
    done.push(job)
  }
}

/** Worn by one from minute 0, corrected to 0–10; by two from minute 20 to 30. */
async function corrected (name: string) {
  const { repository } = testRepository(database.pool)
  for (const one of ['1', '2']) await create(repository, patient(`p-${name}-${one}`))
  await create(repository, reader(`d-${name}`, `device-${name}`))
  await create(repository, association(`a-${name}-1`, `d-${name}`, `p-${name}-1`, iso(0)))
  await update(repository, association(`a-${name}-1`, `d-${name}`, `p-${name}-1`, iso(0), iso(10)))
  await create(repository, association(`a-${name}-2`, `d-${name}`, `p-${name}-2`, iso(20), iso(30)))
  const [first, second] = await sidsOfDevice(database.pool, `d-${name}`)
  return { repository, device: `d-${name}`, first: first!.sid, second: second!.sid }
}

function recheck (rows: readonly { sid: Sid, minute: number }[], backMs?: number) {
  const sids: Sid[] = []
  return recheckRelabelled({
    pool: database.pool,
    now: () => NOW,
    series: {
      numbersOf: async asked => {
        sids.push(...asked)
        return new Map(asked.map((sid, number) => [sid, number]))
      },
      readings: async (number, from, until) => rows
        .filter(row => row.sid === sids[number] && covers({ from, until }, at(row.minute)))
        .map(row => ({ ...storedReading(at(row.minute), [1]), series: number, schemaId: 2, partition: 0, offset: 0 }))
    },
    ...(backMs === undefined ? {} : { backMs })
  })
}

test('a reading stored under a sid after its job was done gets a job that gives it to whom it belongs now', async () => {
  const { device, first, second } = await corrected('late')
  expect(await finishAll(device)).toHaveLength(1)
  expect(await recheck([{ sid: first, minute: 5 }, { sid: second, minute: 25 }])).toBe(0)
  expect(await recheck([{ sid: first, minute: 25 }])).toBeGreaterThan(0)
  const jobs = await finishAll(device)
  expect(jobs.filter(({ span }) => covers(span, at(25)))).toMatchObject([{ sid: first, target: second }])
  expect(jobs.filter(({ span }) => covers(span, at(40)))).toMatchObject([{ sid: first }])
  expect(jobs.some(({ span }) => covers(span, at(5)))).toBe(false)
})

test('while a job of the device is open nothing is looked for, and what a sid got back is its own', async () => {
  const { repository, device, first } = await corrected('open')
  expect(await recheck([{ sid: first, minute: 40 }])).toBe(0)
  await finishAll(device)
  await update(repository, association('a-open-1', device, 'p-open-1', iso(0), iso(15)))
  await finishAll(device)
  expect(await recheck([{ sid: first, minute: 12 }])).toBe(0)
  expect(await recheck([{ sid: first, minute: 16 }])).toBeGreaterThan(0)
  expect((await finishAll(device)).some(({ span }) => covers(span, at(12)))).toBe(false)
})

test('jobs done long ago are not looked at again', async () => {
  const { device, first } = await corrected('old')
  await finishAll(device)
  expect(await recheck([{ sid: first, minute: 40 }], -1)).toBe(0)
})
