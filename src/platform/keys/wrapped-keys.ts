/** Wrapped data keys in PostgreSQL (`oxbow_keys`): found by id or by the digest of their context; destroyed ones leave a tombstone. */

import { hash } from 'node:crypto'
import type { Pool } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import { asStoreError } from '../postgres/pool.ts'
import { contextText, type KekName, type KeyContext } from './key-ring.ts'

export interface ContextName { text: string, digest: Buffer }

export interface WrappedKey {
  id: string
  kek: KekName
  digest: Buffer
  /** Canonical context and wrapped bytes; both gone once destroyed. */
  context: string | null
  wrapped: Buffer | null
  destroyedAt: Date | null
  madeAt: Date
}

export interface WrappedKeys {
  isEmpty (): Promise<boolean>
  /** Durable on return. Of several writers of one context the first wins when `byContext`; the others' keys are not kept. */
  insert (kek: KekName, byContext: boolean, keys: readonly { id: string, name: ContextName, wrapped: Uint8Array }[]): Promise<void>
  /** The keys of these contexts, any order; contexts without a key are missing. */
  findByContext (kek: KekName, digests: readonly Buffer[]): Promise<readonly WrappedKey[]>
  /** @throws ServiceError KEY_UNKNOWN */
  find (id: string): Promise<WrappedKey>
  /** Replaces the wrapped form unless it changed meanwhile. @returns whether it did */
  replace (id: string, from: Uint8Array, to: Uint8Array): Promise<boolean>
  /** Idempotent; gives the time of the first call. @throws ServiceError KEY_UNKNOWN */
  destroy (id: string, at: Date, reason: string): Promise<Date>
}

const COLUMNS = 'id, kek, context_digest AS digest, context, wrapped, destroyed_at AS "destroyedAt", made_at AS "madeAt"'
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/

export function contextName (context: KeyContext): ContextName {
  const text = contextText(context)
  return { text, digest: hash('sha256', text, 'buffer') }
}

export function createWrappedKeys (pool: Pool): WrappedKeys {
  const query = async <R extends object>(text: string, values: unknown[] = []) => {
    try {
      return await pool.query<R>(text, values)
    } catch (error) {
      throw asStoreError(error)
    }
  }
  const find = async (id: string) => {
    const { rows: [row] } = UUID.test(id) ? await query<WrappedKey>(`SELECT ${COLUMNS} FROM keys.wrapped_key WHERE id = $1`, [id]) : { rows: [] }
    if (row === undefined) throw new ServiceError('fault', 'KEY_UNKNOWN', 'there is no data key of this id')
    return row
  }
  return {
    find,
    isEmpty: async () => (await query('SELECT FROM keys.wrapped_key LIMIT 1')).rowCount === 0,
    insert: async (kek, byContext, keys) => {
      // One order for every writer: two that make the same keys wait for each other, never in a ring.
      const ordered = [...keys].sort((one, other) => one.name.digest.compare(other.name.digest))
      await query(`INSERT INTO keys.wrapped_key (id, kek, context_digest, context, by_context, wrapped)
        SELECT id, $1, digest, context, $2, wrapped FROM unnest($3::uuid[], $4::bytea[], $5::text[], $6::bytea[]) WITH ORDINALITY AS made (id, digest, context, wrapped, place)
        ORDER BY place ON CONFLICT (kek, context_digest) WHERE by_context DO NOTHING`,
      [kek, byContext, ordered.map(({ id }) => id), ordered.map(({ name }) => name.digest), ordered.map(({ name }) => name.text), ordered.map(({ wrapped }) => wrapped)])
    },
    findByContext: async (kek, digests) => {
      const { rows } = await query<WrappedKey>(`SELECT ${COLUMNS} FROM keys.wrapped_key WHERE by_context AND kek = $1 AND context_digest = ANY ($2::bytea[])`, [kek, digests])
      return rows
    },
    replace: async (id, from, to) => {
      const { rowCount } = await query('UPDATE keys.wrapped_key SET wrapped = $3 WHERE id = $1 AND wrapped = $2', [id, from, to])
      return rowCount === 1
    },
    destroy: async (id, at, reason) => {
      await find(id)
      await query('UPDATE keys.wrapped_key SET wrapped = NULL, context = NULL, destroyed_at = $2, reason = $3 WHERE id = $1 AND destroyed_at IS NULL', [id, at, reason])
      // The update left the old row in the table's file; a rewrite leaves it behind. Repeated for a call that died in between.
      await query('VACUUM (FULL) keys.wrapped_key')
      return (await find(id)).destroyedAt!
    }
  }
}
