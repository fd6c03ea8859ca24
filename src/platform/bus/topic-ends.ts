/** Settings → where a topic of ours begins and ends, asked of the bus that they choose without opening it. */

import type { Pool } from 'pg'
import type { Config } from '../../config/schema.ts'
import { readBegins, readEnds } from './embedded/tables.ts'

/** Offset after the last record, by partition. @param pool of login `oxbow_bus`, asked for where that is the bus. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function topicEnds (config: Config, pool: () => Pool, topic: string): Promise<ReadonlyMap<number, number>> {
  if (config['bus.kind'] === 'embedded') return readEnds(pool(), topic)
  // Loaded where it is used: the client costs memory and time at the start.
  return (await import('./kafka/govern-topics.ts')).endsOf(config, topic)
}

/** Offset of the first record still there, by partition; where nothing is there, the end. Otherwise as `topicEnds`. */
export async function topicBegins (config: Config, pool: () => Pool, topic: string): Promise<ReadonlyMap<number, number>> {
  if (config['bus.kind'] === 'embedded') return readBegins(pool(), topic)
  return (await import('./kafka/govern-topics.ts')).beginsOf(config, topic)
}
