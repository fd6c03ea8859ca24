import { randomBytes } from 'node:crypto'
import kafkajs, { type Admin } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { topicsVerb } from '../../../../../src/cli/topics.ts'
import { loadConfig } from '../../../../../src/config/load.ts'
import { RAW, READINGS } from '../../../../../src/model/streams.ts'
import { epochMs } from '../../../../../src/model/units.ts'
import { createKafkaClient } from '../../../../../src/platform/bus/kafka/client.ts'
import { applyTopics, beginsOf, compareTopics, endsOf } from '../../../../../src/platform/bus/kafka/govern-topics.ts'
import { anyBroker, type Broker } from '../../../../support/kafka.ts'
import { missingKafka } from '../../../../support/missing-kafka.ts'

const missing = missingKafka()

describe.skipIf(missing !== undefined)(`our topics on Kafka${missing === undefined ? '' : ` (${missing})`}`, () => {
  let broker: Broker
  let admin: Admin
  beforeAll(async () => {
    broker = await anyBroker()
    admin = createKafkaClient({ connection: { brokers: [broker.address] } }).admin()
    await admin.connect()
  }, 300_000)
  afterAll(async () => {
    await admin.disconnect()
    await broker.stop()
  })

  const newPrefix = () => `govern-${randomBytes(6).toString('hex')}.`
  const environment = (prefix: string, env: Record<string, string> = {}) => ({
    OXBOW_BUS_KIND: 'kafka', OXBOW_KAFKA_BROKERS: broker.address, OXBOW_KAFKA_TOPIC_PREFIX: prefix, OXBOW_KAFKA_REPLICATION_FACTOR: '1', OXBOW_BUS_PARTITIONS: '3', ...env
  })
  const configOf = (prefix: string, env: Record<string, string> = {}) => loadConfig(environment(prefix, env))
  const made = (prefix: string, topic: string, configEntries: { name: string, value: string }[]) =>
    admin.createTopics({ topics: [{ topic: prefix + topic, numPartitions: 2, replicationFactor: 1, configEntries }] })
  async function settingsOf (topic: string): Promise<Map<string, string>> {
    const { resources: [found] } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }] })
    return new Map(found!.configEntries.map(({ configName, configValue }) => [configName, configValue]))
  }

  test('topics that are missing are made, and then nothing is to be done', async () => {
    const config = configOf(newPrefix())
    expect((await compareTopics(config)).map(({ what }) => what)).toEqual(['topic', 'topic'])
    expect([await endsOf(config, READINGS), await beginsOf(config, READINGS)]).toEqual([new Map(), new Map()])
    await applyTopics(config)
    expect(await compareTopics(config)).toEqual([])
    const zeros = new Map([[0, 0], [1, 0], [2, 0]])
    expect([await endsOf(config, READINGS), await beginsOf(config, READINGS)]).toEqual([zeros, zeros])
  })

  test('a broker that would remove readings is set right, what others set stays, and partitions are only reported', async () => {
    const prefix = newPrefix()
    await made(prefix, READINGS, [{ name: 'retention.ms', value: '1000' }, { name: 'segment.bytes', value: '1048576' }])
    const config = configOf(prefix)
    const found = await applyTopics(config)
    expect(found).toEqual(expect.arrayContaining([
      { topic: prefix + READINGS, what: 'partitions', is: '2', wants: '3' }, { topic: prefix + READINGS, what: 'setting', name: 'retention.ms', is: '1000', wants: '-1' },
      { topic: prefix + RAW, what: 'topic', wants: '3 partitions' }
    ]))
    expect(await compareTopics(config)).toEqual([{ topic: prefix + READINGS, what: 'partitions', is: '2', wants: '3' }])
    const settings = await settingsOf(prefix + READINGS)
    expect([settings.get('retention.ms'), settings.get('segment.bytes')]).toEqual(['-1', '1048576'])
  })

  test('the verb says what it does, and what it would do', async () => {
    const prefix = newPrefix()
    const say = async (...args: string[]) => {
      const out: string[] = []
      const code = await topicsVerb.run(['apply', ...args], {
        env: environment(prefix), stdout: text => { out.push(text) }, stderr: () => {}, now: () => epochMs(0), signal: new AbortController().signal
      })
      return [code, out.join('')]
    }
    expect(await say('--dry-run')).toEqual([0, `${prefix}${RAW}: to be made, 3 partitions\n${prefix}${READINGS}: to be made, 3 partitions\n`])
    expect(await say()).toEqual([0, `${prefix}${RAW}: made, 3 partitions\n${prefix}${READINGS}: made, 3 partitions\n`])
    expect(await say()).toEqual([0, 'all topics are as the settings want them\n'])
  })

  test('without brokers the verb is wrong use', async () => {
    await expect(topicsVerb.run(['apply'], { env: {}, stdout: () => {}, stderr: () => {}, now: () => epochMs(0), signal: new AbortController().signal })).rejects.toMatchObject({ code: 'USAGE' })
  })
})
