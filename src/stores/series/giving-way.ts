/** Work beside the stream that wants the same rows: it is the one that gives way. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Pool, PoolClient } from 'pg'
import { transaction } from '../../platform/postgres/pool.ts'

/** Shorter than the time after which PostgreSQL looks for a deadlock (1 s), and then may end the commit of the stream. */
const LOCK_TIMEOUT = '300ms'
const GAVE_WAY: ReadonlySet<string> = new Set(['55P03', '40P01'])
const PAUSE_MS = 100
const ATTEMPTS = 50

/** One transaction, tried again from its beginning whenever it would have to wait long for a row. @throws what `work` throws, and the last refusal */
export async function givingWay<T> (pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await transaction(pool, async client => {
        await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
        return work(client)
      })
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && GAVE_WAY.has(error.code as string)) || attempt === ATTEMPTS) throw error
      await delay(PAUSE_MS)
    }
  }
}
