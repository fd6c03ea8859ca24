/** The statements of the embedded bus on schema `bus`: nothing else reads or writes its tables. */

import type { Pool } from 'pg'
import { ServiceError } from '../../../model/errors.ts'
import type { EpochMs } from '../../../model/units.ts'
import { asStoreError } from '../../postgres/pool.ts'
import type { TopicOptions } from '../bus.ts'
import type { Row } from './tail.ts'

/** Channel of NOTIFY; the payload is the token of the process that appended. */
export const CHANNEL = 'oxbow_bus'

export interface NewRow { topicId: number, partition: number, recordCount: number, bytes: Buffer }
export interface Appended { topicId: number, partition: number, firstOffset: number, releasedOffset: number }
export interface PartitionHead { topicId: number, partition: number, nextOffset: number, releasedOffset: number }
export interface StoredTopic { topicId: number, partitions: number }

/** Named statements are kept prepared on each connection; commits of more rows than this are rare and are parsed each time. */
const PREPARED_ROWS_MAX = 64
/** Rows looked at in one read; how many of them are given is decided by their bytes. */
const READ_ROWS_MAX = 256

async function query<R extends object> (pool: Pick<Pool, 'query'>, config: { text: string, name?: string, values?: unknown[] }): Promise<readonly R[]> {
  try {
    return (await pool.query<R>(config)).rows
  } catch (error) {
    throw asStoreError(error)
  }
}

/** Makes the topic unless it is there; the number of partitions is then the one it was made with. */
export async function declareTopic (pool: Pool, { topic, partitions }: TopicOptions): Promise<StoredTopic> {
  const find = { text: 'SELECT topic_id AS "topicId", partitions FROM bus.topic WHERE topic = $1', values: [topic] }
  const [found] = await query<StoredTopic>(pool, find)
  if (found !== undefined) return found
  await query(pool, {
    text: `WITH made AS (INSERT INTO bus.topic (topic, partitions) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING topic_id, partitions)
      INSERT INTO bus.partition (topic_id, partition) SELECT topic_id, generate_series(0, partitions - 1) FROM made`,
    values: [topic, partitions]
  })
  const [made] = await query<StoredTopic>(pool, find)
  if (made === undefined) throw new ServiceError('fault', 'INTERNAL', `topic ${topic} could not be made`)
  return made
}

/**
 * Appends at most one row per partition, all or none, and wakes other processes. Offsets are given under a lock of the partition that is
 * held until the commit, so they become visible in their order; locks are taken in one order, so processes do not deadlock.
 */
export async function appendRows (pool: Pool, rows: readonly NewRow[], appendedAt: EpochMs, token: string): Promise<readonly Appended[]> {
  const values = [token, CHANNEL, new Date(appendedAt), ...rows.flatMap(({ topicId, partition, recordCount, bytes }) => [topicId, partition, recordCount, bytes])]
  const text = appendText(rows.length)
  return query<Appended>(pool, rows.length <= PREPARED_ROWS_MAX ? { name: `bus-append-${rows.length}`, text, values } : { text, values })
}

function appendText (rowCount: number): string {
  const parameters = Array.from({ length: rowCount }, (_, row) => [1, 2, 3, 4].map(column => 3 + row * 4 + column))
  const counts = parameters.map(([topic, partition, count]) => `($${topic}::int, $${partition}::int, $${count}::int)`)
  const rows = parameters.map(([topic, partition, count, bytes]) => `($${topic}::int, $${partition}::int, $${count}::int, $${bytes}::bytea)`)
  // The bytes stand only in the INSERT itself: as part of a join they would be copied into its hash table.
  return `
    WITH input (topic_id, partition, record_count) AS (VALUES ${counts.join(', ')}),
    locked AS MATERIALIZED (
      SELECT p.topic_id, p.partition FROM bus.partition p JOIN input USING (topic_id, partition) ORDER BY p.topic_id, p.partition FOR UPDATE OF p
    ), grown AS (
      UPDATE bus.partition p SET next_offset = p.next_offset + i.record_count FROM locked JOIN input i USING (topic_id, partition)
      WHERE p.topic_id = locked.topic_id AND p.partition = locked.partition
      RETURNING p.topic_id, p.partition, p.next_offset - i.record_count AS first_offset, p.released_offset
    ), added AS (
      INSERT INTO bus.batch (topic_id, partition, first_offset, record_count, appended_at, bytes)
      SELECT v.topic_id, v.partition, (SELECT g.first_offset FROM grown g WHERE g.topic_id = v.topic_id AND g.partition = v.partition),
        v.record_count, $3::timestamptz, v.bytes
      FROM (VALUES ${rows.join(', ')}) AS v (topic_id, partition, record_count, bytes)
    )
    SELECT topic_id AS "topicId", partition, first_offset AS "firstOffset", released_offset AS "releasedOffset", pg_notify($2, $1) FROM grown`
}

