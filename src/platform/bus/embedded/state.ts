/** What one process knows of the embedded bus, and how it learns of what others did: the heads of all partitions. */

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import { type EpochMs, epochMs } from '../../../model/units.ts'
import type { TopicOptions } from '../bus.ts'
import { newTopic, type TopicState } from '../topic-state.ts'
import type { EmbeddedConsumer, Head } from './consumer.ts'
import { declareTopic, readHeads, removeReleased, saveReleased } from './tables.ts'
import type { TailBudget } from './tail.ts'

export interface Topic extends TopicState<Head> { topicId: number }

export interface BusState {
  pool: Pool
  /** Tells our own notifications from those of other processes. */
  token: string
  now: () => EpochMs
  topics: ReadonlyMap<string, Topic>
  consumers: Map<EmbeddedConsumer, Topic>
  tailBudget: TailBudget
  closing: AbortController
  reachable: boolean
  onReachable: (reachable: boolean) => void
  refresh: { running: Promise<void> | undefined, wanted: boolean }
  /** Offsets were released that the database does not know of. */
  released: boolean
}

const RETRY_MS = 250

export type StateOptions = Pick<BusState, 'pool' | 'now' | 'onReachable'> & { topics: readonly TopicOptions[], tailBytesMax: number }

/** Makes the topics that are missing and reads how far each partition is. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openState ({ pool, now, onReachable, topics, tailBytesMax }: StateOptions): Promise<BusState> {
  const opened = new Map<string, Topic>()
  for (const topic of topics) opened.set(topic.topic, await openTopic(pool, topic))
  const state: BusState = {
    pool,
    token: randomUUID(),
    now,
    topics: opened,
    consumers: new Map(),
    tailBudget: { bytesMax: tailBytesMax, used: 0 },
    closing: new AbortController(),
    reachable: true,
    onReachable,
    refresh: { running: undefined, wanted: false },
    released: false
  }
  await refresh(state)
  return state
}

/** Reads the heads of all partitions; a call while one runs is answered by the next reading, so that it sees what it was called for. */
export function refresh (state: BusState): Promise<void> {
  state.refresh.wanted = true
  state.refresh.running ??= readWhileWanted(state).finally(() => { state.refresh.running = undefined })
  return state.refresh.running
}

/** As `refresh`, in the background and again until it succeeds. */
export function refreshSoon (state: BusState): void {
  const attempt = async () => {
    while (!state.closing.signal.aborted) {
      const done = await refresh(state).then(() => true, () => false)
      if (done) return
      setReachable(state, false)
      await delay(RETRY_MS, undefined, { signal: state.closing.signal, ref: false }).catch(() => {})
    }
  }
  attempt().catch(() => {})
}

export function setReachable (state: BusState, reachable: boolean): void {
  if (state.reachable === reachable || state.closing.signal.aborted) return
  state.reachable = reachable
  state.onReachable(reachable)
}

/** Wakes the consumers of `topics`, or all. */
export function wake (state: BusState, topics?: ReadonlySet<Topic>): void {
  for (const [consumer, topic] of state.consumers) if (topics?.has(topic) ?? true) consumer.wake()
}

/** Writes what the consumers of this process have released. */
export async function saveOffsets (state: BusState): Promise<void> {
  if (!state.released) return
  state.released = false
  const taken = [...state.topics.values()].flatMap(({ topicId, heads }) => heads
    .filter(({ tail }) => tail !== undefined)
    .map(({ partition, releasedOffset }) => ({ topicId, partition, offset: releasedOffset })))
  try {
    if (taken.length > 0) await saveReleased(state.pool, taken)
  } catch (error) {
    state.released = true
    throw error
  }
}

/** Removes what is released and past its time. */
export async function removeExpired (state: BusState): Promise<void> {
  await saveOffsets(state)
  for (const { topicId, retainMs } of state.topics.values()) await removeReleased(state.pool, topicId, epochMs(state.now() - retainMs))
}

async function openTopic (pool: Pool, options: TopicOptions): Promise<Topic> {
  const { topicId, partitions } = await declareTopic(pool, options)
  const heads = Array.from({ length: partitions }, (_, partition): Head => ({ partition, nextOffset: 0, releasedOffset: 0, tail: undefined }))
  return { ...newTopic(options, heads), topicId }
}

async function readWhileWanted (state: BusState): Promise<void> {
  while (state.refresh.wanted) {
    state.refresh.wanted = false
    await readAll(state)
  }
}

async function readAll (state: BusState): Promise<void> {
  const byId = new Map([...state.topics.values()].map(topic => [topic.topicId, topic]))
  for (const { topicId, partition, nextOffset, releasedOffset } of await readHeads(state.pool)) {
    const head = byId.get(topicId)?.heads[partition]
    if (head === undefined) continue
    head.nextOffset = Math.max(head.nextOffset, nextOffset)
    // While a consumer here has the partition, it knows better than the database.
    if (head.tail === undefined) head.releasedOffset = releasedOffset
  }
  setReachable(state, true)
  wake(state)
}
