/** What the Kafka cluster says of our topics → a finding. */

import type { Difference } from '../../platform/bus/kafka/govern-topics.ts'
import { type Check, type Finding, note, ok, wrong } from './check.ts'

export interface BusParts {
  kind: 'embedded' | 'kafka'
  /** Asked only of Kafka. */
  differences (): Promise<readonly Difference[]>
}

export function busCheck ({ kind, differences }: BusParts): Check {
  return { name: 'bus', run: async () => kind === 'embedded' ? ok('embedded in PostgreSQL') : ofKafka(await differences()) }
}

function ofKafka (differences: readonly Difference[]): Finding {
  const texts = differences.map(({ topic, what, name, is, wants }) => what === 'topic' ? `${topic} is missing` : `${topic}: ${name ?? what} is ${is || 'not set'}, wanted ${wants}`)
  const mend = 'oxbow topics apply, with a login that may; for partitions set bus.partitions to what is there'
  // Only what can lose readings is wrong: a broker that removes them by itself, fewer copies than were asked for, a topic that is not there.
  if (differences.some(({ what, name }) => what !== 'partitions' && name !== 'max.message.bytes')) return wrong(texts.join('; '), mend)
  return differences.length === 0 ? ok('Kafka, with all topics as the settings want them') : note(texts.join('; '), mend)
}
