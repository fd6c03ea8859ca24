/** A member of a topic's group: what the group gives it → batches from the offsets its reader names.
 *
 *  Where to go on is known to the reader's own store, not to Kafka. So at every joining all partitions stand still until that store was asked
 *  (a record delivered before would be one from the wrong place), and what was fetched counts only while it follows on what came before. */

import type { Consumer, EachBatchPayload } from 'kafkajs'
import { repeat } from '../../repeat.ts'
import { unlessAborted, within } from '../../within.ts'
import { type BusConsumer, type ConsumerOptions, offsetGone, type PartitionBatch, reassigned } from '../bus.ts'
import { isStopped, type Stop, untilWoken, type Waiting } from '../until-woken.ts'
import { asKafkaError, GOODBYE_TIMEOUT_MS, type KafkaClient, METADATA_MAX_AGE_MS, RETRY } from './client.ts'
import { heldBytes, type Lane, takeFitting } from './lane.ts'
import { fetchedFrom, pushNothing, pushOurs, pushVendors } from './receive.ts'
import type { Topic } from './state.ts'
import type { Span } from './topics.ts'
import { wishedPartitions } from './wished-partitions.ts'

export interface KafkaConsumerParts {
  client: KafkaClient
  topic: Topic
  wanted: readonly number[]
  resumeFrom: ConsumerOptions['resumeFrom']
  bytesMax: number
  signal: AbortSignal | undefined
  /** The topic is written by others: records may be missing between others, and headers count. Absent: it is ours. */
  vendor?: VendorTopic
  spans: () => Promise<ReadonlyMap<number, Span>>
  /** Holds the consumers that are open. */
  open: Set<BusConsumer>
}

export interface VendorTopic {
  /** Records from `from` up to `until` went before they were read, or the topic is another one than it was (`until` is below `from`). Told before anything behind them is given. */
  onLost: (partition: number, from: number, until: number) => Promise<void>
}

interface Member extends KafkaConsumerParts, Waiting {
  consumer: Consumer
  lanes: Map<number, Lane>
  /** Counts the joinings; what was begun for an earlier one is given up. */
  joinings: number
  /** Resolved once the first joining is dealt with, or failed, or the member was closed. */
  ready: PromiseWithResolvers<void>
  /** The reader has not been told yet that its partitions are others. */
  isReassigned: boolean
  /** A topic of others is not where it was: told once everything in hand was given, and for good. */
  isElsewhere: boolean
  failure: Error | undefined
  closing: AbortController
  turn: number
}

/** Between the 6 s that a broker demands and the time a dead member may keep its partitions. */
const SESSION_TIMEOUT_MS = 10_000
const HEARTBEAT_MS = 1_000
/** Closing waits for the fetch under way, so it is short; a record that comes ends it at once. */
const FETCH_WAIT_MS = 500
/** Released offsets are told to the group this often: for tools that show lag, and as other processes' measure of backlog. */
const COMMIT_MS = 1_000
/** Closing waits so long for its leave; a member that did not say goodbye is missed after its session. */
const LEAVE_TIMEOUT_MS = 3_000

/** Resolves when the group has given us our partitions and their places are known, or closed once `signal` is aborted: a group that misses a dead member
 *  lets nobody in until that one's session is over.
 *  @throws ServiceError fault BUS_OFFSET_GONE · unavailable STORE_UNAVAILABLE */
export async function openKafkaConsumer (parts: KafkaConsumerParts): Promise<BusConsumer> {
  const { client, topic } = parts
  const member: Member = {
    ...parts, consumer: undefined as unknown as Consumer, lanes: new Map(), joinings: 0, ready: Promise.withResolvers(), isReassigned: false, isElsewhere: false,
    failure: undefined, closing: new AbortController(), waiter: undefined, turn: 0
  }
  member.consumer = client.consumer({
    groupId: topic.groupId,
    sessionTimeout: SESSION_TIMEOUT_MS,
    rebalanceTimeout: SESSION_TIMEOUT_MS,
    heartbeatInterval: HEARTBEAT_MS,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytes: parts.bytesMax,
    metadataMaxAge: METADATA_MAX_AGE_MS,
    retry: { ...RETRY, restartOnFailure: async () => !member.closing.signal.aborted },
    allowAutoTopicCreation: false,
    partitionAssigners: [wishedPartitions(topic.physical, () => ({ partitions: parts.wanted, has: [...member.lanes.keys()] }))]
  })
  listen(member)
  const commits = repeat(COMMIT_MS, () => commitReleased(member))
  const close = closer(member, commits.stop)
  const closeNow = (): void => { void close() }
  parts.signal?.addEventListener('abort', closeNow, { once: true })
  if (parts.signal?.aborted === true) closeNow()
  try {
    await unlessAborted(start(member), member.closing.signal)
  } catch (error) {
    if (!member.closing.signal.aborted) {
      await close()
      throw asKafkaError(error)
    }
  } finally {
    parts.signal?.removeEventListener('abort', closeNow)
  }
  const opened: BusConsumer = {
    get partitions () { return [...member.lanes.keys()].sort((a, b) => a - b) },
    take: (recordsMax, signal) => take(member, recordsMax, signal === undefined ? [member.closing.signal] : [member.closing.signal, signal]),
    release (partition, nextOffset) {
      const lane = member.lanes.get(partition)
      if (lane !== undefined && nextOffset > lane.head.releasedOffset) lane.head.releasedOffset = nextOffset
    },
    async close () {
      await close()
      parts.open.delete(opened)
    }
  }
  parts.open.add(opened)
  return opened
}

