/** A connection string -> a pool of connections, and work done in one transaction. */

import { type ClientBase, Pool, type PoolClient, type QueryResult, type QueryResultRow, types } from 'pg'
import { ServiceError } from '../../model/errors.ts'

export interface PoolOptions {
  url: string
  /** Most connections held. Default 8. */
  connectionsMax?: number
  /** Shown in `pg_stat_activity`. Default `oxbow`. */
  applicationName?: string
  /** How long a caller waits for a connection. Default 10 s. */
  connectTimeoutMs?: number
}

const INT8 = 20
const INT8_ARRAY = 1016
const RETRY_AFTER_S = 2
/** What the pool says when no connection became free in time. */
const QUEUE_TIMEOUT = 'timeout exceeded when trying to connect'
/** Of PostgreSQL; its table of locks counts. */
const OUT_OF_MEMORY = '53200'
/** A login takes milliseconds that a first reading after a pause should not wait for. */
const IDLE_TIMEOUT_MS = 300_000

/**
 * `bigint` comes back as a number (offsets and times stay below 2^53), `timestamptz` as a Date, `numeric` as text.
 * An idle connection that breaks is dropped in silence; the next query opens another.
 */
export function createPool (options: PoolOptions): Pool {
  const pool = new Pool({
    connectionString: options.url,
    max: options.connectionsMax ?? 8,
    application_name: options.applicationName ?? 'oxbow',
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    types: { getTypeParser: parserOf as typeof types.getTypeParser }
  })
  pool.on('error', ignore)
  return pool
}

/** Runs `work` between BEGIN and COMMIT; rolls back when it throws. @throws ServiceError unavailable STORE_UNAVAILABLE when the connection fails; the outcome of COMMIT is then unknown */
export async function transaction<T> (pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  return withClient(pool, async client => {
    await client.query('BEGIN')
    const result = await work(client)
    await client.query('COMMIT')
    return result
  })
}

/** Lends one connection to `work`; a connection on which it throws is rolled back or, if it broke, thrown away. */
export async function withClient<T> (pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => { throw asStoreError(error) })
  client.on('error', ignore)
  try {
    const result = await work(client)
    release(client)
    return result
  } catch (error) {
    const broken = isConnectionError(error) || await rollBack(client)
    release(client, broken)
    throw asStoreError(error)
  }
}

/** The error itself, or STORE_UNAVAILABLE when it says that PostgreSQL could not be reached, or has no room for what is under way. */
export function asStoreError (error: unknown): unknown {
  if (error instanceof Error && 'code' in error && error.code === OUT_OF_MEMORY) {
    return new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'PostgreSQL has no memory left for this beside what else is under way', { cause: error, retryAfterS: RETRY_AFTER_S })
  }
  if (!isConnectionError(error)) return error
  const what = error instanceof Error && error.message === QUEUE_TIMEOUT ? 'every connection to PostgreSQL is in use' : 'PostgreSQL cannot be reached'
  return new ServiceError('unavailable', 'STORE_UNAVAILABLE', what, { cause: error, retryAfterS: RETRY_AFTER_S })
}

/** One statement. @throws what `asStoreError` makes of its error */
export async function storeQuery<R extends QueryResultRow = Record<string, never>> (db: Pick<ClientBase, 'query'>, text: string, values?: unknown[]): Promise<QueryResult<R>> {
  try {
    return await db.query<R>(text, values)
  } catch (error) {
    throw asStoreError(error)
  }
}

/** True when the connection failed, so that the same work may succeed on another one. */
export function isConnectionError (error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof ServiceError) return false
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (/^(08|57P0[123]|53300)/.test(code) || SOCKET_CODES.has(code)) return true
  return code === '' && /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed)/.test(error.message)
}

const SOCKET_CODES: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EHOSTUNREACH', 'EAI_AGAIN'])

/** @returns true when the connection is of no further use */
async function rollBack (client: ClientBase): Promise<boolean> {
  try {
    await client.query('ROLLBACK')
    return false
  } catch {
    return true
  }
}

function release (client: PoolClient, broken = false): void {
  client.removeListener('error', ignore)
  client.release(broken)
}

function ignore (): void { /* the query in flight rejects; an idle connection is replaced */ }

function parserOf (oid: number, format?: 'text' | 'binary') {
  if (format !== 'binary' && oid === INT8) return Number
  if (format !== 'binary' && oid === INT8_ARRAY) return numbersOf
  return types.getTypeParser(oid, format as 'text')
}

function numbersOf (text: string): (number | null)[] {
  if (text === '{}') return []
  return text.slice(1, -1).split(',').map(item => item === 'NULL' ? null : Number(item))
}
