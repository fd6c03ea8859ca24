/** Groups of records → acknowledged by all copies of their partitions. One send is in flight at a time: overlapping sends of kafkajs 2.2.4's
 *  idempotent producer lose acknowledged records when a response is lost (docs/decisions/0009). */

import { setTimeout as delay } from 'node:timers/promises'
import type { Message, Producer, RecordMetadata } from 'kafkajs'
import { ServiceError } from '../../../model/errors.ts'
import { unlessAborted } from '../../within.ts'
import { busClosed, type Group } from '../publish.ts'
import { recordBytes } from '../record-bytes.ts'
import { asKafkaError, type KafkaClient, PRODUCER, protocolError } from './client.ts'
import type { Topic } from './state.ts'

export interface ProducerParts {
  client: KafkaClient
  now: () => number
  closing: AbortSignal
  setReachable: (reachable: boolean) => void
}

export interface Appender {
  /** Tries until all are durable or the bus closes. @throws ServiceError unavailable BUS_CLOSED, or STORE_UNAVAILABLE when this login may not write */
  append (groups: readonly Group<Topic>[]): Promise<void>
  close (): Promise<void>
}

/** Records of one group that fit into one batch of the protocol. */
interface Chunk { group: Group<Topic>, from: number, until: number, offset: number | undefined }

const RETRY_MS = 500
/** A send that takes longer is reported. */
const SLOW_MS = 3_000
/** What a batch holds beside keys and values, at most: its head, and of each record lengths, time and attributes. */
const BATCH_OVERHEAD_BYTES = 512
const RECORD_OVERHEAD_BYTES = 32

/** The broker no longer counts as we do: a new producer counts anew, and what was sent is sent again. */
const COUNT_LOST: ReadonlySet<string> = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER', 'DUPLICATE_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID', 'INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'INVALID_PRODUCER_ID_MAPPING'
])
/** Trying again will not help: an operator must. */
const REFUSED: ReadonlySet<string> = new Set([
  'TOPIC_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED', 'MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TOPIC_EXCEPTION'
])

/** Most bytes of one record, key and value, that fit into a batch of so many. */
export function recordRoom (batchBytesMax: number): number { return batchBytesMax - BATCH_OVERHEAD_BYTES - RECORD_OVERHEAD_BYTES }

/** @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function createAppender (parts: ProducerParts): Promise<Appender> {
  let producer = await newProducer(parts.client).catch(error => { throw asKafkaError(error) })

  /** Until the send has an answer for every chunk: a partition that moved to a broker which had answered already is left out by the client. */
  async function sendAll (chunks: readonly Chunk[]): Promise<void> {
    for (let rest = chunks; rest.length > 0; rest = rest.filter(({ offset }) => offset === undefined)) {
      const answers = await send(rest)
      for (const chunk of rest) chunk.offset = offsetIn(answers, chunk)
    }
  }
  async function send (chunks: readonly Chunk[]): Promise<RecordMetadata[]> {
    const slow = setTimeout(() => { parts.setReachable(false) }, SLOW_MS).unref()
    try {
      while (!parts.closing.aborted) {
        try {
          const sending = producer.sendBatch({ acks: -1, topicMessages: chunks.map(chunk => messagesOf(chunk, parts.now())) })
          // What the client has no answer to when the bus closes is given up: it may be there all the same.
          const answers = await unlessAborted(sending, parts.closing)
          parts.setReachable(true)
          return answers
        } catch (error) {
          if (REFUSED.has(protocolError(error))) throw asKafkaError(error)
          if (COUNT_LOST.has(protocolError(error))) producer = await renew(producer)
          await delay(RETRY_MS, undefined, { signal: parts.closing }).catch(() => {})
        }
      }
      throw busClosed()
    } finally {
      clearTimeout(slow)
    }
  }
  /** The old one when there is no new one yet: the next turn asks again. */
  async function renew (old: Producer): Promise<Producer> {
    const fresh = await newProducer(parts.client).catch(() => undefined)
    if (fresh === undefined) return old
    old.disconnect().catch(() => {})
    return fresh
  }
  return {
    async append (groups) {
      const chunked = groups.map(chunksOf)
      // The chunks of a partition go one after the other, so that they keep their order.
      for (let round = 0; chunked.some(chunks => chunks.length > round); round++) {
        await sendAll(chunked.flatMap(chunks => chunks.slice(round, round + 1)))
      }
      for (const [index, group] of groups.entries()) {
        group.firstOffset = chunked[index]![0]!.offset!
        group.head.nextOffset = Math.max(group.head.nextOffset, group.firstOffset + group.records.length)
      }
    },
    close: () => producer.disconnect()
  }
}

async function newProducer (client: KafkaClient): Promise<Producer> {
  const producer = client.producer({
    ...PRODUCER,
    // Every message says its partition.
    createPartitioner: () => ({ message }) => message.partition ?? 0
  })
  await producer.connect()
  return producer
}

function chunksOf (group: Group<Topic>): Chunk[] {
  const chunks: Chunk[] = []
  let from = 0
  let bytes = BATCH_OVERHEAD_BYTES
  for (const [index, record] of group.records.entries()) {
    const size = recordBytes(record) + RECORD_OVERHEAD_BYTES
    if (index > from && bytes + size > group.topic.batchBytesMax) {
      chunks.push({ group, from, until: index, offset: undefined })
      from = index
      bytes = BATCH_OVERHEAD_BYTES
    }
    bytes += size
  }
  return [...chunks, { group, from, until: group.records.length, offset: undefined }]
}

function messagesOf ({ group, from, until }: Chunk, nowMs: number): { topic: string, messages: Message[] } {
  const { partition } = group.head
  const timestamp = String(nowMs)
  const messages = group.records.slice(from, until).map(({ key, value }): Message => ({ key: Buffer.from(key), value: asBuffer(value), partition, timestamp }))
  return { topic: group.topic.physical, messages }
}

function asBuffer (value: Uint8Array): Buffer { return Buffer.from(value.buffer, value.byteOffset, value.byteLength) }

function offsetIn (answers: readonly RecordMetadata[], { group }: Chunk): number | undefined {
  const answer = answers.find(({ topicName, partition }) => topicName === group.topic.physical && partition === group.head.partition)
  if (answer === undefined) return undefined
  const offset = Number(answer.baseOffset ?? -1)
  // A repeated batch that the broker remembers no longer in full: it is there, its place is not said.
  if (offset < 0) throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'Kafka has the records and does not say where')
  return offset
}
