/** Settings → a reader of a topic that others write to, on the cluster that they name. */

import type { Config } from '../../config/schema.ts'
import type { TopicSource, TopicSourceOptions } from './kafka/topic-source.ts'

/** Our group on a topic of others, for tools that show lag. */
function sourceGroup (config: Config, topic: string): string { return `${config['kafka.topicPrefix']}oxbow.inlet.${topic}` }

/** @throws ServiceError unavailable STORE_UNAVAILABLE · incorrect CONFIG_INVALID */
export async function topicSourceOf (config: Config, options: Omit<TopicSourceOptions, 'connection' | 'groupId'>): Promise<TopicSource> {
  // Loaded where it is used: the client costs memory and time at the start.
  const [{ openTopicSource }, { kafkaConnectionOf }] = await Promise.all([import('./kafka/topic-source.ts'), import('./kafka/connection.ts')])
  return openTopicSource({ ...options, connection: kafkaConnectionOf(config), groupId: sourceGroup(config, options.topic) })
}
