/** Prints `docs/topics.md` from the topics; a test compares the two. */

import { STREAMS, type Stream } from '../../model/streams.ts'

export function topicsPage (): string {
  return [
    '# Topics',
    '',
    'Printed from `src/model/streams.ts` by `npm run -s docs`; do not edit by hand.',
    '',
    'On the embedded bus a topic is rows of the database `oxbow_bus`; on Kafka (`bus.kind`) it is a topic of this name behind `kafka.topicPrefix`, and its readers are the consumer group `<topic>.readers`.',
    'Every topic has `bus.partitions` partitions, fixed when it is made; the key of a record decides its partition, so the readings of a sid keep their order. A sid is a pseudonym: no topic of ours holds an id of a device or a person in clear.',
    '',
    '| topic | key | written by | read by | holds | stays |',
    '|---|---|---|---|---|---|',
    ...STREAMS.map(row),
    ''
  ].join('\n')
}

function row ({ topic, key, writers, readers, holds, stays }: Stream): string {
  const staying = stays === 'read' ? 'until it is read and `bus.retain` is over' : 'until the archive has it'
  return `| \`${topic}\` | ${key} | ${files(writers)} | ${files(readers)} | ${holds} | ${staying} |`
}

function files (names: readonly string[]): string { return names.map(name => `\`src/${name}.ts\``).join(', ') }
