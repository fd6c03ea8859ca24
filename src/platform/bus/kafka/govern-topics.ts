/** Our topics as they stand on the cluster beside what the settings want: for `oxbow topics apply` and `oxbow doctor`. */

import kafkajs, { type Admin, type ConfigEntries } from 'kafkajs'
import type { Config } from '../../../config/schema.ts'
import { topicsOf } from '../topics-of.ts'
import { asKafkaError, createKafkaClient } from './client.ts'
import { kafkaConnectionOf } from './connection.ts'
import { BATCH_BYTES, makeTopics, settingsOf, spansOf } from './topics.ts'

/** `is` absent: the topic is missing. Partitions and replicas are never changed here: a key must stay in its partition, and moving copies is an operator's work. */
export interface Difference {
  topic: string
  what: 'topic' | 'setting' | 'partitions' | 'replicas'
  /** Of a setting. */
  name?: string
  is?: string
  wants: string
}

export const isApplied = ({ what }: Difference): boolean => what === 'topic' || what === 'setting'

/** @throws ServiceError unavailable STORE_UNAVAILABLE, incorrect CONFIG_INVALID */
export function compareTopics (config: Config): Promise<readonly Difference[]> {
  return withAdmin(config, admin => differences(admin, config))
}

/** Makes what is missing and sets what is otherwise. @returns the differences there were. @throws ServiceError as `compareTopics` */
export function applyTopics (config: Config): Promise<readonly Difference[]> {
  return withAdmin(config, async admin => {
    const found = await differences(admin, config)
    await makeTopics(admin, wanted(config), needsOf(config))
    const changed = [...new Set(found.filter(({ what }) => what === 'setting').map(({ topic }) => topic))]
    if (changed.length > 0) await admin.alterConfigs({ validateOnly: false, resources: await Promise.all(changed.map(topic => altered(admin, config, topic))) })
    return found
  })
}

/** Id that the cluster was given when it was made. @throws ServiceError as `compareTopics` */
export function clusterOf (config: Config): Promise<string> { return withAdmin(config, async admin => (await admin.describeCluster()).clusterId) }

/** Offset after the last record, by partition; of a topic that is missing, none. @throws ServiceError as `compareTopics` */
export function endsOf (config: Config, topic: string): Promise<ReadonlyMap<number, number>> { return offsetsOf(config, topic, 'high') }

/** The same of the first record that is still there; where nothing is there, the end. */
export function beginsOf (config: Config, topic: string): Promise<ReadonlyMap<number, number>> { return offsetsOf(config, topic, 'low') }

function offsetsOf (config: Config, topic: string, which: 'low' | 'high'): Promise<ReadonlyMap<number, number>> {
  return withAdmin(config, async admin => {
    const name = config['kafka.topicPrefix'] + topic
    if (!(await admin.listTopics()).includes(name)) return new Map()
    return new Map([...await spansOf(admin, name)].map(([partition, span]) => [partition, span[which]]))
  })
}

async function withAdmin<T> (config: Config, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = createKafkaClient({ connection: kafkaConnectionOf(config) }).admin()
  try {
    await admin.connect()
    return await work(admin)
  } catch (error) {
    throw asKafkaError(error)
  } finally {
    await admin.disconnect().catch(() => {})
  }
}

function wanted (config: Config) {
  return topicsOf(config).map(topic => ({ ...topic, topic: config['kafka.topicPrefix'] + topic.topic }))
}

function needsOf (config: Config) {
  return { replicationFactor: config['kafka.replicationFactor'], batchBytes: BATCH_BYTES }
}

async function differences (admin: Admin, config: Config): Promise<Difference[]> {
  const existing = new Set(await admin.listTopics())
  const found: Difference[] = []
  for (const { topic, partitions } of wanted(config)) {
    if (!existing.has(topic)) {
      found.push({ topic, what: 'topic', wants: `${partitions} partitions` })
      continue
    }
    const { topics: [metadata] } = await admin.fetchTopicMetadata({ topics: [topic] })
    const isPartitions = metadata!.partitions.length
    const isReplicas = Math.min(...metadata!.partitions.map(({ replicas }) => replicas.length))
    if (isPartitions !== partitions) found.push({ topic, what: 'partitions', is: String(isPartitions), wants: String(partitions) })
    if (isReplicas < config['kafka.replicationFactor']) found.push({ topic, what: 'replicas', is: String(isReplicas), wants: String(config['kafka.replicationFactor']) })
    const entries = new Map((await entriesOf(admin, topic)).map(({ configName, configValue }) => [configName, configValue]))
    for (const { name, value } of settingsOf(needsOf(config))) {
      const is = entries.get(name)
      if (is !== value) found.push({ topic, what: 'setting', name, is: is ?? '', wants: value })
    }
  }
  return found
}

async function entriesOf (admin: Admin, topic: string): Promise<readonly ConfigEntries[]> {
  const { resources: [found] } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }] })
  return found!.configEntries
}

/** The request replaces all settings of a topic: those that others made for it are given again. */
async function altered (admin: Admin, config: Config, topic: string) {
  const ours = settingsOf(needsOf(config))
  const others = (await entriesOf(admin, topic))
    .filter(({ configName, configSource }) => configSource === kafkajs.ConfigSource.TOPIC_CONFIG && !ours.some(({ name }) => name === configName))
    .map(({ configName, configValue }) => ({ name: configName, value: configValue }))
  return { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries: [...ours, ...others] }
}
