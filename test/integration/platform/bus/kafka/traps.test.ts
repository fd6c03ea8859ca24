/** What is known to go wrong with the client or the cluster, each once, on a broker of the test's own (docs/decisions/0009). */

import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { zstdCompressSync } from 'node:zlib'
import kafkajs from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { epochMs } from '../../../../../src/model/units.ts'
import type { Bus, BusConsumer, ConsumerOptions } from '../../../../../src/platform/bus/bus.ts'
import { createKafkaClient } from '../../../../../src/platform/bus/kafka/client.ts'
import { type KafkaBusOptions, openKafkaBus } from '../../../../../src/platform/bus/kafka/kafka-bus.ts'
import { wishedPartitions } from '../../../../../src/platform/bus/kafka/wished-partitions.ts'
import { type OwnBroker, startBroker } from '../../../../support/kafka.ts'
import { type LossyProxy, startLossyProxy } from '../../../../support/lossy-proxy.ts'
import { missingBroker } from '../../../../support/missing-kafka.ts'
import { freePort } from '../../../../../src/platform/postgres/postmaster.ts'

const missing = missingBroker()
const TOPIC = 'test.trap.v1'
const PARTITIONS = 4

describe.skipIf(missing !== undefined)(`traps of Kafka and its client${missing === undefined ? '' : ` (${missing})`}`, () => {
  let broker: OwnBroker
  let proxy: LossyProxy
  let direct = 0
  const opened: Bus[] = []
  beforeAll(async () => {
    direct = await freePort()
    proxy = await startLossyProxy(() => direct)
    // The listener that clients of the proxy find sends them to the proxy again.
    broker = await startBroker({
      properties: (port, controller) => [
        `listeners=PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${direct},CONTROLLER://127.0.0.1:${controller}`,
        `advertised.listeners=PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${proxy.port}`,
        'listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT'
      ]
    })
  }, 300_000)
  afterEach(async () => { await Promise.all(opened.splice(0).map(bus => bus.close())) })
  afterAll(async () => {
    await broker.stop()
    await proxy.close()
  })

  const newPrefix = () => `trap-${randomBytes(6).toString('hex')}.`
  async function open (prefix: string, options: Partial<KafkaBusOptions> = {}): Promise<Bus> {
    const bus = await openKafkaBus({
      connection: { brokers: [broker.address] }, prefix, replicationFactor: 1, topics: [{ topic: TOPIC, partitions: PARTITIONS }], now: () => epochMs(Date.now()), ...options
    })
    opened.push(bus)
    return bus
  }
  const proxied = () => ({ connection: { brokers: [`127.0.0.1:${proxy.port}`] } })

  test('acknowledged records survive lost answers, once each and in order: 10 answers lost, concurrent callers, batches of equal size', async () => {
    const prefix = newPrefix()
    const bus = await open(prefix, proxied())
    const lostBefore = proxy.lost()
    proxy.lose(10, 3)
    const sent: number[][] = Array.from({ length: 16 }, () => [])
    const callers = sent.map(async (_, caller) => {
      for (let step = 0; proxy.lost() - lostBefore < 10 || step < 40; step++) {
        await bus.publish([{ topic: TOPIC, key: `caller ${caller}`, value: Buffer.from(`${caller}/${String(step).padStart(6, '0')}`) }])
        sent[caller]!.push(step)
      }
    })
    await Promise.all(callers)
    expect(proxy.lost() - lostBefore).toBe(10)
    const taken = await takeCount(await open(prefix), sent.flat().length)
    for (const [caller, steps] of sent.entries()) {
      expect(taken.filter(({ key }) => key === `caller ${caller}`).map(({ value }) => value)).toEqual(steps.map(step => `${caller}/${String(step).padStart(6, '0')}`))
    }
    expect((await (await open(prefix)).ends(TOPIC)).reduce((sum, end) => sum + end, 0)).toBe(sent.flat().length)
  })

  test('acknowledged records survive kills of the broker, once each', async () => {
    const prefix = newPrefix()
    const bus = await open(prefix)
    const acknowledged: string[] = []
    let isOver = false
    const publishing = Promise.all(Array.from({ length: 4 }, async (_, caller) => {
      for (let step = 0; !isOver; step++) {
        await bus.publish([{ topic: TOPIC, key: `${caller}`, value: Buffer.from(`${caller}/${step}`) }])
        acknowledged.push(`${caller}/${step}`)
      }
    }))
    for (let round = 0; round < 2; round++) {
      const before = acknowledged.length
      await expect.poll(() => acknowledged.length, { timeout: 60_000 }).toBeGreaterThan(before + 50)
      await broker.kill()
      await broker.restart()
    }
    const before = acknowledged.length
    await expect.poll(() => acknowledged.length, { timeout: 60_000 }).toBeGreaterThan(before + 50)
    isOver = true
    await publishing
    const values = (await takeCount(await open(prefix), acknowledged.length)).map(({ value }) => value)
    expect(values.toSorted()).toEqual(acknowledged.toSorted())
  }, 240_000)

  test.each([
    ['gzip', kafkajs.CompressionTypes.GZIP], ['snappy', kafkajs.CompressionTypes.Snappy], ['lz4', kafkajs.CompressionTypes.LZ4], ['zstd', kafkajs.CompressionTypes.ZSTD]
  ])('records that others compressed by %s are read byte for byte', async (_name, compression) => {
    const prefix = newPrefix()
    const bus = await open(prefix)
    const values = Array.from({ length: 200 }, (_, n) => Buffer.concat([Buffer.alloc(n, 'a'), randomBytes(n % 50), zstdCompressSync(Buffer.from(`${n}`))]))
    const producer = createKafkaClient({ connection: { brokers: [broker.address] } }).producer({ allowAutoTopicCreation: false })
    await producer.connect()
    await producer.send({ topic: prefix + TOPIC, compression, messages: values.map(value => ({ key: 'k', value, partition: 0 })) })
    await producer.disconnect()
    const consumer = await bus.consume({ topic: TOPIC, partitions: [0], resumeFrom: fromStart })
    const taken: Buffer[] = []
    while (taken.length < values.length) taken.push(...(await consumer.take(1_000)).flatMap(({ records }) => records.map(({ value }) => Buffer.from(value))))
    expect(taken).toEqual(values)
  })

  test('a partition whose records were removed under its reader stops with BUS_OFFSET_GONE, and nothing is skipped', async () => {
    const prefix = newPrefix()
    const bus = await open(prefix)
    await publishTo(bus, 20)
    const consumer = await bus.consume({ topic: TOPIC, partitions: [0, 1, 2, 3], resumeFrom: fromStart })
    expect(flat(await consumer.take(1)).length).toBe(1)
    await consumer.close()
    const admin = createKafkaClient({ connection: { brokers: [broker.address] } }).admin()
    await admin.connect()
    const ends = await admin.fetchTopicOffsets(prefix + TOPIC)
    await admin.deleteTopicRecords({ topic: prefix + TOPIC, partitions: ends.filter(({ high }) => high !== '0').map(({ partition, high }) => ({ partition, offset: high })) })
    await admin.disconnect()
    await expect(bus.consume({ topic: TOPIC, partitions: [0, 1, 2, 3], resumeFrom: fromStart })).rejects.toMatchObject({ code: 'BUS_OFFSET_GONE' })
  })

  test('processes that join and leave under load read every record once, and are told of each change', async () => {
    const prefix = newPrefix()
    const [writer, stayer, guest] = [await open(prefix), await open(prefix), await open(prefix)]
    const store = new Map<number, number>()
    const [seen, seenByGuest]: string[][] = [[], []]
    const told = { changes: 0 }
    const all = () => [...seen!, ...seenByGuest!]
    const over = new AbortController()
    const staying = read(stayer, store, seen!, told, over.signal)
    let sent = 0
    const publishing = (async () => { while (!over.signal.aborted) sent += await publishTo(writer, 10) })()
    try {
      await expect.poll(() => seen!.length, { timeout: 20_000 }).toBeGreaterThan(100)
      for (let round = 0; round < 3; round++) {
        const visit = new AbortController()
        const visiting = read(guest, store, seenByGuest!, told, AbortSignal.any([visit.signal, over.signal]))
        const before = seenByGuest!.length
        await expect.poll(() => seenByGuest!.length, { timeout: 20_000 }).toBeGreaterThan(before + 100)
        // The one that stays had to give some up, and gets them back.
        await expect.poll(() => told.changes, { timeout: 20_000 }).toBeGreaterThanOrEqual(2 * round + 1)
        visit.abort()
        await visiting
        await expect.poll(() => told.changes, { timeout: 20_000 }).toBeGreaterThanOrEqual(2 * (round + 1))
      }
    } finally {
      over.abort()
      await publishing
      await staying
    }
    const rest = await open(prefix)
    await read(rest, store, seen!, told, AbortSignal.timeout(3_000))
    expect(all()).toHaveLength(sent)
    expect(new Set(all()).size).toBe(sent)
  }, 240_000)

  test('who waits for a group that misses a member is let go at once', async () => {
    const prefix = newPrefix()
    const bus = await open(prefix)
    await bus.publish([{ topic: TOPIC, key: 'k', value: Buffer.from('x') }])
    // Holds its partitions and does not come to the next joining.
    const client = createKafkaClient({ connection: { brokers: [broker.address] } })
    const groupId = `${prefix}${TOPIC}.readers`
    const absent = client.consumer({
      groupId, sessionTimeout: 120_000, rebalanceTimeout: 120_000,
      partitionAssigners: [wishedPartitions(prefix + TOPIC, () => ({ partitions: [0, 1, 2, 3], has: [] }))]
    })
    await absent.connect()
    await absent.subscribe({ topic: prefix + TOPIC, fromBeginning: true })
    const [held, letGo] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    await absent.run({ eachBatch: async () => { held.resolve(); await letGo.promise } })
    await held.promise
    const enough = new AbortController()
    const opening = bus.consume({ topic: TOPIC, partitions: [0, 1, 2, 3], resumeFrom: fromStart, signal: enough.signal })
    const admin = client.admin()
    await admin.connect()
    await expect.poll(async () => (await admin.describeGroups([groupId])).groups[0]!.state, { timeout: 20_000 }).toBe('PreparingRebalance')
    await admin.disconnect()
    enough.abort()
    const consumer = await opening
    expect(await consumer.take(10)).toEqual([])
    await consumer.close()
    letGo.resolve()
    await absent.disconnect()
  })

  test('a cluster that does not answer for a while loses nothing, and says so meanwhile', async () => {
    const prefix = newPrefix()
    const states: boolean[] = []
    const bus = await open(prefix, { onReachable: reachable => { states.push(reachable) } })
    const consumer = await bus.consume({ topic: TOPIC, partitions: [0, 1, 2, 3], resumeFrom: fromStart })
    broker.freeze()
    const publishing = bus.publish([{ topic: TOPIC, key: 'k', value: Buffer.from('during') }])
    await expect.poll(() => states.at(-1), { timeout: 30_000 }).toBe(false)
    broker.thaw()
    await publishing
    expect(flat(await consumer.take(10)).map(({ value }) => value)).toEqual(['during'])
    await expect.poll(() => states.at(-1), { timeout: 30_000 }).toBe(true)
  })

  test('a bus and its consumers close while the cluster stands still', async () => {
    const bus = await open(newPrefix())
    await bus.consume({ topic: TOPIC, partitions: [0, 1, 2, 3], resumeFrom: fromStart })
    broker.freeze()
    const publishing = bus.publish([{ topic: TOPIC, key: 'k', value: Buffer.from('x') }])
    await Promise.all([expect(publishing).rejects.toMatchObject({ category: 'unavailable' }), bus.close()])
    broker.thaw()
  })

  test('a publish that the cluster does not acknowledge in time is told so, and the record may still be there', async () => {
    const prefix = newPrefix()
    const bus = await open(prefix, { publishTimeoutMs: 500 })
    broker.freeze()
    await expect(bus.publish([{ topic: TOPIC, key: 'k', value: Buffer.from('late') }])).rejects.toMatchObject({ category: 'unavailable', code: 'STORE_UNAVAILABLE' })
    broker.thaw()
    expect((await takeCount(bus, 1)).map(({ value }) => value)).toEqual(['late'])
  })

  test('an idle bus arms few timers, and the client prints no warning of one', async () => {
    const warnings: string[] = []
    const onWarning = ({ name }: Error): void => { warnings.push(name) }
    process.on('warning', onWarning)
    const bus = await open(newPrefix())
    const consumer = await bus.consume({ topic: TOPIC, partitions: [0, 1, 2, 3], resumeFrom: fromStart })
    await publishTo(bus, 1)
    await consumer.take(10)
    const original = globalThis.setTimeout
    let armed = 0
    globalThis.setTimeout = Object.assign((...args: Parameters<typeof setTimeout>) => { armed++; return original(...args) }, original) as typeof setTimeout
    const seconds = 3
    await delay(seconds * 1_000)
    globalThis.setTimeout = original
    process.off('warning', onWarning)
    expect(armed / seconds).toBeLessThan(10)
    expect(warnings.filter(name => name === 'TimeoutNegativeWarning')).toEqual([])
  })

  test('a cluster that is not there, or is none, is an error that says so', async () => {
    await expect(open(newPrefix(), { connection: { brokers: [`127.0.0.1:${await freePort()}`] } })).rejects.toMatchObject({ category: 'unavailable', code: 'STORE_UNAVAILABLE', message: expect.stringMatching(/^Kafka cannot be used: .*ECONNREFUSED/) })
  })
})

