/** How far a topic that others write to has been read (database `oxbow_bus`, schema `ingest`). */

import type { Pool } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import { storeQuery, transaction } from '../../platform/postgres/pool.ts'

export interface TopicOffsets {
  /** Offset of the next record to be read, of those partitions that were read before. @throws ServiceError unavailable STORE_UNAVAILABLE */
  read (topic: string): Promise<Map<number, number>>
  /** Never goes back: another process may have read further. @throws ServiceError unavailable STORE_UNAVAILABLE */
  advance (topic: string, next: ReadonlyMap<number, number>): Promise<void>
  /** Puts on record that records went unread, and where reading goes on. @throws ServiceError unavailable STORE_UNAVAILABLE */
  lost (topic: string, partition: number, from: number, until: number, noticedAt: EpochMs): Promise<void>
}

/** @param pool login `oxbow_ingest` */
export function createTopicOffsets (pool: Pool): TopicOffsets {
  return {
    async read (topic) {
      const { rows } = await storeQuery<{ partition: number, next: number }>(pool, 'SELECT partition, next_offset AS next FROM ingest.topic_offset WHERE topic = $1', [topic])
      return new Map(rows.map(({ partition, next }) => [partition, next]))
    },
    async advance (topic, next) {
      await storeQuery(pool, `
        INSERT INTO ingest.topic_offset AS o SELECT $1, * FROM unnest($2::int[], $3::bigint[]) AS new (partition, next_offset) ORDER BY partition
        ON CONFLICT (topic, partition) DO UPDATE SET next_offset = greatest(o.next_offset, excluded.next_offset)`,
      [topic, [...next.keys()], [...next.values()]])
    },
    async lost (topic, partition, from, until, noticedAt) {
      await transaction(pool, async client => {
        await storeQuery(client, 'INSERT INTO ingest.topic_lost VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING', [topic, partition, from, until, new Date(noticedAt)])
        await storeQuery(client, `INSERT INTO ingest.topic_offset VALUES ($1, $2, $3) ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset`,
          [topic, partition, until])
      })
    }
  }
}
