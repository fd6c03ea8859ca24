/** A topic that others write to, as a reader of ours has it: batches from the offsets it names, shared with our other processes by the group.
 *
 *  Its owner decides what stays there. Records removed before we read them are reported (`onLost`), and the reader goes on behind them: standing still would lose more. */

import type { Admin } from 'kafkajs'
import { within } from '../../within.ts'
import { type BusConsumer, type ConsumerOptions, TAKE_BYTES_MAX } from '../bus.ts'
import { backlogOf } from '../topic-state.ts'
import { asKafkaError, createKafkaClient, GOODBYE_TIMEOUT_MS, type KafkaClient, type KafkaConnection } from './client.ts'
import { type VendorTopic, openKafkaConsumer } from './consumer.ts'
import { newKafkaTopic, type Topic } from './state.ts'
import { partitionsOf, spansOf } from './topics.ts'

export interface TopicSourceOptions extends VendorTopic {
  connection: KafkaConnection
  topic: string
  /** Our group on it. */
  groupId: string
  /** Offset of the next record wanted; a partition that is missing begins with the oldest record there. Asked again whenever partitions were given anew. */
  resumeFrom: ConsumerOptions['resumeFrom']
  /** Most bytes held in memory. Default 8 MiB. */
  bytesMax?: number
  signal: AbortSignal
  log?: (message: string) => void
}

export interface TopicSource extends BusConsumer {
  /** Offsets between what is released and the newest record, of the partitions it has: a bound of the records that wait. */
  lag (): number
  /** Asks the cluster, whatever has been fetched. `end`: sum of the offsets after the newest records of the partitions it has. `hasGrown`: there are more partitions than when the
   *  topic was opened, which nobody reads until it is opened again. @throws ServiceError unavailable STORE_UNAVAILABLE */
  look (): Promise<{ end: number, hasGrown: boolean }>
}


/** @throws ServiceError unavailable STORE_UNAVAILABLE: the cluster is away, refuses us, or has no such topic */
export async function openTopicSource (options: TopicSourceOptions): Promise<TopicSource> {
  const client = createKafkaClient({ connection: options.connection, log: options.log })
  const admin = client.admin()
  const goodbye = (): Promise<void> => within(GOODBYE_TIMEOUT_MS, admin.disconnect())
  try {
    await admin.connect()
    const partitions = await partitionsOf(admin, options.topic)
    // Nothing is written there.
    const topic: Topic = { ...newKafkaTopic({ topic: options.topic, partitions }, '', { partitions, batchBytesMax: 0 }), groupId: options.groupId }
    return asSource(await consume(client, admin, topic, options), topic, admin, goodbye)
  } catch (error) {
    await goodbye()
    throw asKafkaError(error)
  }
}

function consume (client: KafkaClient, admin: Admin, topic: Topic, { resumeFrom, bytesMax = TAKE_BYTES_MAX, signal, onLost }: TopicSourceOptions): Promise<BusConsumer> {
  return openKafkaConsumer({
    client, topic, wanted: topic.heads.map(({ partition }) => partition), resumeFrom, bytesMax, signal, vendor: { onLost }, spans: () => spansOf(admin, topic.physical), open: new Set()
  })
}

function asSource (consumer: BusConsumer, topic: Topic, admin: Admin, goodbye: () => Promise<void>): TopicSource {
  return {
    get partitions () { return consumer.partitions },
    take: consumer.take,
    release: consumer.release,
    lag: () => backlogOf({ ...topic, heads: consumer.partitions.map(partition => topic.heads[partition]!) }),
    async look () {
      const spans = await spansOf(admin, topic.physical)
      for (const head of topic.heads) head.nextOffset = Math.max(head.nextOffset, spans.get(head.partition)?.high ?? 0)
      const end = consumer.partitions.reduce((sum, partition) => sum + topic.heads[partition]!.nextOffset, 0)
      return { end, hasGrown: await partitionsOf(admin, topic.physical) > topic.partitions }
    },
    async close () {
      await consumer.close()
      await goodbye()
    }
  }
}
