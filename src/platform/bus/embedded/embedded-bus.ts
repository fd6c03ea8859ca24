/** The bus embedded in PostgreSQL (database `oxbow_bus`, schema `bus`): no broker, the promises of the seam. */

import { createPool } from '../../postgres/pool.ts'
import { repeat } from '../../repeat.ts'
import type { EpochMs } from '../../../model/units.ts'
import { type Bus, type BusConsumer, type ConsumerOptions, offsetGone, TAKE_BYTES_MAX, type TopicOptions } from '../bus.ts'
import { busClosed, createPublisher, PUBLISH_LIMITS, type PublishLimits } from '../publish.ts'
import { backlogOf, headsToTake, topicOf } from '../topic-state.ts'
import { append } from './append.ts'
import { createEmbeddedConsumer, type Head } from './consumer.ts'
import { type BusState, openState, refresh, refreshSoon, removeExpired, saveOffsets, setReachable, type Topic } from './state.ts'
import { listen } from './listener.ts'
import { CHANNEL, readBegins, readRows } from './tables.ts'
import { createTail } from './tail.ts'

export interface EmbeddedBusOptions extends Partial<PublishLimits> {
  /** Connection string of login `oxbow_bus`. */
  url: string
  topics: readonly TopicOptions[]
  now: () => EpochMs
  /** Newest rows kept in memory for consumers of this process. Default 64 MiB. */
  tailBytesMax?: number
  /** How often released records past their time are removed. Default 60 s. */
  retentionEveryMs?: number
  /** Called with false when PostgreSQL is lost and with true when it is back. */
  onReachable?: (reachable: boolean) => void
}

/** Released offsets are written this often: a restart and other processes take them for the measure of backlog until the consumer says. */
const RELEASE_SAVE_MS = 1_000
const RETENTION_EVERY_MS = 60_000
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 2_000
const CONNECTIONS_MAX = 4
const MIB = 1024 * 1024

/** Makes the topics that are missing and opens the bus. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openEmbeddedBus (options: EmbeddedBusOptions): Promise<Bus> {
  const pool = createPool({ url: options.url, connectionsMax: CONNECTIONS_MAX, applicationName: 'oxbow bus' })
  const state = await openState({
    pool, now: options.now, topics: options.topics, tailBytesMax: options.tailBytesMax ?? 64 * MIB, onReachable: options.onReachable ?? (() => {})
  }).catch(async (error: unknown) => {
    await pool.end()
    throw error
  })
  const publisher = createPublisher({
    topics: state.topics, limits: { ...PUBLISH_LIMITS, ...options }, append: groups => append(state, groups), refresh: () => refresh(state), closing: state.closing.signal
  })
  const stopBackground = startBackground(state, options)
  let closed: Promise<void> | undefined
  async function close (): Promise<void> {
    state.closing.abort()
    await publisher.idle()
    for (const consumer of [...state.consumers.keys()]) await consumer.close()
    await stopBackground()
    await pool.end()
  }
  return {
    kind: 'embedded',
    publish: publisher.publish,
    partitionCount: topic => topicOf(state.topics, topic).partitions,
    consume: wanted => consume(state, wanted),
    backlog: topic => backlogOf(topicOf(state.topics, topic)),
    async ends (topic) {
      const { heads } = topicOf(state.topics, topic)
      await refresh(state)
      return heads.map(head => head.nextOffset)
    },
    close: () => closed ??= close()
  }
}

/** Listening to other processes, saving of released offsets, retention. A failure of one turn is made up for by the next. */
function startBackground (state: BusState, options: EmbeddedBusOptions): () => Promise<void> {
  const stopListening = listen({
    url: options.url,
    channel: CHANNEL,
    retryMinMs: RETRY_MIN_MS,
    retryMaxMs: RETRY_MAX_MS,
    onListening: () => { refreshSoon(state) },
    onNotify: payload => { if (payload !== state.token) refreshSoon(state) },
    onBroken: () => { setReachable(state, false) }
  })
  const repetitions = [repeat(RELEASE_SAVE_MS, () => saveOffsets(state)), repeat(options.retentionEveryMs ?? RETENTION_EVERY_MS, () => removeExpired(state))]
  return async () => { await Promise.all([stopListening(), ...repetitions.map(one => one.stop()), state.refresh.running?.catch(() => {})]) }
}

async function consume (state: BusState, options: ConsumerOptions): Promise<BusConsumer> {
  if (state.closing.signal.aborted) throw busClosed()
  const topic = topicOf(state.topics, options.topic)
  const heads = takePartitions(state, topic, options.partitions)
  const giveUp = () => { for (const head of heads) giveBack(head) }
  try {
    const positions = await startingPositions(state, topic, heads, options)
    for (const head of heads) head.releasedOffset = positions.get(head.partition)!
    state.released = true
    const consumer = createEmbeddedConsumer({
      topic: topic.topic,
      heads,
      positions,
      bytesMax: options.bytesMax ?? TAKE_BYTES_MAX,
      readRows: (partition, offset, bytesMax) => readRows(state.pool, topic.topicId, partition, offset, bytesMax),
      retryMs: RETRY_MIN_MS * 2,
      onReleased: () => { state.released = true },
      onClosed: async () => {
        // What could not be saved is released again by whoever resumes.
        await saveOffsets(state).catch(() => {})
        giveUp()
        state.consumers.delete(consumer)
      }
    })
    state.consumers.set(consumer, topic)
    if (options.signal?.aborted === true) await consumer.close()
    return consumer
  } catch (error) {
    giveUp()
    throw error
  }
}

/** A partition has a tail exactly while a consumer of this process has it. */
function takePartitions (state: BusState, topic: Topic, partitions: readonly number[]): readonly Head[] {
  const heads = headsToTake(topic, partitions, ({ tail }) => tail !== undefined)
  for (const head of heads) head.tail = createTail(state.tailBudget)
  return heads
}

function giveBack (head: Head): void {
  head.tail?.dropBelow(Number.POSITIVE_INFINITY)
  head.tail = undefined
}

async function startingPositions (state: BusState, topic: Topic, heads: readonly Head[], options: ConsumerOptions): Promise<ReadonlyMap<number, number>> {
  const wanted = await options.resumeFrom(heads.map(({ partition }) => partition))
  await refresh(state)
  const firstOffsets = await readBegins(state.pool, topic.topic)
  return new Map(heads.map(head => {
    const offset = wanted.get(head.partition) ?? 0
    if (offset < (firstOffsets.get(head.partition) ?? 0) || offset > head.nextOffset) throw offsetGone(topic.topic, head.partition, offset)
    return [head.partition, offset]
  }))
}
