/** Records → commits of many, grouped by partition → their positions; refuses what there is no room for. */

import { ServiceError } from '../../model/errors.ts'
import { createGroupCommit, type GroupCommit } from '../group-commit.ts'
import type { BusRecord, Position } from './bus.ts'
import { partitionOf } from './partition-of.ts'
import { KEY_BYTES_MAX, recordBytes } from './record-bytes.ts'
import { backlogOf, type Head, topicOf, type TopicState } from './topic-state.ts'

export interface PublishLimits {
  /** Most records of a topic appended and not yet released, where the topic has no limit of its own; over it `publish` answers BUS_FULL. */
  backlogMax: number
  /** Largest record, key and value. */
  recordBytesMax: number
  /** Most bytes that wait for their commit; over it `publish` answers BUS_FULL. */
  queueBytesMax: number
  /** Most records in one commit. */
  commitRecordsMax: number
  /** Most bytes in one commit; a single `publish` over it goes alone. */
  commitBytesMax: number
}

const MIB = 1024 * 1024

export const PUBLISH_LIMITS: PublishLimits = {
  backlogMax: 2_000_000, recordBytesMax: 16 * MIB, queueBytesMax: 64 * MIB, commitRecordsMax: 10_000, commitBytesMax: 8 * MIB
}

/** Records of one commit that go to one partition, in their order. */
export interface Group<T extends TopicState> {
  topic: T
  head: T['heads'][number]
  records: BusRecord[]
  /** Set by `append`. */
  firstOffset: number
}

export interface PublishParts<T extends TopicState> {
  topics: ReadonlyMap<string, T>
  limits: PublishLimits
  /** Makes all groups durable, one call at a time, or throws; sets the first offset of each and moves the heads on. */
  append: (groups: readonly Group<T>[]) => Promise<void>
  /** Reads the heads again: another process may have released some. */
  refresh: () => Promise<void>
  closing: AbortSignal
}

export interface Publisher {
  publish (records: readonly BusRecord[]): Promise<readonly Position[]>
  /** Resolves when nothing is in flight. */
  idle (): Promise<void>
}

const RETRY_AFTER_S = 5
/** Sixteen requests of one reading each, with its original bytes. */
const COMMIT_RECORDS_ENOUGH = 32
/** While a topic is full, it is looked at this often whether another process has released some. */
const REFRESH_FULL_MS = 200

/** What arrives while an append is under way is the next one, within the limits; of one publish all or nothing is acknowledged.
 *  Its `publish` @throws ServiceError busy BUS_FULL, incorrect BUS_RECORD_TOO_LARGE, unavailable STORE_UNAVAILABLE or BUS_CLOSED */
export function createPublisher<T extends TopicState> ({ topics, limits, append, refresh, closing }: PublishParts<T>): Publisher {
  const commits: GroupCommit<readonly BusRecord[], readonly Position[]> = createGroupCommit({
    commit: items => commit(topics, append, items),
    weigh: records => ({ records: records.length, bytes: records.reduce((sum, record) => sum + recordBytes(record), 0) }),
    recordsMax: limits.commitRecordsMax,
    bytesMax: limits.commitBytesMax,
    recordsEnough: COMMIT_RECORDS_ENOUGH
  })
  let refreshedAt = Number.NEGATIVE_INFINITY

  /** Another process may have released what this one still counts. */
  async function assertRoom (counts: ReadonlyMap<T, number>): Promise<void> {
    if (performance.now() - refreshedAt >= REFRESH_FULL_MS) {
      refreshedAt = performance.now()
      await refresh()
    }
    const topic = fullTopic(counts, limits.backlogMax)
    if (topic !== undefined) throw full(`topic ${topic.topic} holds ${backlogOf(topic)} records that are not consumed`)
  }
  async function publish (records: readonly BusRecord[]): Promise<readonly Position[]> {
    if (records.length === 0) return []
    const counts = countByTopic(topics, records, limits.recordBytesMax)
    if (fullTopic(counts, limits.backlogMax) !== undefined) await assertRoom(counts)
    if (commits.pending.bytes >= limits.queueBytesMax) throw full(`${commits.pending.bytes} bytes wait to be written`)
    if (closing.aborted) throw busClosed()
    for (const [topic, count] of counts) topic.pendingCount += count
    try {
      return await commits.add(records)
    } finally {
      for (const [topic, count] of counts) topic.pendingCount -= count
    }
  }
  return { publish, idle: commits.idle }
}

export function busClosed (): ServiceError { return new ServiceError('unavailable', 'BUS_CLOSED', 'the bus is closed') }

function countByTopic<T extends TopicState> (topics: ReadonlyMap<string, T>, records: readonly BusRecord[], bytesMax: number): ReadonlyMap<T, number> {
  const counts = new Map<T, number>()
  for (const record of records) {
    const bytes = recordBytes(record)
    if (bytes > bytesMax || Buffer.byteLength(record.key) > KEY_BYTES_MAX) {
      throw new ServiceError('incorrect', 'BUS_RECORD_TOO_LARGE', `a record of ${bytes} bytes is over the limit of ${bytesMax}`)
    }
    const topic = topicOf(topics, record.topic)
    counts.set(topic, (counts.get(topic) ?? 0) + 1)
  }
  return counts
}

function fullTopic<T extends TopicState> (counts: ReadonlyMap<T, number>, backlogMax: number): T | undefined {
  for (const [topic, count] of counts) {
    if (backlogOf(topic) + topic.pendingCount + count > (topic.backlogMax ?? backlogMax)) return topic
  }
  return undefined
}

async function commit<T extends TopicState> (
  topics: ReadonlyMap<string, T>, append: PublishParts<T>['append'], items: readonly (readonly BusRecord[])[]
): Promise<readonly (readonly Position[])[]> {
  const groups = new Map<Head, Group<T>>()
  const places = items.map(records => records.map(record => place(topics, groups, record)))
  await append([...groups.values()])
  return places.map(records => records.map(({ group, index }) => ({
    topic: group.topic.topic, partition: group.head.partition, offset: group.firstOffset + index
  })))
}

function place<T extends TopicState> (topics: ReadonlyMap<string, T>, groups: Map<Head, Group<T>>, record: BusRecord): { group: Group<T>, index: number } {
  const topic = topicOf(topics, record.topic)
  const head: T['heads'][number] = topic.heads[partitionOf(record.key, topic.partitions)]!
  let group = groups.get(head)
  if (group === undefined) {
    group = { topic, head, records: [], firstOffset: 0 }
    groups.set(head, group)
  }
  return { group, index: group.records.push(record) - 1 }
}

function full (what: string): ServiceError {
  return new ServiceError('busy', 'BUS_FULL', `the bus is full: ${what}`, { retryAfterS: RETRY_AFTER_S })
}
