import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RelabelActions, runRelabelJobs } from '../../../../src/fhir/jobs/relabel.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { sidsOfDevice } from '../../../../src/stores/linkage/association.ts'
import { countOpenRelabelJobs } from '../../../../src/stores/linkage/relabel-job.ts'
import { covers, type Span } from '../../../../src/stores/linkage/span.ts'
import { association, create, NOW, patient, reader, testRepository, update } from '../../../support/linkage-fixtures.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'

let database: TestDatabase
beforeAll(async () => { database = await testDatabase('linkage') })
afterAll(async () => { await database.drop() })

interface Row { sid: Sid, takenAt: number }

/** A series store and a quarantine of a few lines. `failAt`: which call of an action throws. */
function fakeStores (rows: Row[], failAt = Number.POSITIVE_INFINITY) {
  const waiting: { telemetry: string, takenAt: number }[] = []
  const withdrawn: { sid: Sid, span: Span }[] = []
  let calls = 0
  const tick = () => { if (++calls === failAt) throw new Error('killed') }
  const inside = (sid: Sid, span: Span) => rows.filter(row => row.sid === sid && covers(span, epochMs(row.takenAt)))
  const actions: RelabelActions<Row> = {
    isSettled: async () => true,
    withdrawViews: async (sid, span) => {
      tick()
      withdrawn.push({ sid, span })
    },
    moveReadings: async (sid, target, span, limit) => {
      tick()
      const some = inside(sid, span).slice(0, limit)
      for (const row of some) row.sid = target
      return some.length
    },
    takeReadings: async (sid, span, limit, keep) => {
      const taken = inside(sid, span).slice(0, limit)
      if (taken.length > 0) await keep(taken)
      tick()
      for (const row of taken) rows.splice(rows.indexOf(row), 1)
      return taken.length
    },
    requarantine: async (telemetry, readings) => {
      tick()
      for (const { takenAt } of readings) if (!waiting.some(one => one.takenAt === takenAt)) waiting.push({ telemetry, takenAt })
    },
    onDone: async () => {}
  }
  return { actions, waiting, withdrawn }
}

const start = Date.parse('2026-02-10T10:00:00Z')
const iso = (minute: number) => new Date(start + minute * 60_000).toISOString()

async function correctedWard (name: string): Promise<{ rows: Row[], first: Sid, second: Sid }> {
  const { repository } = testRepository(database.pool)
  for (const one of ['1', '2']) await create(repository, patient(`p-${name}-${one}`))
  await create(repository, reader(`d-${name}`, `device-${name}`))
  await create(repository, association(`a-${name}-1`, `d-${name}`, `p-${name}-1`, iso(0)))
  await repository.transaction(async transaction => {
    await transaction.update(association(`a-${name}-1`, `d-${name}`, `p-${name}-1`, iso(0), iso(10)), undefined)
    await transaction.create(association(`a-${name}-2`, `d-${name}`, `p-${name}-2`, iso(20), iso(30)))
  })
  const [first, second] = await sidsOfDevice(database.pool, `d-${name}`)
  const rows = Array.from({ length: 40 }, (_, minute) => ({ sid: first!.sid, takenAt: start + minute * 60_000 }))
  return { rows, first: first!.sid, second: second!.sid }
}

function minutes (rows: readonly Row[], sid: Sid): number[] {
  return rows.filter(row => row.sid === sid).map(row => (row.takenAt - start) / 60_000).sort((one, other) => one - other)
}
const range = (from: number, until: number) => Array.from({ length: until - from }, (_, n) => from + n)

