/** Settings → a client of a Kafka cluster, with what kafkajs 2.2.4 gets wrong and the adapter relies on put right (docs/decisions/0009). */

import { createRequire } from 'node:module'
import kafkajs, { type Kafka, type KafkaConfig, type LogEntry, type SASLOptions } from 'kafkajs'
import { ServiceError } from '../../../model/errors.ts'
import { registerCodecs } from './codecs.ts'

export interface KafkaConnection {
  /** `host:port`, at least one. */
  brokers: readonly string[]
  /** Present: TLS. PEM texts; without `ca` the certificates of the platform are trusted. */
  tls?: { ca?: string, cert?: string, key?: string }
  sasl?:
    | { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512', username: string, password: string }
    /** @param token gives a token that is valid now, each time a connection logs in */
    | { mechanism: 'oauthbearer', token: () => Promise<string> }
}

export interface ClientOptions {
  connection: KafkaConnection
  /** Receives what the client has to say; no text of a record is in it. Default: nobody. */
  log?: ((message: string) => void) | undefined
}

export type KafkaClient = Kafka

const CONNECT_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 30_000
/** One call of the client gives up after about ten seconds; whether it is made again is decided here, not there. */
export const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, retries: 10 }
/** New partitions and moved leaders are noticed within it. */
export const METADATA_MAX_AGE_MS = 30_000

/** Of every producer of ours. For sequence numbers to mean anything: one request in flight. */
export const PRODUCER = { idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false, metadataMaxAge: METADATA_MAX_AGE_MS } as const
/** Ending waits so long for a last word of the cluster. */
export const GOODBYE_TIMEOUT_MS = 1_000

/** Connects nothing yet: what it gives (producer, consumer, admin) does. */
export function createKafkaClient ({ connection, log }: ClientOptions): KafkaClient {
  registerCodecs()
  calmRequestQueue()
  const config: KafkaConfig = {
    clientId: 'oxbow',
    brokers: [...connection.brokers],
    connectionTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: RETRY,
    logLevel: log === undefined ? kafkajs.logLevel.NOTHING : kafkajs.logLevel.WARN,
    logCreator: () => entry => { log?.(logText(entry)) },
    ...(connection.tls === undefined ? {} : { ssl: tlsOptions(connection.tls) }),
    ...(connection.sasl === undefined ? {} : { sasl: saslOptions(connection.sasl) })
  }
  return new kafkajs.Kafka(config)
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/replication.factor/i, ' (kafka.replicationFactor)'],
  [/does not host this topic/i, ' (a topic is not there, or this login has no Describe on it)'],
  [/invalid topic/i, ' (kafka.topicPrefix)']
]

/** What went wrong with the cluster, for an operator. */
export function asKafkaError (error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  const detail = error instanceof Error ? [error.message, ...partsOf(error)].join('; ') : String(error)
  const hint = HINTS.find(([words]) => words.test(detail))?.[1] ?? ''
  return new ServiceError('unavailable', 'STORE_UNAVAILABLE', `Kafka cannot be used: ${detail}${hint}`, { cause: error })
}

/** Of an error that stands for several, such as one for each topic. */
function partsOf (error: Error): string[] {
  const parts: unknown = 'errors' in error ? error.errors : []
  return Array.isArray(parts) ? parts.map(part => part instanceof Error ? `${'topic' in part ? `${String(part.topic)}: ` : ''}${part.message}` : String(part)) : []
}

/** The protocol's name of an error of the broker, e.g. `OFFSET_OUT_OF_RANGE`; `''` when it is another one. */
export function protocolError (error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('type' in cause && typeof cause.type === 'string') return cause.type
  }
  return ''
}

function logText ({ namespace, log }: LogEntry): string { return `${namespace}: ${log.message}` }

function tlsOptions ({ ca, cert, key }: NonNullable<KafkaConnection['tls']>): NonNullable<KafkaConfig['ssl']> {
  return { ...(ca === undefined ? {} : { ca: [ca] }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) }
}

function saslOptions (sasl: NonNullable<KafkaConnection['sasl']>): SASLOptions {
  if (sasl.mechanism === 'oauthbearer') return { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: await sasl.token() }) }
  return sasl
}

interface RequestQueue {
  throttleCheckTimeoutId: NodeJS.Timeout | null
  throttledUntil: number
  pending: readonly unknown[]
  checkPendingRequests (): void
}

const PENDING_CHECK_MS = 10

/** Its own form arms a timer every millisecond for each idle connection, with a negative time. The package has no `exports`, so the path resolves; its version is pinned. */
function calmRequestQueue (): void {
  const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as { prototype: { scheduleCheckPendingRequests (this: RequestQueue): void } }
  RequestQueue.prototype.scheduleCheckPendingRequests = function () {
    if (this.throttleCheckTimeoutId !== null) return
    const waitMs = this.throttledUntil - Date.now()
    if (waitMs <= 0 && this.pending.length === 0) return
    this.throttleCheckTimeoutId = setTimeout(() => {
      this.throttleCheckTimeoutId = null
      this.checkPendingRequests()
    }, waitMs > 0 ? waitMs : PENDING_CHECK_MS)
  }
}