type Taken = { partition: number, offset: number, key: string, value: string }

const fromStart: ConsumerOptions['resumeFrom'] = async () => new Map()

function flat (batches: Awaited<ReturnType<BusConsumer['take']>>): Taken[] {
  return batches.flatMap(({ partition, records }) => records.map(({ offset, key, value }) => ({ partition, offset, key, value: Buffer.from(value).toString() })))
}

let published = 0

/** @returns how many */
async function publishTo (bus: Bus, count: number): Promise<number> {
  await bus.publish(Array.from({ length: count }, (_, n) => ({ topic: TOPIC, key: `key ${n}`, value: Buffer.from(`${published++}`) })))
  return count
}

async function takeCount (bus: Bus, count: number): Promise<Taken[]> {
  const consumer = await bus.consume({ topic: TOPIC, partitions: [0, 1, 2, 3], resumeFrom: fromStart })
  const taken: Taken[] = []
  while (taken.length < count) taken.push(...flat(await consumer.take(1_000)))
  await consumer.close()
  return taken
}

/** As a runner does: what is taken is stored with the offset behind it, exactly where the last one ended, or not at all. */
async function read (bus: Bus, store: Map<number, number>, seen: string[], told: { changes: number }, signal: AbortSignal): Promise<void> {
  const consumer = await bus.consume({ topic: TOPIC, partitions: [0, 1, 2, 3], resumeFrom: async partitions => new Map(partitions.map(partition => [partition, store.get(partition) ?? 0])) })
  while (!signal.aborted) {
    try {
      for (const { partition, firstOffset, nextOffset, records } of await consumer.take(50, signal)) {
        if ((store.get(partition) ?? 0) !== firstOffset) continue
        store.set(partition, nextOffset)
        seen.push(...records.map(({ value }) => Buffer.from(value).toString()))
        consumer.release(partition, nextOffset)
      }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'BUS_REASSIGNED')) throw error
      told.changes++
    }
  }
  await consumer.close()
}
