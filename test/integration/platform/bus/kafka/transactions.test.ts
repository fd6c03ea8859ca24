/** Transactions of others: on our topics, where nobody has any business to write, and on their own. */

import { randomBytes } from 'node:crypto'
import kafkajs from 'kafkajs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { epochMs } from '../../../../../src/model/units.ts'
import { openKafkaBus } from '../../../../../src/platform/bus/kafka/kafka-bus.ts'
import { openTopicSource } from '../../../../../src/platform/bus/kafka/topic-source.ts'
import { anyBroker, type Broker } from '../../../../support/kafka.ts'
import { missingKafka } from '../../../../support/missing-kafka.ts'

const missing = missingKafka()

describe.skipIf(missing !== undefined)(`transactions on a real Kafka${missing === undefined ? '' : ` (${missing})`}`, () => {
  let broker: Broker
  let client: kafkajs.Kafka
  let admin: kafkajs.Admin
  beforeAll(async () => {
    broker = await anyBroker()
    client = new kafkajs.Kafka({ brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING })
    admin = client.admin()
    await admin.connect()
  }, 300_000)
  afterAll(async () => {
    await admin?.disconnect()
    await broker?.stop()
  })
  const newName = () => `test-${randomBytes(6).toString('hex')}`

  const end = async (topic: string) => Number((await admin.fetchTopicOffsets(topic))[0]!.high)

  /** Each value a record of one transaction; its mark is there when it resolves. */
  async function transact (topic: string, values: readonly (string | Buffer)[], how: 'commit' | 'abort'): Promise<void> {
    const before = await end(topic)
    const producer = client.producer({ transactionalId: randomBytes(6).toString('hex'), maxInFlightRequests: 1, idempotent: true })
    await producer.connect()
    const transaction = await producer.transaction()
    for (const value of values) await transaction.send({ topic, messages: [{ partition: 0, value }] })
    await transaction[how]()
    await producer.disconnect()
    // Written once the coordinator has answered.
    await expect.poll(() => end(topic), { timeout: 20_000 }).toBe(before + values.length + 1)
  }

  test('on a topic of ours each of their offsets is a record that is none of ours, and what follows is read', async () => {
    const [prefix, topic] = [`${newName()}.`, 'test.v1']
    const bus = await openKafkaBus({ connection: { brokers: [broker.address] }, prefix, replicationFactor: 1, topics: [{ topic, partitions: 1 }], now: () => epochMs(Date.now()) })
    const ours = (value: string) => bus.publish([{ topic, key: 'k', value: Buffer.from(value) }])
    await ours('0')
    await transact(prefix + topic, ['strange'], 'commit')
    await ours('3')
    await transact(prefix + topic, ['given up', 'too'], 'abort')
    await ours('7')
    await transact(prefix + topic, Array.from({ length: 15 }, () => randomBytes(100_000)), 'abort')
    const seen: string[] = []
    let next = 0
    // Also begun anew in the middle, and with nothing behind the last mark.
    for (const until of [2, 6, 24]) {
      const consumer = await bus.consume({ topic, partitions: [0], resumeFrom: async () => new Map([[0, next]]) })
      while (next < until) {
        for (const { firstOffset, nextOffset, records } of await consumer.take(until - next, AbortSignal.timeout(20_000))) {
          expect([firstOffset, records.length]).toEqual([next, nextOffset - firstOffset])
          next = nextOffset
          seen.push(...records.map(({ key, value }) => `${key}${Buffer.from(value).toString()}`))
        }
      }
      await consumer.close()
    }
    expect(seen).toEqual(['k0', 'strange', '', 'k3', '', '', '', 'k7', ...Array.from({ length: 16 }, () => '')])
    await bus.close()
  }, 120_000)

  test('on their own topic one that was given up is passed over, however large, and what follows is read', async () => {
    const topic = newName()
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] })
    const plain = client.producer()
    await plain.connect()
    await plain.send({ topic, messages: [{ value: 'first' }] })
    await transact(topic, Array.from({ length: 30 }, () => randomBytes(100_000)), 'abort')
    await plain.send({ topic, messages: [{ value: 'second' }] })
    await plain.disconnect()
    const source = await openTopicSource({ connection: { brokers: [broker.address] }, topic, groupId: `group-${topic}`, resumeFrom: async () => new Map(), onLost: async () => {}, signal: new AbortController().signal })
    const seen: string[] = []
    while (seen.length < 2) for (const { records } of await source.take(10, AbortSignal.timeout(20_000))) seen.push(...records.map(({ offset, value }) => `${offset} ${Buffer.from(value).toString()}`))
    expect(seen).toEqual(['0 first', '32 second'])
    await source.close()
  }, 120_000)
})
