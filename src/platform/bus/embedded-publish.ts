/** Records -> one row per partition and group commit -> their positions; refuses what there is no room for. */

import { ServiceError } from '../../model/errors.ts'
import type { BusRecord, Position } from './bus.ts'
import type { Head } from './embedded-consumer.ts'
import { backlogOf, type BusState, refresh, refreshSoon, setReachable, type Topic, topicOf, wake } from './embedded-state.ts'
import { createGroupCommit, type GroupCommit } from '../group-commit.ts'
import { partitionOf } from './partition-of.ts'
import { encodeRow, KEY_BYTES_MAX, recordBytes } from './row-bytes.ts'
import { type Appended, appendRows, type NewRow } from './tables.ts'

export interface PublishLimits {
  backlogMax: number
  recordBytesMax: number
  queueBytesMax: number
  commitRecordsMax: number
  commitBytesMax: number
}

export interface Publisher {
  publish (records: readonly BusRecord[]): Promise<readonly Position[]>
  /** Resolves when nothing is in flight. */
  idle (): Promise<void>
}

/** Records of one commit that go to one partition. */
interface Group { topic: Topic, head: Head, records: BusRecord[], firstOffset: number }
type Commits = GroupCommit<readonly BusRecord[], readonly Position[]>

const RETRY_AFTER_S = 5
/** Sixteen requests of one reading each, with its original bytes. */
const COMMIT_RECORDS_ENOUGH = 32
/** While a topic is full, the database is asked this often whether another process has released some. */
const REFRESH_FULL_MS = 200

export function createPublisher (state: BusState, limits: PublishLimits): Publisher {
  const commits: Commits = createGroupCommit({
    commit: items => commit(state, items),
    weigh: records => ({ records: records.length, bytes: records.reduce((sum, record) => sum + recordBytes(record), 0) }),
    recordsMax: limits.commitRecordsMax,
    bytesMax: limits.commitBytesMax,
    recordsEnough: COMMIT_RECORDS_ENOUGH
  })
  let refreshedAt = Number.NEGATIVE_INFINITY

  /** Another process may have released what this one still counts. */
  async function assertRoom (counts: ReadonlyMap<Topic, number>): Promise<void> {
    if (fullTopic(counts, limits.backlogMax) === undefined) return
    if (performance.now() - refreshedAt >= REFRESH_FULL_MS) {
      refreshedAt = performance.now()
      await refresh(state)
    }
    const topic = fullTopic(counts, limits.backlogMax)
    if (topic !== undefined) throw full(`topic ${topic.topic} holds ${backlogOf(topic)} records that are not consumed`)
  }
  async function publish (records: readonly BusRecord[]): Promise<readonly Position[]> {
    if (records.length === 0) return []
    const counts = countByTopic(state, records, limits.recordBytesMax)
    if (fullTopic(counts, limits.backlogMax) !== undefined) await assertRoom(counts)
    if (commits.pending.bytes >= limits.queueBytesMax) throw full(`${commits.pending.bytes} bytes wait to be written`)
    if (state.closing.signal.aborted) throw new ServiceError('unavailable', 'BUS_CLOSED', 'the bus is closed')
    for (const [topic, count] of counts) topic.pendingCount += count
    try {
      return await commits.add(records)
    } finally {
      for (const [topic, count] of counts) topic.pendingCount -= count
    }
  }
  return { publish, idle: commits.idle }
}

function countByTopic (state: BusState, records: readonly BusRecord[], bytesMax: number): ReadonlyMap<Topic, number> {
  const counts = new Map<Topic, number>()
  for (const record of records) {
    const bytes = recordBytes(record)
    if (bytes > bytesMax || Buffer.byteLength(record.key) > KEY_BYTES_MAX) {
      throw new ServiceError('incorrect', 'BUS_RECORD_TOO_LARGE', `a record of ${bytes} bytes is over the limit of ${bytesMax}`)
    }
    const topic = topicOf(state, record.topic)
    counts.set(topic, (counts.get(topic) ?? 0) + 1)
  }
  return counts
}

function fullTopic (counts: ReadonlyMap<Topic, number>, backlogMax: number): Topic | undefined {
  for (const [topic, count] of counts) {
    if (!topic.keep && backlogOf(topic) + topic.pendingCount + count > backlogMax) return topic
  }
  return undefined
}

/** One transaction: a row per partition, the records of an item in their order. */
async function commit (state: BusState, items: readonly (readonly BusRecord[])[]): Promise<readonly (readonly Position[])[]> {
  const groups = new Map<Head, Group>()
  const places = items.map(records => records.map(record => place(state, groups, record)))
  const rows = [...groups.values()].map(group => ({ group, row: rowOf(group) }))
  try {
    const appended = await appendRows(state.pool, rows.map(({ row }) => row), state.now(), state.token)
    applyAppended(state, rows, appended)
  } catch (error) {
    // Whether it was committed is not known: what is there is read again.
    refreshSoon(state)
    throw error
  }
  return places.map(records => records.map(({ group, index }) => ({
    topic: group.topic.topic, partition: group.head.partition, offset: group.firstOffset + index
  })))
}

function place (state: BusState, groups: Map<Head, Group>, record: BusRecord): { group: Group, index: number } {
  const topic = topicOf(state, record.topic)
  const head = topic.heads[partitionOf(record.key, topic.partitions)]!
  let group = groups.get(head)
  if (group === undefined) {
    group = { topic, head, records: [], firstOffset: 0 }
    groups.set(head, group)
  }
  return { group, index: group.records.push(record) - 1 }
}

function rowOf ({ topic, head, records }: Group): NewRow {
  return { topicId: topic.topicId, partition: head.partition, recordCount: records.length, bytes: encodeRow(records) }
}

function applyAppended (state: BusState, rows: readonly { group: Group, row: NewRow }[], appended: readonly Appended[]): void {
  const byPlace = new Map(appended.map(row => [`${row.topicId}/${row.partition}`, row]))
  for (const { group, row } of rows) {
    const { firstOffset, releasedOffset } = byPlace.get(`${row.topicId}/${row.partition}`)!
    const nextOffset = firstOffset + row.recordCount
    group.firstOffset = firstOffset
    group.head.nextOffset = Math.max(group.head.nextOffset, nextOffset)
    if (group.head.tail === undefined) group.head.releasedOffset = releasedOffset
    else group.head.tail.push({ firstOffset, nextOffset, bytes: row.bytes })
  }
  setReachable(state, true)
  wake(state, new Set(rows.map(({ group }) => group.topic)))
}

function full (what: string): ServiceError {
  return new ServiceError('busy', 'BUS_FULL', `the bus is full: ${what}`, { retryAfterS: RETRY_AFTER_S })
}
