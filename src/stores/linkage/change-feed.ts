/** Commits of any process → all processes: a note sent inside the transaction reaches every listener when it commits. */

import type { Pool, PoolClient } from 'pg'
import type { Sid } from '../../model/reading.ts'
import { asStoreError } from '../../platform/postgres/pool.ts'
import type { Database } from './resource.ts'

/** Logical ids of Devices, and sids, whose answers changed. */
export interface LinkageChange { devices: readonly string[], sids: readonly Sid[] }

const CHANNEL = 'linkage_change'
/** PostgreSQL takes up to 8,000 bytes. */
const NOTE_BYTES_MAX = 7_900

export async function notifyChange (client: Database, { devices, sids }: LinkageChange): Promise<void> {
  const note = JSON.stringify({ devices, sids })
  // A note too long to name everything means everything.
  await client.query('select pg_notify($1, $2)', [CHANNEL, note.length > NOTE_BYTES_MAX ? '' : note])
}

export interface ChangeFeedOptions {
  pool: Pool
  /** Called for each commit; `'all'`: commits may have been missed, nothing kept is sure. */
  onChange: (change: LinkageChange | 'all') => void
  /** Pause before a broken connection is opened again. Default 1 s. */
  retryMs?: number
}

export interface ChangeFeed {
  /** False while no connection listens: what is kept may be stale. */
  isListening (): boolean
  close (): Promise<void>
}

/** Holds one connection of the pool. Resolves when it listens. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function createChangeFeed ({ pool, onChange, retryMs = 1_000 }: ChangeFeedOptions): Promise<ChangeFeed> {
  let client: PoolClient | undefined
  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  async function listen (): Promise<void> {
    const next = await pool.connect().catch((error: unknown) => { throw asStoreError(error) })
    next.on('error', () => { lose(next) })
    next.on('end', () => { lose(next) })
    next.on('notification', ({ payload }) => { onChange(readNote(payload)) })
    try {
      await next.query(`listen ${CHANNEL}`)
    } catch (error) {
      next.release(true)
      throw asStoreError(error)
    }
    if (isClosed) {
      next.release(true)
      return
    }
    client = next
    onChange('all')
  }

  function lose (lost: PoolClient): void {
    if (client !== lost || isClosed) return
    client = undefined
    lost.release(true)
    onChange('all')
    retry()
  }

  function retry (): void {
    timer = setTimeout(() => {
      listen().catch(() => { if (!isClosed) retry() })
    }, retryMs)
    timer.unref()
  }

  await listen()
  return {
    isListening: () => client !== undefined,
    async close () {
      isClosed = true
      clearTimeout(timer)
      client?.release(true)
      client = undefined
    }
  }
}

function readNote (payload: string | undefined): LinkageChange | 'all' {
  if (payload === undefined || payload === '') return 'all'
  const { devices, sids } = JSON.parse(payload) as LinkageChange
  return { devices, sids }
}