async function start (member: Member): Promise<void> {
  await member.consumer.connect()
  await member.consumer.subscribe({ topic: member.topic.physical, fromBeginning: true })
  await member.consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: Math.max(1, member.wanted.length),
    eachBatch: async payload => { receive(member, payload) }
  })
  await member.ready.promise
  if (member.failure !== undefined) throw member.failure
  member.isReassigned = false
}

function closer (member: Member, stopCommits: () => Promise<void>): () => Promise<void> {
  let closed: Promise<void> | undefined
  async function close (): Promise<void> {
    member.closing.abort()
    member.ready.resolve()
    await within(GOODBYE_TIMEOUT_MS, stopCommits().then(() => commitReleased(member)))
    await within(LEAVE_TIMEOUT_MS, member.consumer.disconnect())
    for (const { head } of member.lanes.values()) head.isTaken = false
    member.lanes.clear()
  }
  return () => closed ??= close()
}

function listen (member: Member): void {
  const { consumer } = member
  // Called in the tick of the joining, before anything is fetched.
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => { join(member, payload.memberAssignment[member.topic.physical] ?? []) })
  // Of a batch in which nothing is a record; any other one was received, or dropped to be fetched again.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { partition, batchSize, firstOffset, lastOffset } }) => {
    if (batchSize === 0) passOver(member, partition, Number(firstOffset ?? lastOffset), Number(lastOffset))
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => { if (!payload.restart) fail(member, asKafkaError(payload.error)) })
}

function fail (member: Member, error: Error): void {
  member.failure = error
  member.ready.resolve()
  member.waiter?.()
}

function join (member: Member, partitions: readonly number[]): void {
  const joining = ++member.joinings
  if (member.closing.signal.aborted) return
  pause(member, partitions)
  for (const [partition, lane] of member.lanes) if (!partitions.includes(partition)) loseLane(member, partition, lane)
  settle(member, partitions, joining).catch((error: unknown) => { fail(member, asKafkaError(error)) })
}

function loseLane (member: Member, partition: number, lane: Lane): void {
  lane.head.isTaken = false
  member.lanes.delete(partition)
  member.isReassigned = true
}

/** Asks where to go on. A partition we had goes on as if nothing had happened, unless another member went further in it meanwhile. */
async function settle (member: Member, partitions: readonly number[], joining: number): Promise<void> {
  const [wanted, spans] = partitions.length === 0 ? [new Map<number, number>(), new Map<number, Span>()] : await Promise.all([member.resumeFrom(partitions), member.spans()])
  if (joining !== member.joinings || member.closing.signal.aborted) return
  const starts = new Map<number, number>()
  for (const partition of partitions) starts.set(partition, await startOf(member, partition, wanted.get(partition), spans.get(partition)))
  if (joining !== member.joinings || member.closing.signal.aborted) return
  for (const [partition, offset] of starts) {
    const lane = member.lanes.get(partition)
    if (lane === undefined || offset > lane.head.releasedOffset) begin(member, partition, offset)
  }
  for (const partition of partitions) {
    member.consumer.seek({ topic: member.topic.physical, partition, offset: String(member.lanes.get(partition)!.fetched) })
  }
  for (const lane of member.lanes.values()) lane.isPaused = false
  member.consumer.resume([{ topic: member.topic.physical, partitions: [...partitions] }])
  member.ready.resolve()
  member.waiter?.()
}

/** @throws ServiceError fault BUS_OFFSET_GONE for a topic of ours */
async function startOf ({ topic, vendor }: Member, partition: number, wanted: number | undefined, span: Span | undefined): Promise<number> {
  const offset = wanted ?? (vendor === undefined ? 0 : span?.low ?? 0)
  if (span !== undefined && offset >= span.low && offset <= span.high) return offset
  if (vendor === undefined || span === undefined) throw offsetGone(topic.topic, partition, offset)
  await vendor.onLost(partition, offset, span.low)
  return span.low
}

