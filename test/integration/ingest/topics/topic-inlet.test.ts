/** Topics that devices write to, on a real broker: what is on them is on our bus, once and in order, or in quarantine with its offset. */

import { setTimeout as delay } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { TopicSetting } from '../../../../src/config/schema.ts'
import type { Ingest } from '../../../../src/ingest/open-ingest.ts'
import { startTopicInlet, type TopicInlet, type TopicInletParts } from '../../../../src/ingest/topics/topic-inlet.ts'
import { createTopicOffsets, type TopicOffsets } from '../../../../src/ingest/topics/topic-offsets.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { registerCodecs } from '../../../../src/platform/bus/kafka/codecs.ts'
import { openTopicSource } from '../../../../src/platform/bus/kafka/topic-source.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { type Broker, anyBroker } from '../../../support/kafka.ts'
import { missingKafka } from '../../../support/missing-kafka.ts'
import { framedV1, framedV2, json, sentV1, sentV2, TAKEN_AT, V1_TYPE } from '../../../support/telemetry.ts'

const missing = missingKafka()
const DEVICES = ['worn-1', 'worn-2', 'worn-3']
const PARTITIONS = 3

describe.skipIf(missing !== undefined)(`inlet from topics${missing === undefined ? '' : ` (${missing})`}`, () => {
  let broker: Broker
  let client: kafkajs.Kafka
  let admin: kafkajs.Admin
  let producer: kafkajs.Producer
  let system: IngestSystem
  let ingest: Ingest
  let topic = ''
  let round = 0
  const inlets: TopicInlet[] = []
  const counted = new Map<number, number>()

  beforeAll(async () => {
    registerCodecs()
    broker = await anyBroker()
    client = new kafkajs.Kafka({ brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING })
    admin = client.admin()
    producer = client.producer()
    await Promise.all([admin.connect(), producer.connect()])
  }, 300_000)
  afterAll(async () => {
    await Promise.all([admin.disconnect(), producer.disconnect()])
    await broker.stop()
  })
  beforeEach(async () => {
    system = await ingestSystem()
    for (const deviceId of DEVICES) {
      system.registered.add(deviceId)
      system.worn.push({ deviceId, sid: drawSid(), from: TAKEN_AT - 3_600_000 })
    }
    ingest = await system.open()
    await ingest.releaser.start()
    topic = `vendor-${process.pid}-${++round}`
    counted.clear()
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }] })
  })
  afterEach(async () => {
    await Promise.all(inlets.splice(0).map(inlet => inlet.close()))
    await system.close()
  })

  const offsets = (): TopicOffsets => createTopicOffsets(system.pool)
  function start (setting: Partial<TopicSetting> = {}, change: Partial<TopicInletParts> = {}): TopicInlet {
    const inlet = startTopicInlet({
      setting: { topic, content: 'json', ...setting },
      open: reader => openTopicSource({ ...reader, connection: { brokers: [broker.address] }, groupId: `inlet.${topic}` }),
      offsets: offsets(),
      acceptMessages: ingest.acceptMessages,
      events: {
        raise: alarm => { system.raised.push(alarm) }, clear: alarm => { system.raised.push(`over ${alarm}`) },
        arrivedFrom: (_topic, partition, messages) => { counted.set(partition, (counted.get(partition) ?? 0) + messages) }
      },
      now: () => epochMs(Date.now()),
      times: { retryMs: 20, retryMaxMs: 100, lookMs: 200 },
      ...change
    })
    inlets.push(inlet)
    return inlet
  }
  const at = (second: number) => TAKEN_AT - 600_000 + second * 1_000
  const reading = (deviceId: string, second: number) => sentV1({ deviceId, timestamp_utc: at(second) })
  async function send (messages: readonly kafkajs.Message[], compression?: kafkajs.CompressionTypes): Promise<void> {
    await producer.send({ topic, messages: [...messages], ...(compression === undefined ? {} : { compression }) })
  }
  /** Until everything on the topic has been taken in. */
  async function takenIn (): Promise<void> {
    const ends = await admin.fetchTopicOffsets(topic)
    await expect.poll(async () => {
      const read = await offsets().read(topic)
      return ends.filter(({ partition, low, high }) => high !== low && (read.get(partition)?.next ?? 0) < Number(high))
    }, { timeout: 30_000 }).toEqual([])
  }
  const times = async () => Map.groupBy((await system.batches()).flatMap(batch => batch.readings.map(({ takenAt }) => ({ sid: batch.sid, takenAt }))), ({ sid }) => sid)
  const items = () => ingest.review.list({ limit: 1_000 })

  test('messages of every content and codec arrive once, each device in its order, with the offset they came at', async () => {
    const { CompressionTypes: codec } = kafkajs
    start({ content: 'confluent' })
    const codecs = [codec.None, codec.GZIP, codec.Snappy, codec.LZ4, codec.ZSTD]
    for (const [place, compression] of codecs.entries()) {
      await send(DEVICES.flatMap(deviceId => [
        { key: deviceId, value: framedV1([reading(deviceId, 10 * place), reading(deviceId, 10 * place + 1)]) },
        { key: deviceId, value: framedV2([sentV2({ deviceId, timestamp_utc: at(10 * place + 2) })]) }
      ]), compression)
    }
    await takenIn()
    const bySid = await times()
    // On a machine so slow that the group misses its only member a batch comes again; the series store suppresses it by identity.
    expect([...bySid.values()].map(list => [...new Set(list.map(({ takenAt }) => takenAt))])).toEqual(DEVICES.map(() => codecs.flatMap((_codec, place) => [0, 1, 2].map(second => at(10 * place + second)))))
    const origins = (await system.rawFrames()).flatMap(({ origins: list }) => list)
    expect(origins.every(({ inlet, records }) => inlet.startsWith(`kafka/${topic}/`) && (records === 1 || records === 2))).toBe(true)
    const positions = origins.map(({ inlet, number }) => `${inlet}/${number}`)
    expect(new Set(positions).size).toBe(codecs.length * DEVICES.length * 2)
    expect([...counted.values()].reduce((all, count) => all + count)).toBeGreaterThanOrEqual(codecs.length * DEVICES.length * 2)
    expect(await items()).toEqual([])
  })

  test('poison in the middle is quarantined under its offset, and what follows goes on', async () => {
    start({ content: 'confluent' })
    const poison = [Buffer.from('no frame'), Buffer.concat([Buffer.from([0, 0, 0, 0, 99]), Buffer.from('unknown schema')]), framedV1([reading('worn-1', 1)]).subarray(0, 9), Buffer.alloc(0), null]
    await send([{ key: 'worn-1', value: framedV1([reading('worn-1', 0)]) }, ...poison.map(value => ({ key: 'worn-1', value })), { key: 'worn-1', value: framedV1([reading('worn-1', 2)]) }])
    await takenIn()
    expect([...(await times()).values()].map(list => list.map(({ takenAt }) => takenAt))).toEqual([[at(0), at(2)]])
    const found = await items()
    expect(found.map(({ reason }) => reason)).toEqual(['malformed', 'schema-unknown', 'malformed', 'malformed'])
    // A message without a value and an empty one are the same bytes: one item, seen twice.
    expect(found.map(({ source, timesSeen }) => [source.replace(/^kafka\/[^/]+\/\d\//, ''), timesSeen])).toEqual([['1', 1], ['2', 1], ['3', 1], ['4', 2]])
  })

  test('plain Avro and JSON are read by the schema that the header names, else by that of the setting', async () => {
    start({ content: 'avro', schemaId: 2 })
    await send([
      { key: 'worn-1', value: V1_TYPE.toBuffer(reading('worn-1', 0)), headers: { 'Oxbow-Schema-Id': '1' } },
      { key: 'worn-1', value: framedV2([sentV2({ deviceId: 'worn-1', timestamp_utc: at(1) })]).subarray(5) },
      { key: 'worn-1', value: V1_TYPE.toBuffer(reading('worn-1', 2)), headers: { 'oxbow-schema-id': '77' } },
      // What is no id is no reason to take the schema of the setting; and too large a one stops nothing.
      ...['2 ', '', 'v2', '4294967295', '9999999999', Buffer.from([0, 0, 0, 2])].map((id, place) => ({
        key: 'worn-1', value: framedV2([sentV2({ deviceId: 'worn-1', timestamp_utc: at(10 + place) })]).subarray(5), headers: { 'oxbow-schema-id': id }
      })),
      { key: 'worn-1', value: framedV2([sentV2({ deviceId: 'worn-1', timestamp_utc: at(3) })]).subarray(5) }
    ])
    await takenIn()
    expect([...(await times()).values()].flat().map(({ takenAt }) => takenAt)).toEqual([at(0), at(1), at(3)])
    expect((await items()).map(({ reason }) => reason)).toEqual(Array.from({ length: 7 }, () => 'schema-unknown'))
  })

  test('a server that ends between the append and the offset takes the batch in again, and nothing else', async () => {
    const failing = { ...offsets(), advance: async () => { throw new Error('the process is gone') } }
    start({}, { offsets: failing })
    await send([{ key: 'worn-1', value: json([reading('worn-1', 0), sentV1({ deviceId: 'nobody', timestamp_utc: at(0) })]) }])
    await expect.poll(async () => (await system.batches()).length, { timeout: 30_000 }).toBe(1)
    await expect.poll(() => system.raised.includes('inlet-stopped')).toBe(true)
    await inlets.pop()!.close()
    expect(await offsets().read(topic)).toEqual(new Map())
    start()
    await takenIn()
    // The series store suppresses the second by its identity.
    expect((await system.batches()).flatMap(({ readings }) => readings).map(({ takenAt }) => takenAt)).toEqual([at(0), at(0)])
    expect((await items()).map(({ reason }) => reason)).toEqual(['device-unknown'])
  })

  test('records that were removed before they were read are put on record, and reading goes on behind them', async () => {
    const first = start()
    await send([{ partition: 0, key: 'worn-1', value: json(reading('worn-1', 0)) }])
    await takenIn()
    await first.close()
    await send([1, 2, 3].map(second => ({ partition: 0, key: 'worn-1', value: json(reading('worn-1', second)) })))
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] })
    start()
    await takenIn()
    expect((await system.batches()).flatMap(({ readings }) => readings).map(({ takenAt }) => takenAt)).toEqual([at(0), at(3)])
    expect(system.raised).toContain('inlet-lost')
    expect((await system.pool.query('SELECT partition, from_offset, until_offset FROM ingest.topic_lost')).rows).toEqual([{ partition: 0, from_offset: 1, until_offset: 3 }])
  })

  test('records that are removed under a reader that waits are put on record too', async () => {
    const [reached, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const acceptMessages: Ingest['acceptMessages'] = async messages => {
      reached.resolve()
      await go.promise
      return ingest.acceptMessages(messages)
    }
    // Each message is larger than what may be held, so that the rest stays on the topic.
    const wide = (second: number) => ({ partition: 0, key: 'worn-1', value: Buffer.concat([json(reading('worn-1', second)), Buffer.alloc(3_000, ' ')]) })
    start({}, { acceptMessages, open: source => openTopicSource({ ...source, bytesMax: 4_000, connection: { brokers: [broker.address] }, groupId: `inlet.${topic}` }) })
    for (let second = 0; second < 20; second++) await send([wide(second)])
    await reached.promise
    // The client knows the leaders of a topic only once it has asked for its offsets.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '18' }] })
    go.resolve()
    await takenIn()
    const taken = [...new Set((await system.batches()).flatMap(({ readings }) => readings).map(({ takenAt }) => (takenAt - at(0)) / 1_000))]
    const { rows } = await system.pool.query<{ from: number, until: number }>('SELECT from_offset AS "from", until_offset AS until FROM ingest.topic_lost')
    expect(rows).toEqual([{ from: taken.length - 2, until: 18 }])
    expect(taken).toEqual([...Array.from({ length: rows[0]!.from }, (_, second) => second), 18, 19])
    expect(system.raised).toContain('inlet-lost')
  })

  test('what stands at the offsets of a topic that was made anew is new', async () => {
    const first = start()
    await send([{ partition: 0, key: 'worn-1', value: Buffer.from('poison one') }, { partition: 0, key: 'worn-1', value: json(reading('worn-1', 0)) }])
    await takenIn()
    await first.close()
    const anew = new kafkajs.Kafka({ brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING })
    const [later, maker] = [anew.producer(), anew.admin()]
    await maker.connect()
    await maker.deleteTopics({ topics: [topic] })
    await expect.poll(() => maker.listTopics(), { timeout: 20_000 }).not.toContain(topic)
    await maker.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }] })
    await later.connect()
    await expect.poll(() => later.send({ topic, messages: [{ partition: 0, key: 'worn-1', value: Buffer.from('another poison') }] }).then(() => true, () => false), { timeout: 20_000 }).toBe(true)
    start()
    await expect.poll(async () => (await items()).length, { timeout: 30_000 }).toBe(2)
    expect((await items()).map(({ source }) => source)).toEqual([`kafka/${topic}/0/0`, `kafka/${topic}~1/0/0`])
    expect(system.raised).toContain('inlet-lost')
    await Promise.all([later.disconnect(), maker.disconnect()])
  })

  test('partitions that are added are read', async () => {
    start()
    await send([{ partition: 0, key: 'worn-1', value: json(reading('worn-1', 0)) }])
    await takenIn()
    await admin.createPartitions({ topicPartitions: [{ topic, count: PARTITIONS + 1 }] })
    const later = client.producer({ metadataMaxAge: 100 })
    await later.connect()
    await expect.poll(() => later.send({ topic, messages: [{ partition: PARTITIONS, key: 'worn-2', value: json(reading('worn-2', 0)) }] }).then(() => 'sent', () => 'refused'), { timeout: 20_000 }).toBe('sent')
    await later.disconnect()
    await expect.poll(async () => (await offsets().read(topic)).get(PARTITIONS)?.next, { timeout: 40_000 }).toBe(1)
  })

  test('a bus that is full is waited for, in order', async () => {
    let fullFor = 3
    const acceptMessages: Ingest['acceptMessages'] = async messages => {
      if (fullFor-- > 0) throw Object.assign(new Error('full'), { code: 'BUS_FULL', category: 'busy' })
      return ingest.acceptMessages(messages)
    }
    start({}, { acceptMessages })
    await send([0, 1, 2].map(second => ({ key: 'worn-1', value: json(reading('worn-1', second)) })))
    await takenIn()
    expect((await system.batches()).flatMap(({ readings }) => readings).map(({ takenAt }) => takenAt)).toEqual([at(0), at(1), at(2)])
    expect(system.raised.at(-1)).toBe('over inlet-stopped')
  })

  test('one that joins and leaves under load: every reading once, each device in order', async () => {
    start()
    let second = 0
    for (let visit = 0; visit < 3; visit++) {
      for (let burst = 0; burst < 20; burst++) await send(DEVICES.map(deviceId => ({ key: deviceId, value: json(reading(deviceId, second + burst)) })))
      second += 20
      const guest = start()
      await send(DEVICES.map(deviceId => ({ key: deviceId, value: json(reading(deviceId, second)) })))
      second += 1
      await delay(0)
      await guest.close()
      inlets.pop()
    }
    await takenIn()
    const seen = [...(await times()).values()].map(list => [...new Set(list.map(({ takenAt }) => takenAt))])
    expect(seen).toEqual(DEVICES.map(() => Array.from({ length: second }, (_, place) => at(place))))
  })
})
