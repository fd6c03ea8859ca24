/** Topics of ours on the cluster: made where they are missing, looked at, and rid of records that are no longer needed. */

import { setTimeout as delay } from 'node:timers/promises'
import kafkajs, { type Admin } from 'kafkajs'
import type { EpochMs } from '../../../model/units.ts'
import type { TopicOptions } from '../bus.ts'
import { asKafkaError, protocolError } from './client.ts'

export interface TopicNeeds {
  /** Copies of each partition; with three or more, two of them must have a record before it is acknowledged. */
  replicationFactor: number
  /** Largest batch of records that a topic must take. */
  batchBytes: number
}

export interface FoundTopic {
  partitions: number
  /** Largest batch of records the topic takes. */
  batchBytesMax: number
}

/** Offset of the first record still there, and the one after the last, by partition. */
export interface Span { low: number, high: number }

/** A batch of the protocol: one record of the largest, or many. */
export const BATCH_BYTES = 17 * 1024 * 1024

const TOPIC_EXISTS = 'TOPIC_ALREADY_EXISTS'
const MIN_INSYNC_FROM = 3
/** What a broker answers that does not know yet of a topic just made, or of a leader or coordinator that moved. */
const UNSETTLED: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE', 'NOT_LEADER_FOR_PARTITION', 'GROUP_COORDINATOR_NOT_AVAILABLE', 'GROUP_LOAD_IN_PROGRESS', 'NOT_COORDINATOR_FOR_GROUP'
])
const ASKED_MAX = 50
const ASK_AGAIN_MS = 100

/** The broker removes nothing by itself: what is not released must stay, however old. `removeRecords` removes the rest. */
export function settingsOf ({ replicationFactor, batchBytes }: TopicNeeds): { name: string, value: string }[] {
  return [
    { name: 'cleanup.policy', value: 'delete' },
    { name: 'retention.ms', value: '-1' },
    { name: 'retention.bytes', value: '-1' },
    { name: 'max.message.bytes', value: String(batchBytes) },
    { name: 'message.timestamp.type', value: 'CreateTime' },
    ...(replicationFactor >= MIN_INSYNC_FROM ? [{ name: 'min.insync.replicas', value: '2' }] : [])
  ]
}

/** An answer of the cluster, asked for again while it is not yet of one mind. @throws ServiceError unavailable STORE_UNAVAILABLE */
async function settled<T> (ask: () => Promise<T>, isSettled: (answer: T) => boolean = () => true): Promise<T> {
  for (let asked = 1; ; asked++) {
    try {
      const answer = await ask()
      if (isSettled(answer) || asked === ASKED_MAX) return answer
    } catch (error) {
      if (asked === ASKED_MAX || !UNSETTLED.has(protocolError(error))) throw asKafkaError(error)
    }
    await delay(ASK_AGAIN_MS)
  }
}

/** Makes those of `topics` that are missing; one that is there stays as it is. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function makeTopics (admin: Admin, topics: readonly TopicOptions[], needs: TopicNeeds): Promise<void> {
  try {
    const existing = new Set(await admin.listTopics())
    const missing = topics.filter(({ topic }) => !existing.has(topic))
    if (missing.length === 0) return
    await admin.createTopics({
      waitForLeaders: false,
      topics: missing.map(({ topic, partitions }) => ({
        topic, numPartitions: partitions, replicationFactor: needs.replicationFactor, configEntries: settingsOf(needs)
      }))
    })
  } catch (error) {
    if (isExisting(error)) return
    throw asKafkaError(error)
  }
}

/** Another process made one of them in between: each of the others was made all the same. */
function isExisting (error: unknown): boolean {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors) && error.errors.every(one => protocolError(one) === TOPIC_EXISTS)
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE when one of them is not there */
export async function findTopics (admin: Admin, names: readonly string[]): Promise<ReadonlyMap<string, FoundTopic>> {
  const { topics } = await settled(
    () => admin.fetchTopicMetadata({ topics: [...names] }), found => found.topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0)))
  const { resources } = await settled(() => admin.describeConfigs({
    includeSynonyms: false,
    resources: names.map(name => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name, configNames: ['max.message.bytes'] }))
  }))
  const batchBytes = new Map(resources.map(({ resourceName, configEntries }) => [resourceName, Number(configEntries[0]?.configValue)]))
  return new Map(topics.map(({ name, partitions }) => [name, { partitions: partitions.length, batchBytesMax: batchBytes.get(name)! }]))
}

/** How many partitions a topic has, as the cluster says now; for a login that may ask no more. @throws ServiceError unavailable STORE_UNAVAILABLE when it is not there */
export async function partitionsOf (admin: Admin, topic: string): Promise<number> {
  const { topics } = await settled(() => admin.fetchTopicMetadata({ topics: [topic] }))
  return topics[0]!.partitions.length
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function spansOf (admin: Admin, topic: string): Promise<ReadonlyMap<number, Span>> {
  const found = await settled(() => admin.fetchTopicOffsets(topic))
  return new Map(found.map(({ partition, low, high }) => [partition, { low: Number(low), high: Number(high) }]))
}

/** Offsets the group has released, by partition; a partition of which it never did is missing. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function releasedBy (admin: Admin, groupId: string, topic: string): Promise<ReadonlyMap<number, number>> {
  const [found] = await settled(() => admin.fetchOffsets({ groupId, topics: [topic] }))
  return new Map((found?.partitions ?? []).map(({ partition, offset }) => [partition, Number(offset)] as const).filter(([, offset]) => offset >= 0))
}

/** Removes the records that are released and older than `before`. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function removeRecords (admin: Admin, topic: string, released: ReadonlyMap<number, number>, before: EpochMs): Promise<void> {
  // The client knows the leaders of a topic only once it has asked for its offsets.
  const spans = await spansOf(admin, topic)
  const young = new Map((await settled(() => admin.fetchTopicOffsetsByTimestamp(topic, before))).map(({ partition, offset }) => [partition, Number(offset)]))
  const partitions = [...spans].map(([partition, { low, high }]) => {
    const oldEnd = young.get(partition) ?? high
    return { partition, low, offset: Math.min(released.get(partition) ?? 0, oldEnd < 0 ? high : oldEnd) }
  }).filter(({ low, offset }) => offset > low)
  if (partitions.length === 0) return
  await settled(() => admin.deleteTopicRecords({ topic, partitions: partitions.map(({ partition, offset }) => ({ partition, offset: String(offset) })) }))
}
