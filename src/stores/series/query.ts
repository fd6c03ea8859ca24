/** SQL and parameters -> rows as arrays, with the types of this store. */

import type { Pool, PoolClient } from 'pg'
import { asStoreError } from '../../platform/postgres/pool.ts'
import { SERIES_TYPES } from './sql-values.ts'

/** A field as it comes back; which it is stands in the SELECT beside it. */
export type Row = readonly unknown[]

/** Not prepared: with the values known, PostgreSQL leaves out the partitions that cannot matter while it plans.
 *  @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function rowsOf (client: Pool | PoolClient, text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
  try {
    return (await client.query({ text, values: [...values], rowMode: 'array', types: SERIES_TYPES })).rows as Row[]
  } catch (error) {
    throw asStoreError(error)
  }
}

/** Inside a transaction, where it may change what stands compressed: however many rows that are. PostgreSQL without TimescaleDB takes it, and it means nothing there. */
export const ANY_NUMBER_DECOMPRESSED = 'set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0'
