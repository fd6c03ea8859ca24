/** Records for a topic that is not ours: a receiver's. In the order of the calls, one in flight, each acknowledged by all copies before it resolves. */

import type { Producer } from 'kafkajs'
import { ServiceError } from '../../../model/errors.ts'
import { within } from '../../within.ts'
import { asKafkaError, createKafkaClient, GOODBYE_TIMEOUT_MS, type KafkaConnection, PRODUCER, protocolError, RETRY } from './client.ts'

export interface OutgoingRecord { key: string, value: string, headers: Readonly<Record<string, string>> }

export interface TopicWriter {
  /** Tries for about ten seconds. @throws ServiceError incorrect BUS_RECORD_TOO_LARGE: the topic never takes it · unavailable STORE_UNAVAILABLE: it may be there all the same, and written again it may stand there twice */
  write (record: OutgoingRecord): Promise<void>
  close (): Promise<void>
}

export interface TopicWriterOptions {
  connection: KafkaConnection
  topic: string
  log?: (message: string) => void
}

const TOO_LARGE: ReadonlySet<string> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])

/** Connects at the first record, so that a cluster that is away keeps no server from starting. The topic is its owner's to make. */
export function openTopicWriter ({ connection, topic, log }: TopicWriterOptions): TopicWriter {
  const client = createKafkaClient({ connection, log })
  let producer: Producer | undefined
  async function connected (): Promise<Producer> {
    if (producer !== undefined) return producer
    const made = client.producer({ ...PRODUCER, retry: RETRY })
    await made.connect()
    producer = made
    return made
  }
  return {
    async write ({ key, value, headers }) {
      try {
        await (await connected()).send({ topic, acks: -1, messages: [{ key, value, headers: { ...headers } }] })
      } catch (error) {
        if (TOO_LARGE.has(protocolError(error))) throw new ServiceError('incorrect', 'BUS_RECORD_TOO_LARGE', `${topic} takes no record of that size: raise its max.message.bytes, or send fewer entries in one Bundle`)
        // Whatever the broker thinks of this producer's numbers: the next one counts anew.
        producer?.disconnect().catch(() => {})
        producer = undefined
        throw asKafkaError(error)
      }
    },
    close: () => within(GOODBYE_TIMEOUT_MS, producer?.disconnect() ?? Promise.resolve())
  }
}
