/** How far a topic that others write to has been read (database `oxbow_bus`, schema `ingest`). */

import type { Pool } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import { storeQuery, transaction } from '../../platform/postgres/pool.ts'

/** `next`: offset of the next record to be read. `generation`: how often the partition was made anew since it was read first. */
export interface TopicPlace { next: number, generation: number }

export interface TopicOffsets {
  /** Of those partitions that were read before. @throws ServiceError unavailable STORE_UNAVAILABLE */
  read (topic: string): Promise<Map<number, TopicPlace>>
  /** Never goes back: another process may have read further. What was read of a topic that was made anew since counts for nothing. @throws ServiceError unavailable STORE_UNAVAILABLE */
  advance (topic: string, next: ReadonlyMap<number, TopicPlace>): Promise<void>
  /** Puts on record that records went unread, and where reading goes on; below `from` the partition is another one, of the next generation. @throws ServiceError unavailable STORE_UNAVAILABLE */
  lost (topic: string, partition: number, from: number, until: number, noticedAt: EpochMs): Promise<void>
}

/** @param pool login `oxbow_ingest` */
export function createTopicOffsets (pool: Pool): TopicOffsets {
  return {
    async read (topic) {
      const { rows } = await storeQuery<TopicPlace & { partition: number }>(pool, 'SELECT partition, next_offset AS next, generation FROM ingest.topic_offset WHERE topic = $1', [topic])
      return new Map(rows.map(({ partition, next, generation }) => [partition, { next, generation }]))
    },
    async advance (topic, next) {
      await storeQuery(pool, `
        INSERT INTO ingest.topic_offset AS o (topic, partition, next_offset, generation) SELECT $1, * FROM unnest($2::int[], $3::bigint[], $4::int[]) AS new (partition, next_offset, generation) ORDER BY partition
        ON CONFLICT (topic, partition) DO UPDATE SET next_offset = greatest(o.next_offset, excluded.next_offset) WHERE o.generation = excluded.generation`,
      [topic, [...next.keys()], [...next.values()].map(place => place.next), [...next.values()].map(({ generation }) => generation)])
    },
    async lost (topic, partition, from, until, noticedAt) {
      await transaction(pool, async client => {
        await storeQuery(client, 'INSERT INTO ingest.topic_lost VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING', [topic, partition, from, until, new Date(noticedAt)])
        await storeQuery(client, `
          INSERT INTO ingest.topic_offset AS o (topic, partition, next_offset, generation) VALUES ($1, $2, $3, $4)
          ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset, generation = o.generation + excluded.generation`,
        [topic, partition, until, until < from ? 1 : 0])
      })
    }
  }
}