export async function readHeads (pool: Pool): Promise<readonly PartitionHead[]> {
  return query<PartitionHead>(pool, {
    name: 'bus-heads',
    text: 'SELECT topic_id AS "topicId", partition, next_offset AS "nextOffset", released_offset AS "releasedOffset" FROM bus.partition'
  })
}

/** Offset of the next record, by partition; of a topic that was never declared, none. */
export async function readEnds (pool: Pool, topic: string): Promise<ReadonlyMap<number, number>> {
  const rows = await query<{ partition: number, nextOffset: number }>(pool, {
    text: 'SELECT p.partition, p.next_offset AS "nextOffset" FROM bus.partition p JOIN bus.topic t USING (topic_id) WHERE t.topic = $1', values: [topic]
  })
  return new Map(rows.map(({ partition, nextOffset }) => [partition, nextOffset]))
}

/** Of this bus and no other. */
export async function readIdentity (pool: Pool): Promise<string> {
  const [row] = await query<{ id: string }>(pool, { text: 'SELECT id::text AS id FROM bus.identity' })
  return row!.id
}

/** Offset of the first record still there, by partition; where nothing is there, the next offset. Of a topic that was never declared, none. */
export async function readBegins (pool: Pool, topic: string): Promise<ReadonlyMap<number, number>> {
  const rows = await query<{ partition: number, firstOffset: number }>(pool, {
    text: `SELECT partition, coalesce(
        (SELECT min(b.first_offset) FROM bus.batch b WHERE b.topic_id = p.topic_id AND b.partition = p.partition), next_offset) AS "firstOffset"
      FROM bus.partition p JOIN bus.topic t USING (topic_id) WHERE t.topic = $1`,
    values: [topic]
  })
  return new Map(rows.map(({ partition, firstOffset }) => [partition, firstOffset]))
}

/** Rows from the one that holds `offset` on, ascending, of at most `bytesMax` bytes together; the first always fits. */
export async function readRows (pool: Pool, topicId: number, partition: number, offset: number, bytesMax: number): Promise<readonly Row[]> {
  const rows = await query<{ firstOffset: number, recordCount: number, bytes: Buffer }>(pool, {
    name: 'bus-read',
    text: `
      SELECT first_offset AS "firstOffset", record_count AS "recordCount", bytes FROM (
        SELECT first_offset, record_count, bytes, sum(octet_length(bytes)) OVER (ORDER BY first_offset) - octet_length(bytes) AS before
        FROM (
          SELECT first_offset, record_count, bytes FROM bus.batch WHERE topic_id = $1 AND partition = $2 AND first_offset >= coalesce(
            (SELECT max(first_offset) FROM bus.batch WHERE topic_id = $1 AND partition = $2 AND first_offset <= $3), $3)
          ORDER BY first_offset LIMIT ${READ_ROWS_MAX}
        ) AS near
      ) AS summed WHERE before < $4 ORDER BY first_offset`,
    values: [topicId, partition, offset, bytesMax]
  })
  return rows.map(({ firstOffset, recordCount, bytes }) => ({ firstOffset, nextOffset: firstOffset + recordCount, bytes }))
}

export async function saveReleased (pool: Pool, released: readonly { topicId: number, partition: number, offset: number }[]): Promise<void> {
  await query(pool, {
    text: `WITH released AS (SELECT * FROM unnest($1::int[], $2::int[], $3::bigint[]) AS r (topic_id, partition, released_offset)),
      locked AS MATERIALIZED (
        SELECT p.topic_id, p.partition FROM bus.partition p JOIN released USING (topic_id, partition) ORDER BY p.topic_id, p.partition FOR UPDATE OF p)
      UPDATE bus.partition p SET released_offset = r.released_offset FROM locked JOIN released r USING (topic_id, partition)
      WHERE p.topic_id = locked.topic_id AND p.partition = locked.partition`,
    values: [released.map(({ topicId }) => topicId), released.map(({ partition }) => partition), released.map(({ offset }) => offset)]
  })
}

/** Removes released rows appended before `before`: only a run from the beginning of each partition, so that no gap arises. */
export async function removeReleased (pool: Pick<Pool, 'query'>, topicId: number, before: EpochMs): Promise<void> {
  await query(pool, {
    // Materialized: else the search for where a partition is cut is made again for each of its rows.
    text: `WITH cutoff AS MATERIALIZED (
        SELECT partition, least(released_offset, (
          SELECT b.first_offset FROM bus.batch b WHERE b.topic_id = p.topic_id AND b.partition = p.partition AND b.appended_at >= $2
          ORDER BY b.first_offset LIMIT 1)) AS below
        FROM bus.partition p WHERE topic_id = $1)
      DELETE FROM bus.batch b USING cutoff c
      WHERE b.topic_id = $1 AND b.partition = c.partition AND b.first_offset < c.below AND b.first_offset + b.record_count <= c.below`,
    values: [topicId, new Date(before)]
  })
}
