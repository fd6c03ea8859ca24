import { afterAll, beforeAll, expect, test } from 'vitest'
import { arrivalHours, createArrivalCounters } from '../../../src/ingest/counters.ts'
import { epochMs } from '../../../src/model/units.ts'
import { type TestDatabase, testDatabase } from '../../support/postgres.ts'

const HOUR = 3_600_000
const NOON = Date.UTC(2026, 2, 1, 12)
let database: TestDatabase
const all = () => arrivalHours(database.poolOf('oxbow_ingest'), epochMs(0), epochMs(NOON * 2))

beforeAll(async () => { database = await testDatabase('bus') })
afterAll(() => database?.drop())

test('readings are counted by the hour in which they arrived, over any number of flushes', async () => {
  const counters = createArrivalCounters({ pool: database.poolOf('oxbow_ingest'), everyMs: 1_000_000 })
  counters.accepted(epochMs(NOON), 10)
  counters.accepted(epochMs(NOON + HOUR - 1), 5)
  await counters.flush()
  counters.accepted(epochMs(NOON + HOUR), 1)
  counters.accepted(epochMs(NOON), 1)
  await counters.close()
  expect((await all()).map(({ hour, received, accepted }) => [hour, received, accepted])).toEqual([[NOON, 16, 16], [NOON + HOUR, 1, 1]])
})

test('a flush that fails loses nothing', async () => {
  const pool = database.poolOf('oxbow_ingest')
  const broken = new Proxy(pool, { get: (target, name) => name === 'connect' ? async () => { throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' }) } : Reflect.get(target, name) })
  let isDown = true
  const counters = createArrivalCounters({ pool: new Proxy(pool, { get: (target, name) => Reflect.get(isDown ? broken : target, name) }), everyMs: 1_000_000 })
  counters.accepted(epochMs(NOON), 2)
  await expect(counters.flush()).rejects.toThrowError(expect.objectContaining({ code: 'STORE_UNAVAILABLE' }))
  isDown = false
  counters.accepted(epochMs(NOON), 3)
  await counters.flush()
  expect((await all())[0]!.accepted).toBe(21)
})

test('after a crash the number of the series store is taken where it is larger', async () => {
  const counters = createArrivalCounters({ pool: database.poolOf('oxbow_ingest'), everyMs: 1_000_000 })
  await counters.settle(async () => new Map([[epochMs(NOON), 30], [epochMs(NOON + HOUR), 0], [epochMs(NOON + 2 * HOUR), 4]]))
  expect((await all()).map(({ accepted }) => accepted)).toEqual([30, 1, 4])
})

test('readings counted and not yet written are not counted twice when a crash is made up for', async () => {
  const counters = createArrivalCounters({ pool: database.poolOf('oxbow_ingest'), everyMs: 1_000_000 })
  counters.accepted(epochMs(NOON), 7)
  await counters.settle(async () => {
    counters.accepted(epochMs(NOON), 3)
    return new Map([[epochMs(NOON), 37]])
  })
  await counters.flush()
  expect((await all())[0]!.accepted).toBe(40)
})
