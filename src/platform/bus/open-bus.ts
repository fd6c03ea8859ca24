/** Settings → the bus they choose, with our topics on it. */

import type { Config } from '../../config/schema.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Bus } from './bus.ts'
import { openEmbeddedBus } from './embedded/embedded-bus.ts'
import { topicsOf } from './topics-of.ts'

export interface BusParts {
  /** Connection string of login `oxbow_bus`. */
  url: string
  now: () => EpochMs
  onReachable: (reachable: boolean) => void
  /** What a client library has to say. */
  log: (message: string) => void
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE · incorrect CONFIG_INVALID */
export async function openBus (config: Config, { url, now, onReachable, log }: BusParts): Promise<Bus> {
  const common = { topics: topicsOf(config), now, backlogMax: config['bus.backlogMax'], onReachable }
  if (config['bus.kind'] === 'embedded') return openEmbeddedBus({ ...common, url })
  // Loaded where it is used: the client costs memory and time at the start.
  const [{ openKafkaBus }, { kafkaConnectionOf }] = await Promise.all([import('./kafka/kafka-bus.ts'), import('./kafka/connection.ts')])
  return openKafkaBus({
    ...common, log, connection: kafkaConnectionOf(config), prefix: config['kafka.topicPrefix'], replicationFactor: config['kafka.replicationFactor']
  })
}