function begin (member: Member, partition: number, offset: number): void {
  const head = member.topic.heads[partition]!
  head.isTaken = true
  head.releasedOffset = offset
  member.lanes.set(partition, { head, position: offset, fetched: offset, records: [], bytes: 0, isPaused: true })
  member.isReassigned = true
}

/** What does not follow on what came before belongs to an earlier joining, or there is a gap. */
function receive (member: Member, { batch, isStale }: EachBatchPayload): void {
  const lane = member.lanes.get(batch.partition)
  if (lane === undefined || lane.isPaused || isStale() || member.closing.signal.aborted) return
  if (member.vendor !== undefined && fetchedFrom(batch) !== lane.fetched) { examine(member, batch.partition, lane); return }
  if (member.vendor !== undefined) pushVendors(lane, batch)
  else if (!pushOurs(lane, batch)) { fail(member, offsetGone(member.topic.topic, batch.partition, lane.fetched)); return }
  lane.head.nextOffset = Math.max(lane.head.nextOffset, Number(batch.highWatermark))
  if (heldBytes(member.lanes) >= member.bytesMax) pauseLane(member, batch.partition, lane)
  member.waiter?.()
}

/** The client goes on by itself behind a batch in which there is no record. */
function passOver (member: Member, partition: number, first: number, last: number): void {
  const lane = member.lanes.get(partition)
  if (lane === undefined || lane.isPaused || last < lane.fetched || member.closing.signal.aborted) return
  if (member.vendor !== undefined) lane.fetched = last + 1
  else if (!pushNothing(lane, first, last)) fail(member, offsetGone(member.topic.topic, partition, lane.fetched))
  member.waiter?.()
}

/** The client did not fetch what was wanted of a topic of others. Where the owner's broker removed it, or the topic is another one by now, the client has
 *  gone to another place by itself: what is in hand is given, and then the reader asks its store anew where to go on. Else it is fetched once more. */
function examine (member: Member, partition: number, lane: Lane): void {
  pauseLane(member, partition, lane)
  member.spans().then(spans => {
    if (member.lanes.get(partition) !== lane || member.closing.signal.aborted) return
    const span = spans.get(partition)
    if (span !== undefined && lane.fetched >= span.low && lane.fetched <= span.high) { resumeLane(member, partition, lane); return }
    member.isElsewhere = true
    member.waiter?.()
  }).catch((error: unknown) => { fail(member, asKafkaError(error)) })
}

function pauseLane (member: Member, partition: number, lane: Lane): void {
  lane.isPaused = true
  pause(member, [partition])
}

function pause (member: Member, partitions: readonly number[]): void {
  if (partitions.length > 0) member.consumer.pause([{ topic: member.topic.physical, partitions: [...partitions] }])
}

/** From where it was left: what came while it was paused was not taken. */
function resumeLane (member: Member, partition: number, lane: Lane): void {
  lane.isPaused = false
  const { physical } = member.topic
  member.consumer.seek({ topic: physical, partition, offset: String(lane.fetched) })
  member.consumer.resume([{ topic: physical, partitions: [partition] }])
}

async function take (member: Member, recordsMax: number, stop: Stop): Promise<readonly PartitionBatch[]> {
  while (!isStopped(stop)) {
    if (member.failure !== undefined) throw member.failure
    if (member.isReassigned) {
      member.isReassigned = false
      throw reassigned()
    }
    const batches = collect(member, recordsMax)
    if (batches.length > 0) return batches
    if (member.isElsewhere) throw reassigned()
    await untilWoken(member, stop)
  }
  return []
}

/** Another partition is first each time, so that a full one does not starve the others. */
function collect (member: Member, recordsMax: number): PartitionBatch[] {
  const room = { records: recordsMax, bytes: member.bytesMax }
  const lanes = [...member.lanes]
  member.turn++
  const batches: PartitionBatch[] = []
  for (const index of lanes.keys()) {
    const [partition, lane] = lanes[(index + member.turn) % lanes.length]!
    const records = takeFitting(lane, room, batches.length === 0)
    if (records.length === 0) continue
    lane.position = records.at(-1)!.offset + 1
    batches.push({ partition, firstOffset: records[0]!.offset, nextOffset: lane.position, records })
  }
  if (batches.length > 0 && heldBytes(member.lanes) < member.bytesMax / 2) {
    for (const [partition, lane] of lanes) if (lane.isPaused && !member.isElsewhere) resumeLane(member, partition, lane)
  }
  return batches
}

/** What cannot be told now is told next time; nothing depends on it but what others see. */
async function commitReleased ({ consumer, topic, lanes }: Member): Promise<void> {
  const offsets = [...lanes].map(([partition, { head }]) => ({ topic: topic.physical, partition, offset: String(head.releasedOffset) }))
  if (offsets.length > 0) await consumer.commitOffsets(offsets).catch(() => {})
}

