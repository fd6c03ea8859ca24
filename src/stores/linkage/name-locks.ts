/** Names that a transaction writes or asks for, locked until it ends: two transactions of one name run one after the other. */

import type { PoolClient } from 'pg'

export interface NameLocks {
  /** Waits for every other transaction that locked one of these names, any text that means the thing to be written. All that a transaction
   *  will need, in its first call: then no two wait for each other. More than {@link NAMES_MAX} of them lock every name there is. */
  lock (names: readonly string[]): Promise<void>
  /** Waits for every other transaction that locked any name. */
  lockAll (): Promise<void>
}

/** PostgreSQL has room for some thousand locks of all transactions together (max_locks_per_transaction x max_connections). */
export const NAMES_MAX = 256

/** @param client inside a transaction, which is not used for locking by anybody else */
export function createNameLocks (client: PoolClient): NameLocks {
  const held = new Set<string>()
  let holdsAll = false
  async function lockAll (): Promise<void> {
    if (!holdsAll) await client.query('select pg_advisory_xact_lock($1)', [EVERY_NAME])
    holdsAll = true
  }
  return {
    lockAll,
    async lock (names) {
      const missing = names.filter(name => !held.has(name))
      if (holdsAll || missing.length === 0) return
      if (held.size === 0 && missing.length > NAMES_MAX) return lockAll()
      await client.query({ name: 'lock-names', text: LOCK, values: [EVERY_NAME, missing] })
      for (const name of missing) held.add(name)
    }
  }
}

/** Held by everybody who locks a name, so that one can wait for all. No name's own key: those come from 64 bits of a hash. */
const EVERY_NAME = 7_201_411_893

// In one order, first the key they share.
const LOCK = `select case when place = 0 then pg_advisory_xact_lock_shared(key)::text else pg_advisory_xact_lock(key)::text end from (
  select 0 as place, $1::bigint as key union select 1, hashtextextended(name, 0) from unnest($2::text[]) as n (name) order by place, key
) as keys`
