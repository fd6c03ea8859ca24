/** What one process knows of its topics on a Kafka cluster, and how it learns of what others did. */

import type { Admin } from 'kafkajs'
import type { EpochMs } from '../../../model/units.ts'
import type { TopicOptions } from '../bus.ts'
import { newTopic, type Head as AnyHead, type TopicState } from '../topic-state.ts'
import { type FoundTopic, releasedBy, spansOf } from './topics.ts'

export interface Head extends AnyHead {
  /** A consumer of this process has it: it knows better than the cluster what is released. */
  isTaken: boolean
}

export interface Topic extends TopicState<Head> {
  /** Its name on the cluster. */
  physical: string
  /** Its readers; the offsets it commits are what is released. */
  groupId: string
  batchBytesMax: number
}

export interface KafkaState {
  admin: Admin
  topics: ReadonlyMap<string, Topic>
  now: () => EpochMs
  closing: AbortController
  setReachable: (reachable: boolean) => void
}

export function newKafkaTopic (options: TopicOptions, prefix: string, { partitions, batchBytesMax }: FoundTopic): Topic {
  const physical = prefix + options.topic
  const heads = Array.from({ length: partitions }, (_, partition): Head => ({ partition, nextOffset: 0, releasedOffset: 0, isTaken: false }))
  return { ...newTopic(options, heads), physical, groupId: `${physical}.readers`, batchBytesMax }
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function refresh ({ admin, topics, setReachable }: KafkaState): Promise<void> {
  for (const topic of topics.values()) {
    const spans = await spansOf(admin, topic.physical)
    const released = await releasedBy(admin, topic.groupId, topic.physical)
    for (const head of topic.heads) {
      const span = spans.get(head.partition)
      if (span === undefined) continue
      head.nextOffset = Math.max(head.nextOffset, span.high)
      // Records that are no longer there count as released.
      if (!head.isTaken) head.releasedOffset = Math.max(released.get(head.partition) ?? 0, span.low)
    }
  }
  setReachable(true)
}