test('rows go to the sid they belong to now, the others back to quarantine', async () => {
  const { rows, first, second } = await correctedWard('move')
  const { actions, waiting, withdrawn } = fakeStores(rows)
  const run = await runRelabelJobs(actions, { pool: database.pool, now: () => NOW, stepMax: 3 })
  expect(run).toEqual({ done: 3, waiting: 0, readings: 30, errors: [] })
  expect(minutes(rows, first)).toEqual(range(0, 10))
  expect(minutes(rows, second)).toEqual(range(20, 30))
  expect(waiting.map(({ takenAt }) => (takenAt - start) / 60_000)).toEqual([...range(10, 20), ...range(30, 40)])
  expect(new Set(waiting.map(({ telemetry }) => telemetry))).toEqual(new Set(['device-move']))
  expect(withdrawn).toHaveLength(3)
  expect(await countOpenRelabelJobs(database.pool)).toBe(0)
})

test('a run killed at any step goes on and ends in the same state', async () => {
  for (let failAt = 1; failAt <= 22; failAt++) {
    const { rows, first, second } = await correctedWard(`kill-${failAt}`)
    const { actions, waiting } = fakeStores(rows, failAt)
    const broken = await runRelabelJobs(actions, { pool: database.pool, now: () => NOW, stepMax: 4 })
    expect(broken.errors.map(error => (error as Error).message)).toEqual(broken.done === 3 ? [] : ['killed'])
    expect((await runRelabelJobs(actions, { pool: database.pool, now: () => NOW, stepMax: 4 })).errors).toEqual([])
    expect(minutes(rows, first)).toEqual(range(0, 10))
    expect(minutes(rows, second)).toEqual(range(20, 30))
    expect(waiting).toHaveLength(20)
    expect(await countOpenRelabelJobs(database.pool)).toBe(0)
  }
})

test('a job waits until what was resolved before it is stored', async () => {
  const { rows } = await correctedWard('wait')
  const { actions } = fakeStores(rows)
  expect(await runRelabelJobs({ ...actions, isSettled: async () => false }, { pool: database.pool, now: () => NOW })).toEqual({ done: 0, waiting: 1, readings: 0, errors: [] })
  expect((await runRelabelJobs(actions, { pool: database.pool, now: () => NOW })).done).toBe(3)
})

test('two runners do not run one device at the same time', async () => {
  const { rows } = await correctedWard('two')
  const { actions, waiting } = fakeStores(rows)
  let inside = 0
  const watched: RelabelActions<Row> = {
    ...actions,
    takeReadings: async (sid, span, limit, keep) => {
      expect(++inside).toBe(1)
      await new Promise(resolve => setImmediate(resolve))
      const count = await actions.takeReadings(sid, span, limit, keep)
      inside--
      return count
    }
  }
  const runs = await Promise.all([1, 2].map(() => runRelabelJobs(watched, { pool: database.pool, now: () => NOW, stepMax: 2 })))
  expect(runs[0]!.done + runs[1]!.done).toBe(3)
  expect(waiting).toHaveLength(20)
})

test('a later correction of the next association follows the first', async () => {
  const { repository } = testRepository(database.pool)
  const { rows } = await correctedWard('chain')
  await update(repository, { ...association('a-chain-2', 'd-chain', 'p-chain-2', iso(20), iso(30)), status: 'entered-in-error' })
  const { actions, waiting } = fakeStores(rows)
  await runRelabelJobs(actions, { pool: database.pool, now: () => NOW })
  expect(waiting).toHaveLength(30)
})

test('where a period was extended nothing moves and nothing is waited for: its windows are written again', async () => {
  const { rows, first } = await correctedWard('extend')
  const { repository } = testRepository(database.pool)
  const { actions, waiting, withdrawn } = fakeStores(rows)
  await runRelabelJobs(actions, { pool: database.pool, now: () => NOW })
  const before = [rows.length, waiting.length]
  withdrawn.length = 0
  await update(repository, association('a-extend-1', 'd-extend', 'p-extend-1', iso(0), iso(15)))
  const run = await runRelabelJobs({ ...actions, isSettled: async () => false }, { pool: database.pool, now: () => NOW })
  expect(run).toEqual({ done: 1, waiting: 0, readings: 0, errors: [] })
  expect(withdrawn).toEqual([{ sid: first, span: { from: start + 10 * 60_000, until: start + 15 * 60_000 } }])
  expect([rows.length, waiting.length]).toEqual(before)
})
