/** The seam `Bus`: records on named topics, durable before acknowledged, in order per key. Embedded in PostgreSQL | Kafka. */

import { ServiceError } from '../../model/errors.ts'

export interface BusRecord {
  topic: string
  /** Decides the partition; records of one key stay in the order of their publishing. */
  key: string
  /** Not changed by the caller before `publish` resolves. */
  value: Uint8Array
}

export interface Position { topic: string, partition: number, offset: number }

export interface PartitionBatch {
  partition: number
  firstOffset: number
  /** Offset after the last record: what to resume from, or to release, when all of them are done. */
  nextOffset: number
  /** Ascending in offset; without gaps, but for a topic that others write. `headers`: of such a topic, by name in lower case. */
  records: readonly { offset: number, key: string, value: Uint8Array, headers?: ReadonlyMap<string, string> }[]
}

export interface ConsumerOptions {
  topic: string
  /** Partitions to take, e.g. [0, 2, 4]; each is taken by one consumer at a time. Where a group protocol shares partitions among processes
   *  (Kafka), as many of these as it gives, none of others. */
  partitions: readonly number[]
  /** Offset of the first record wanted, for each partition taken; a partition that is missing begins at 0. Asked again whenever partitions were given anew. */
  resumeFrom: (partitions: readonly number[]) => Promise<ReadonlyMap<number, number>>
  /** Ends the waiting for the partitions when it is aborted: the consumer given then is closed. */
  signal?: AbortSignal
  /** Most bytes of values given by one `take` (one record always fits). Default 8 MiB. */
  bytesMax?: number
}

export interface BusConsumer {
  /** Those it has now, ascending. */
  readonly partitions: readonly number[]
  /**
   * Waits until at least one record is there (woken by the append, never by polling); gives what is there, at most `recordsMax`
   * records, one batch per partition. [] only after close or when `signal` is aborted: a timer that aborts it is how a caller wakes.
   * One call at a time. While the bus cannot be reached it waits. @throws ServiceError fault BUS_OFFSET_GONE when records are missing ·
   * conflict BUS_REASSIGNED, once, when a group protocol changed `partitions`: what the reader knows of them no longer counts; the next
   * take goes on from where `resumeFrom` said for those that are new, and behind the last take for those that stayed
   */
  take (recordsMax: number, signal?: AbortSignal): Promise<readonly PartitionBatch[]>
  /** Records below `nextOffset` are no longer needed: retention may remove them, and they no longer count as backlog. */
  release (partition: number, nextOffset: number): void
  /** Ends a waiting `take`; the partitions are free to be taken again. */
  close (): Promise<void>
}

export interface Bus {
  readonly kind: 'embedded' | 'kafka'
  /**
   * Resolves once all records are durable, in the order given, positions in the same order; all or none. After an error of category
   * `unavailable` they may be there all the same: whoever repeats may double, readers de-duplicate.
   * @throws ServiceError busy BUS_FULL · incorrect BUS_RECORD_TOO_LARGE · unavailable STORE_UNAVAILABLE or BUS_CLOSED
   */
  publish (records: readonly BusRecord[]): Promise<readonly Position[]>
  /** @throws ServiceError fault INTERNAL for a topic that was not declared */
  partitionCount (topic: string): number
  /** @throws ServiceError fault BUS_OFFSET_GONE when a partition cannot be resumed at the offset named: removed already, or never written */
  consume (options: ConsumerOptions): Promise<BusConsumer>
  /** Records appended and not yet released. */
  backlog (topic: string): number
  /** Offset after the last record that anybody has appended by now, by partition. @throws ServiceError unavailable STORE_UNAVAILABLE */
  ends (topic: string): Promise<readonly number[]>
  /** Refuses new records, finishes those it has, ends consumers. */
  close (): Promise<void>
}

/** A topic as its bus is told of it at the start; the number of partitions is fixed when the topic is first made. */
export interface TopicOptions {
  topic: string
  partitions: number
  /** How long released records stay. Default 24 h. */
  retainMs?: number
  /** Most records appended and not yet released; over it `publish` answers BUS_FULL. Default that of the bus. */
  backlogMax?: number
}

/** Of `ConsumerOptions.bytesMax`. */
export const TAKE_BYTES_MAX = 8 * 1024 * 1024

/** The offset named is not on the bus: its records were removed, or the bus is younger than whoever names it. */
export function offsetGone (topic: string, partition: number, offset: number): ServiceError {
  return new ServiceError('fault', 'BUS_OFFSET_GONE',
    `offset ${offset} of ${topic}, partition ${partition}, is not on the bus: the databases of bus and reader are not of one time`)
}

export function reassigned (): ServiceError {
  return new ServiceError('conflict', 'BUS_REASSIGNED', 'the group shared its partitions anew: what is known of them must be read again')
}
