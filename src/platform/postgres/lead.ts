/**
 * Of all servers on one set of databases the one that leads: an advisory lock on a connection of its own says which. The connection is asked
 * for a sign of life all the time, so that a leader that is cut off knows it before PostgreSQL misses it and lets another one lead.
 */

import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import { unlessAborted, within } from '../within.ts'
import { pause } from '../pause.ts'

/** `lost` and `held` alternate; `taken`: another server leads since the connection broke, this one must end. */
export type LeadState = 'held' | 'lost' | 'taken'

export interface LeadOptions {
  /** Connection string of any login of the database; no pooler between that shares sessions. */
  url: string
  onState: (state: LeadState) => void
  /** How long a start waits for the lock of a server that just ended. Default 5 s. */
  startWaitMs?: number
  /** Between two signs of life. Default 2 s. */
  everyMs?: number
  /** How long one may take. Default 5 s. */
  answerMs?: number
}

export interface Lead {
  /** Lets others lead. */
  close (): Promise<void>
}

const LOCK_CLASS = 0x6f78
const LOCK = 0x6c65
const START_WAIT_MS = 5_000
const EVERY_MS = 2_000
const ANSWER_MS = 5_000
const RETRY_MS = 200
const GOODBYE_MS = 1_000
/** A dead client is missed after 20 s + 3 × 5 s, a multiple of what the client itself takes to know. A socket file has no such settings, and needs none. */
const MISS_DEAD_CLIENT = 'set tcp_keepalives_idle to 20; set tcp_keepalives_interval to 5; set tcp_keepalives_count to 3'
const HOLDERS = `select a.pid, a.application_name as name from pg_locks l join pg_stat_activity a using (pid)
  where l.locktype = 'advisory' and l.granted and l.classid = ${LOCK_CLASS} and l.objid = ${LOCK} and l.objsubid = 2
    and l.database = (select oid from pg_database where datname = current_database())`

interface Parts extends Required<LeadOptions> {
  /** By which this process knows a session of its own that PostgreSQL does not know to be dead. */
  name: string
  stop: AbortController
}

/** @throws ServiceError conflict STORE_IN_USE when another server leads; unavailable STORE_UNAVAILABLE */
export async function takeLead (options: LeadOptions): Promise<Lead> {
  const parts: Parts = { startWaitMs: START_WAIT_MS, everyMs: EVERY_MS, answerMs: ANSWER_MS, ...options, name: `oxbow lead ${randomUUID()}`, stop: new AbortController() }
  const first = await firstSession(parts)
  const kept = keep(parts, first)
  return {
    close: async () => {
      parts.stop.abort()
      await kept
    }
  }
}

async function firstSession (parts: Parts): Promise<Client> {
  const until = performance.now() + parts.startWaitMs
  for (;;) {
    const session = await newSession(parts).catch((cause: unknown) => { throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'the linkage database cannot be reached', { cause }) })
    if (session instanceof Client) return session
    if (performance.now() > until) throw inUse()
    await delay(RETRY_MS)
  }
}

/** Until told to stop, or until another one leads. */
async function keep (parts: Parts, first: Client): Promise<void> {
  const { onState, stop: { signal } } = parts
  let session: Client = first
  for (;;) {
    await untilSilent(parts, session)
    const left = leave(session)
    if (signal.aborted) return left
    onState('lost')
    const next = await nextSession(parts)
    if (signal.aborted) return next instanceof Client ? leave(next) : undefined
    if (!(next instanceof Client)) { onState('taken'); return }
    session = next
    onState('held')
  }
}

/** Tried without end while the database is away. */
async function nextSession (parts: Parts): Promise<Client | 'taken' | undefined> {
  while (!parts.stop.signal.aborted) {
    const next = await newSession(parts).catch(() => 'away' as const)
    if (next instanceof Client || next === 'taken') return next
    await pause(RETRY_MS, parts.stop.signal)
  }
  return undefined
}

/** A session that holds the lock; `taken`: another server's does; `free`: nobody's, ask again. @throws the error of the connection */
async function newSession ({ url, name, answerMs }: Parts): Promise<Client | 'taken' | 'free'> {
  const session = new Client({ connectionString: url, application_name: name, keepAlive: true, connectionTimeoutMillis: answerMs, query_timeout: answerMs })
  session.on('error', () => {})
  try {
    await session.connect()
    await session.query(MISS_DEAD_CLIENT)
    const { rows: [row] } = await session.query<{ held: boolean }>('select pg_try_advisory_lock($1, $2) as held', [LOCK_CLASS, LOCK])
    if (row!.held) return session
    const { rows: holders } = await session.query<{ pid: number, name: string }>(HOLDERS)
    const own = holders.filter(holder => holder.name === name)
    // What is left of a session of ours that broke, and holds the lock as long as PostgreSQL waits for it.
    for (const { pid } of own) await session.query('select pg_terminate_backend($1)', [pid])
    void leave(session)
    return holders.length > own.length ? 'taken' : 'free'
  } catch (error) {
    void leave(session)
    throw error
  }
}

/** Resolves when the session has ended, has not answered in time, or is no longer wanted. */
async function untilSilent ({ everyMs, stop: { signal } }: Parts, session: Client): Promise<void> {
  const ended = new AbortController()
  const end = (): void => { ended.abort() }
  session.once('end', end)
  const over = AbortSignal.any([signal, ended.signal])
  while (!over.aborted) {
    await pause(everyMs, over)
    if (!over.aborted) await unlessAborted(session.query('select 1'), over).catch(end)
  }
  session.off('end', end)
}

/** Over a broken connection a goodbye may take for ever. */
function leave (session: Client): Promise<void> { return within(GOODBYE_MS, session.end()) }

function inUse (): ServiceError {
  return new ServiceError('conflict', 'STORE_IN_USE',
    'another server leads on these databases: stop that one, or start this one beside it with --roles stream; one whose machine was lost is missed after 35 s')
}
