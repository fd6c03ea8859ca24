import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { epochMs } from '../../../../../src/model/units.ts'
import type { Bus } from '../../../../../src/platform/bus/bus.ts'
import { type EmbeddedBusOptions, openEmbeddedBus } from '../../../../../src/platform/bus/embedded/embedded-bus.ts'
import { type BusStore, describeBus } from '../../../../support/bus.contract.ts'
import { asAdmin, type TestDatabase, testDatabase } from '../../../../support/postgres.ts'

async function createStore (): Promise<BusStore> {
  const database = await testDatabase('bus')
  const opened: Bus[] = []
  return {
    open: async ({ now = Date.now, ...settings }) => {
      const bus = await openEmbeddedBus({ url: database.url, retentionEveryMs: 50, now: () => epochMs(now()), ...settings })
      opened.push(bus)
      return bus
    },
    drop: async () => {
      await Promise.all(opened.map(bus => bus.close()))
      await database.drop()
    }
  }
}

describeBus('embedded bus', createStore)

const A = 'test.a.v1'
const value = (text: string) => Buffer.from(text)
const fromStart = async (partitions: readonly number[]) => new Map(partitions.map(partition => [partition, 0]))

describe('embedded bus in PostgreSQL', () => {
  let database: TestDatabase
  const opened: Bus[] = []
  beforeEach(async () => { database = await testDatabase('bus') })
  afterEach(async () => {
    await Promise.all(opened.splice(0).map(bus => bus.close()))
    await database.drop()
  })
  async function open (options: Partial<EmbeddedBusOptions> = {}): Promise<Bus> {
    const bus = await openEmbeddedBus({ url: database.url, topics: [{ topic: A, partitions: 1 }], now: () => epochMs(Date.now()), ...options })
    opened.push(bus)
    return bus
  }
  const consumeFrom = (bus: Bus, offset = 0) => bus.consume({ topic: A, partitions: [0], resumeFrom: async () => new Map([[0, offset]]) })
  const breakConnections = () => asAdmin(admin => admin.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = $2', [new URL(database.url).pathname.slice(1), 'oxbow_bus']))

  test('what is published at once is one row per partition', async () => {
    const bus = await open()
    await Promise.all(Array.from({ length: 100 }, (_, index) => bus.publish([{ topic: A, key: `${index}`, value: value('x') }])))
    const { rows } = await database.owner.query('SELECT count(*) AS rows, sum(record_count)::int AS records FROM bus.batch')
    expect(rows).toEqual([{ rows: 1, records: 100 }])
  })

  test('a commit holds no more than its limits, and one heavy publish goes alone', async () => {
    const bus = await open({ commitRecordsMax: 10, commitBytesMax: 1_000 })
    const single = Array.from({ length: 25 }, () => bus.publish([{ topic: A, key: 'k', value: value('x') }]))
    const heavy = bus.publish(Array.from({ length: 30 }, () => ({ topic: A, key: 'k', value: Buffer.alloc(500) })))
    await Promise.all([...single, heavy])
    const { rows } = await database.owner.query<{ record_count: number }>('SELECT record_count FROM bus.batch ORDER BY first_offset')
    expect(rows.map(row => row.record_count)).toEqual([10, 10, 5, 30])
  })

  test('a consumer in the process of the publisher is served from memory', async () => {
    const bus = await open()
    const consumer = await consumeFrom(bus)
    await database.owner.query('REVOKE SELECT ON bus.batch FROM oxbow_bus')
    await bus.publish([{ topic: A, key: 'k', value: value('fresh') }])
    expect((await consumer.take(10))[0]?.records.map(record => record.value.toString())).toEqual(['fresh'])
  })

  test('a consumer behind the memory reads from PostgreSQL and misses nothing', async () => {
    const bus = await open({ tailBytesMax: 2_000 })
    const consumer = await consumeFrom(bus)
    for (let index = 0; index < 50; index++) await bus.publish([{ topic: A, key: 'k', value: Buffer.alloc(100, index) }])
    const seen: number[] = []
    while (seen.length < 50) for (const batch of await consumer.take(7)) seen.push(...batch.records.map(record => record.value[0]!))
    expect(seen).toEqual(Array.from({ length: 50 }, (_, index) => index))
  })

  test('a partition has one consumer at a time', async () => {
    const bus = await open()
    await consumeFrom(bus)
    await expect(consumeFrom(bus)).rejects.toMatchObject({ code: 'INTERNAL' })
    await expect(bus.consume({ topic: A, partitions: [1], resumeFrom: fromStart })).rejects.toMatchObject({ code: 'INTERNAL' })
  })

  test('a consumer that could not begin leaves its partition free', async () => {
    const bus = await open()
    await expect(consumeFrom(bus, 7)).rejects.toMatchObject({ code: 'BUS_OFFSET_GONE' })
    await expect(bus.consume({ topic: A, partitions: [0], resumeFrom: async () => { throw new Error('no answer') } })).rejects.toThrow('no answer')
    await consumeFrom(bus)
  })

  test('a queue that is too long answers busy', async () => {
    const bus = await open({ queueBytesMax: 1_000 })
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => bus.publish([{ topic: A, key: 'k', value: Buffer.alloc(800) }])))
    expect(outcomes.map(outcome => outcome.status === 'fulfilled' ? 'ok' : outcome.reason.code)).toEqual(['ok', 'ok', 'BUS_FULL', 'BUS_FULL', 'BUS_FULL'])
  })

  test('broken connections fail at most what is in flight; publisher and consumer go on by themselves', async () => {
    const states: boolean[] = []
    const bus = await open({ onReachable: reachable => states.push(reachable) })
    const consumer = await consumeFrom(bus)
    const acknowledged: string[] = []
    for (let round = 0; round < 10; round++) {
      const publishing = Array.from({ length: 5 }, async (_, index) => {
        const text = `${round}/${index}`
        const outcome = await bus.publish([{ topic: A, key: 'k', value: value(text) }]).catch((error: unknown) => error)
        if (Array.isArray(outcome)) acknowledged.push(text)
        else expect(outcome).toMatchObject({ category: 'unavailable', code: 'STORE_UNAVAILABLE' })
      })
      await breakConnections()
      await Promise.all(publishing)
    }
    await expect.poll(() => bus.publish([{ topic: A, key: 'k', value: value('last') }]).then(() => true, () => false), { timeout: 20_000 }).toBe(true)
    const seen: string[] = []
    while (!seen.includes('last')) for (const batch of await consumer.take(100)) seen.push(...batch.records.map(record => record.value.toString()))
    for (const text of acknowledged) expect(seen).toContain(text)
    await expect.poll(() => states.at(-1), { timeout: 20_000 }).not.toBe(false)
  })

  test('what other processes published while the listener was broken is found', async () => {
    const [here, there] = [await open(), await open()]
    const consumer = await consumeFrom(here)
    const waiting = consumer.take(10)
    await breakConnections()
    await expect.poll(() => there.publish([{ topic: A, key: 'k', value: value('x') }]).then(() => true, () => false), { timeout: 20_000 }).toBe(true)
    expect(await waiting).toHaveLength(1)
  })

  test('the login of the quarantine cannot read or write the bus', async () => {
    const ingest = database.poolOf('oxbow_ingest')
    for (const table of ['topic', 'partition', 'batch']) await expect(ingest.query(`SELECT FROM bus.${table}`)).rejects.toMatchObject({ code: '42501' })
  })

  test('the server cannot change what was appended', async () => {
    await expect(database.pool.query('UPDATE bus.batch SET record_count = 1')).rejects.toMatchObject({ code: '42501' })
    await expect(database.pool.query('TRUNCATE bus.batch')).rejects.toMatchObject({ code: '42501' })
  })
})
