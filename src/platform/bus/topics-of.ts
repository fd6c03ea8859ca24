/** Settings → every topic of ours as a bus is told of it. */

import type { Config } from '../../config/schema.ts'
import { STREAMS } from '../../model/streams.ts'
import type { TopicOptions } from './bus.ts'

/** Ours, with what the settings say of each; names without `kafka.topicPrefix`. */
export function topicsOf (config: Config): readonly TopicOptions[] {
  const partitions = config['bus.partitions']
  return STREAMS.map(({ topic, stays }) => ({
    topic, partitions, ...(stays === 'until archived' ? { retainMs: 0, backlogMax: config['archive.backlogMax'] } : { retainMs: config['bus.retain'] })
  }))
}
