/** A receiver's own topic on a real broker: every Observation arrives, in order by patient, whatever becomes of the broker. */

import kafkajs from 'kafkajs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { deliverRound, type DeliveryParts } from '../../../../src/fhir/egress/deliver.ts'
import { createDestination, deliveryParts } from '../../../../src/fhir/egress/egress.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import type { WindowRevision } from '../../../../src/model/window.ts'
import { openTopicWriter } from '../../../../src/platform/bus/kafka/topic-writer.ts'
import { type OwnBroker, startBroker } from '../../../support/kafka.ts'
import { missingBroker } from '../../../support/missing-kafka.ts'
import { MINUTE, T0, testWard, type Ward, windowOf } from '../../../support/views.ts'

const SYSTEM = 'urn:oid:2.16.840.1.113883.19.5'
const METRICS = ['tissue-po2', 'panel', 'spo2', 'battery-voltage']
const missing = missingBroker()

interface Sent { key: string, partition: number, type: string, id: string, patient: string, views: string[] }

describe.skipIf(missing !== undefined)(`egress to a topic${missing === undefined ? '' : ` (${missing})`}`, () => {
  let broker: OwnBroker
  let admin: kafkajs.Admin
  let client: kafkajs.Kafka
  let ward: Ward
  let anna: Sid
  let events: string[]
  let topic = ''
  let round = 0
  const open: DeliveryParts[] = []

  beforeAll(async () => {
    broker = await startBroker()
    client = new kafkajs.Kafka({ brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING })
    admin = client.admin()
    await admin.connect()
  }, 300_000)
  afterAll(async () => {
    await admin.disconnect()
    await broker.stop()
  })
  beforeEach(async () => {
    ward = await testWard()
    anna = await ward.admit('anna', { mrn: 'MRN-1' })
    events = []
    topic = `receiver-${++round}`
  })
  afterEach(async () => {
    await Promise.all(open.splice(0).map(({ destination }) => destination.close?.()))
    await ward.drop()
  })

  function parts (bundleEntriesMax = 100): DeliveryParts {
    const topicWriter = (name: string) => openTopicWriter({ connection: { brokers: [broker.address] }, topic: name })
    const made = deliveryParts(createDestination({ name: 'hub', kind: 'kafka', to: topic, patientSystem: SYSTEM, bundleEntriesMax }, topicWriter), {
      ledger: ward.series.ledger, loader: ward.observations.loader, contexts: ward.contexts, tools: ward.tools, topicWriter,
      linkagePool: ward.linkage.pool, deliveryPool: ward.linkage.poolOf('oxbow_delivery'), now: () => epochMs(Date.now()),
      events: { delivered: (outcome, count) => { events.push(`${outcome} ${count}`) }, raise: alarm => { events.push(alarm) }, clear: alarm => { events.push(`clear ${alarm}`) } }
    })
    open.push(made)
    return made
  }
  async function makeTopic (configEntries: { name: string, value: string }[] = []): Promise<void> {
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 3, replicationFactor: 1, configEntries }] })
  }
  async function deliverAll (delivery: DeliveryParts): Promise<void> {
    for (let asked = 0; asked < 200; asked++) if ((await deliverRound(delivery, new AbortController().signal)).result === 'idle') return
    throw new Error('the topic never had everything')
  }
  /** What lies on the topic, a repetition left out as a receiver does. */
  async function received (): Promise<Sent[]> {
    const ends = await admin.fetchTopicOffsets(topic)
    let left = ends.reduce((sum, { high }) => sum + Number(high), 0)
    const found = new Map<string, Sent>()
    const consumer = client.consumer({ groupId: `reader-of-${topic}` })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    const done = Promise.withResolvers<void>()
    if (left === 0) done.resolve()
    await consumer.run({ eachMessage: async ({ partition, message }) => {
      const one = sentOf(String(message.key), partition, String(message.value))
      if (!found.has(one.id)) found.set(one.id, one)
      if (--left === 0) done.resolve()
    } })
    await done.promise
    await consumer.disconnect()
    return [...found.values()]
  }
  function all (sid: Sid, minute: number): WindowRevision[] { return METRICS.map(metric => windowOf(ward.mappings, sid, minute, { metric })) }

  test('every Observation arrives in a message, those of one patient in one partition and in order', async () => {
    await makeTopic()
    const bert = await ward.admit('bert', { mrn: 'MRN-2' })
    for (let minute = 0; minute < 4; minute++) await ward.commit([...all(anna, minute), ...all(bert, minute)])
    await ward.commit([windowOf(ward.mappings, anna, 0, { revision: 2, status: 'amended', issued: epochMs(T0 + 60 * MINUTE) })])
    await deliverAll(parts(8))
    const sent = await received()
    const views = sent.flatMap(one => one.views)
    expect(views).toHaveLength(2 * 4 * 6 + 3)
    expect(sent.every(({ type }) => type === 'message')).toBe(true)
    expect(new Map([...Map.groupBy(sent, ({ patient }) => patient)].map(([patient, own]) => [patient, new Set(own.map(({ key, partition }) => `${key} ${partition}`)).size])))
      .toEqual(new Map([['MRN-1', 1], ['MRN-2', 1]]))
    // The amended window comes behind the one it amends.
    const amended = views.filter(view => view.endsWith(' amended'))
    expect(amended).toHaveLength(3)
    for (const view of amended) expect(views.indexOf(view.replace(' amended', ' final'))).toBeLessThan(views.indexOf(view))
  })

  test('a topic that is not there and a broker that dies are waited for, and nothing is lost', async () => {
    for (let minute = 0; minute < 3; minute++) await ward.commit(all(anna, minute))
    const delivery = parts(6)
    expect(await deliverRound(delivery, new AbortController().signal)).toMatchObject({ result: 'failed', reason: 'STORE_UNAVAILABLE' })
    await makeTopic()
    const killing = (async () => { await broker.kill(); await broker.restart() })()
    const delivering = deliverAll(delivery)
    await killing
    await delivering
    expect((await received()).flatMap(one => one.views)).toHaveLength(18)
    expect(events.filter(event => event.startsWith('dead-letter'))).toEqual([])
  }, 240_000)

  test('what the topic never takes is a dead letter, and the rest goes on', async () => {
    await makeTopic([{ name: 'max.message.bytes', value: '4000' }])
    await ward.commit(all(anna, 0))
    await deliverAll(parts())
    const { rows } = await ward.linkage.owner.query('select reason, http_status from delivery.dead_letter')
    expect(rows.length).toBeGreaterThan(0)
    expect(rows.every(row => row['reason'] === 'BUS_RECORD_TOO_LARGE' && row['http_status'] === null)).toBe(true)
    expect((await received()).length).toBeGreaterThan(0)
  })
})

interface Resource { resourceType: string, id?: string, status?: string, identifier?: { value: string }[] }

function sentOf (key: string, partition: number, text: string): Sent {
  const { type, entry } = JSON.parse(text) as { type: string, entry: { resource: Resource }[] }
  const of = (kind: string) => entry.map(({ resource }) => resource).filter(({ resourceType }) => resourceType === kind)
  return {
    key, partition, type, id: of('MessageHeader')[0]!.id!, patient: of('Patient')[0]!.identifier![0]!.value,
    views: of('Observation').map(({ identifier, status }) => `${identifier![0]!.value} ${status}`)
  }
}
