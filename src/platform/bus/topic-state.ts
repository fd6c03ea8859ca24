/** What a process knows of a topic and its partitions, whatever keeps them. */

import { ServiceError } from '../../model/errors.ts'
import type { TopicOptions } from './bus.ts'

export interface Head {
  partition: number
  /** Offset after the last record known to be durable. */
  nextOffset: number
  releasedOffset: number
}

export interface TopicState<H extends Head = Head> extends TopicOptions {
  retainMs: number
  /** By partition. */
  heads: readonly H[]
  /** Records handed to `publish` and not durable yet. */
  pendingCount: number
}

const RETAIN_MS = 24 * 3_600_000

/** A topic of which nothing is known yet but its partitions. */
export function newTopic<H extends Head> ({ retainMs = RETAIN_MS, ...options }: TopicOptions, heads: readonly H[]): TopicState<H> {
  return { ...options, partitions: heads.length, heads, retainMs, pendingCount: 0 }
}

/** @throws ServiceError fault INTERNAL */
export function topicOf<T> (topics: ReadonlyMap<string, T>, name: string): T {
  const topic = topics.get(name)
  if (topic === undefined) throw new ServiceError('fault', 'INTERNAL', `topic ${name} was not declared`)
  return topic
}

/** The heads of partitions that a consumer is to take. @throws ServiceError fault INTERNAL when one does not exist, or has a consumer of this process */
export function headsToTake<H extends Head> (topic: TopicState<H>, partitions: readonly number[], isTaken: (head: H) => boolean): readonly H[] {
  return partitions.map(partition => {
    const head = topic.heads[partition]
    if (head === undefined) throw new ServiceError('fault', 'INTERNAL', `topic ${topic.topic} has no partition ${partition}`)
    if (isTaken(head)) throw new ServiceError('fault', 'INTERNAL', `partition ${partition} of ${topic.topic} has a consumer already`)
    return head
  })
}

/** Records appended and not released. */
export function backlogOf ({ heads }: TopicState): number {
  return heads.reduce((sum, head) => sum + Math.max(0, head.nextOffset - head.releasedOffset), 0)
}
