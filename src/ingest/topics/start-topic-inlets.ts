/** Topics as configured → one inlet each. */

import type { Pool } from 'pg'
import type { TopicSetting } from '../../config/schema.ts'
import type { Events } from '../../observability/events.ts'
import type { AcceptMessages } from '../accept-messages.ts'
import { createRateLimiter, type Rate } from '../rate-limit.ts'
import { type OpenTopic, startTopicInlet, type TopicInletParts } from './topic-inlet.ts'
import { createTopicOffsets } from './topic-offsets.ts'

export interface TopicInletsParts extends Pick<TopicInletParts, 'now' | 'times'> {
  /** Each topic is a gateway: over its limit its messages wait. */
  gatewayRate?: Rate | undefined
  topics: readonly TopicSetting[]
  open: OpenTopic
  /** Login `oxbow_ingest`. */
  pool: Pool
  acceptMessages: AcceptMessages
  events: Pick<Events, 'raise' | 'clear' | 'arrivedFrom' | 'watchLag'>
}

export interface TopicInlets {
  /** Lets the batches in hand become durable. */
  close (): Promise<void>
}

/** Returns at once: a topic that cannot be read keeps no door closed. */
export function startTopicInlets ({ topics, pool, gatewayRate, ...parts }: TopicInletsParts): TopicInlets {
  const offsets = createTopicOffsets(pool)
  const limiter = gatewayRate === undefined ? undefined : createRateLimiter(gatewayRate)
  const inlets = topics.map(setting => ({ setting, inlet: startTopicInlet({ ...parts, setting, offsets, pace: limiter === undefined ? undefined : (count, now) => limiter.take(setting.topic, count, now) }) }))
  if (inlets.length > 0) parts.events.watchLag(() => new Map(inlets.map(({ setting, inlet }) => [setting.topic, inlet.lag()])))
  return { close: async () => { await Promise.all(inlets.map(({ inlet }) => inlet.close())) } }
}
