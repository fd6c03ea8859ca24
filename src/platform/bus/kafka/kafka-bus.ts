/** The bus on a Kafka cluster: the promises of the seam, for more processes and readers than one machine has. */

import type { Admin } from 'kafkajs'
import { ServiceError } from '../../../model/errors.ts'
import { type EpochMs, epochMs } from '../../../model/units.ts'
import { repeat } from '../../repeat.ts'
import { within } from '../../within.ts'
import { type Bus, type BusConsumer, type ConsumerOptions, TAKE_BYTES_MAX, type TopicOptions } from '../bus.ts'
import { busClosed, createPublisher, PUBLISH_LIMITS, type PublishLimits, type Publisher } from '../publish.ts'
import { backlogOf, headsToTake, topicOf } from '../topic-state.ts'
import { asKafkaError, createKafkaClient, GOODBYE_TIMEOUT_MS, type KafkaClient, type KafkaConnection } from './client.ts'
import { openKafkaConsumer } from './consumer.ts'
import { createAppender, recordRoom } from './producer.ts'
import { type KafkaState, newKafkaTopic, refresh, type Topic } from './state.ts'
import { BATCH_BYTES, findTopics, makeTopics, releasedBy, removeRecords, spansOf } from './topics.ts'

export interface KafkaBusOptions extends Partial<PublishLimits> {
  connection: KafkaConnection
  topics: readonly TopicOptions[]
  /** Before the name of each topic and group on the cluster, e.g. `ward-7.`: several deployments share it. Default none. */
  prefix?: string
  /** Copies of each partition of a topic that is made. Default 3. */
  replicationFactor?: number
  now: () => EpochMs
  /** How long `publish` waits for the cluster before it says that it does not know. Default 30 s. */
  publishTimeoutMs?: number
  /** How often released records past their time are removed. Default 60 s. */
  retentionEveryMs?: number
  /** Called with false when the cluster is lost and with true when it is back. */
  onReachable?: (reachable: boolean) => void
  /** What the client has to say. */
  log?: (message: string) => void
}

const REPLICATION_FACTOR = 3
const PUBLISH_TIMEOUT_MS = 30_000
const RETENTION_EVERY_MS = 60_000
/** What other processes append and release is looked at this often. */
const REFRESH_MS = 1_000
/** How long closing waits for what was published, and for the cluster's answers to its goodbyes. */
const CLOSE_TIMEOUT_MS = 3_000

interface Parts extends KafkaState { client: KafkaClient, consumers: Set<BusConsumer> }

/** Makes the topics that are missing and opens the bus. @throws ServiceError unavailable STORE_UNAVAILABLE, saying what the cluster or the connection answered */
export async function openKafkaBus (options: KafkaBusOptions): Promise<Bus> {
  const client = createKafkaClient({ connection: options.connection, log: options.log })
  const admin = client.admin()
  try {
    await admin.connect()
    const topics = await openTopics(admin, options)
    return await openOn(options, client, admin, topics)
  } catch (error) {
    await admin.disconnect().catch(() => {})
    throw asKafkaError(error)
  }
}

async function openTopics (admin: Admin, { topics, prefix = '', replicationFactor = REPLICATION_FACTOR }: KafkaBusOptions): Promise<ReadonlyMap<string, Topic>> {
  await makeTopics(admin, topics.map(one => ({ ...one, topic: prefix + one.topic })), { replicationFactor, batchBytes: BATCH_BYTES })
  const found = await findTopics(admin, topics.map(({ topic }) => prefix + topic))
  return new Map(topics.map(one => [one.topic, newKafkaTopic(one, prefix, found.get(prefix + one.topic)!)]))
}

async function openOn (options: KafkaBusOptions, client: KafkaClient, admin: Admin, topics: ReadonlyMap<string, Topic>): Promise<Bus> {
  const closing = new AbortController()
  const setReachable = reachability(options.onReachable ?? (() => {}), closing.signal)
  const parts: Parts = { client, admin, topics, now: options.now, closing, setReachable, consumers: new Set() }
  await refresh(parts)
  const stopWaiting = new AbortController()
  const appender = await createAppender({ client, now: options.now, closing: stopWaiting.signal, setReachable })
  const limits = { ...PUBLISH_LIMITS, ...options }
  const room = Math.min(...[...topics.values()].map(({ batchBytesMax }) => recordRoom(batchBytesMax)))
  const publisher = createPublisher({
    topics, limits: { ...limits, recordBytesMax: Math.min(limits.recordBytesMax, room) }, append: appender.append, refresh: () => refresh(parts), closing: closing.signal
  })
  const background = [
    repeat(REFRESH_MS, () => refresh(parts).catch(() => { setReachable(false) })),
    repeat(options.retentionEveryMs ?? RETENTION_EVERY_MS, () => removeExpired(parts))
  ]
  let closed: Promise<void> | undefined
  async function close (): Promise<void> {
    closing.abort()
    await within(CLOSE_TIMEOUT_MS, publisher.idle())
    stopWaiting.abort()
    await Promise.all([...parts.consumers].map(consumer => consumer.close()))
    // A cluster that is away keeps nobody from ending.
    await within(GOODBYE_TIMEOUT_MS, Promise.all(background.map(one => one.stop())))
    await within(GOODBYE_TIMEOUT_MS, Promise.all([appender.close(), admin.disconnect()]))
  }
  return {
    kind: 'kafka',
    publish: records => answeredWithin(options.publishTimeoutMs ?? PUBLISH_TIMEOUT_MS, publisher, records),
    partitionCount: topic => topicOf(topics, topic).partitions,
    consume: wanted => consume(parts, wanted),
    backlog: topic => backlogOf(topicOf(topics, topic)),
    async ends (topic) {
      const { heads } = topicOf(topics, topic)
      await refresh(parts)
      return heads.map(head => head.nextOffset)
    },
    close: () => closed ??= close()
  }
}

function reachability (tell: (reachable: boolean) => void, closing: AbortSignal): (reachable: boolean) => void {
  let isReachable = true
  return reachable => {
    if (isReachable === reachable || closing.aborted) return
    isReachable = reachable
    tell(reachable)
  }
}

/** The records stay on their way when the caller has given up. */
async function answeredWithin (ms: number, publisher: Publisher, records: Parameters<Publisher['publish']>[0]): ReturnType<Publisher['publish']> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => { late.reject(new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'Kafka did not acknowledge in time')) }, ms)
  try {
    return await Promise.race([publisher.publish(records), late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Of the partitions that this process reads it knows better than the group what is released. */
async function removeExpired ({ admin, topics, now }: Parts): Promise<void> {
  for (const { physical, groupId, retainMs, heads } of topics.values()) {
    const own = heads.filter(({ isTaken }) => isTaken).map(({ partition, releasedOffset }) => [partition, releasedOffset] as const)
    await removeRecords(admin, physical, new Map([...await releasedBy(admin, groupId, physical), ...own]), epochMs(now() - retainMs))
  }
}

async function consume (parts: Parts, options: ConsumerOptions): Promise<BusConsumer> {
  if (parts.closing.signal.aborted) throw busClosed()
  const topic = topicOf(parts.topics, options.topic)
  headsToTake(topic, options.partitions, ({ isTaken }) => isTaken)
  return openKafkaConsumer({
    client: parts.client,
    topic,
    wanted: options.partitions,
    resumeFrom: options.resumeFrom,
    bytesMax: options.bytesMax ?? TAKE_BYTES_MAX,
    signal: options.signal,
    spans: () => spansOf(parts.admin, topic.physical),
    open: parts.consumers
  })
}
