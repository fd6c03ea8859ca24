/** A connection string -> what the server says of the login and of itself; nothing is changed. */

import { Client } from 'pg'
import { type EpochMs, epochMs } from '../../model/units.ts'

export interface LoginFacts {
  role: string
  database: string
  /** `17.10` */
  version: string
  /** The server's clock, and how long the question took at most. */
  clock: EpochMs
  tookMs: number
  /** Superuser, or may make roles or databases, replicate, or pass row security. */
  isPrivileged: boolean
  /** Other databases of the same server it may connect to, templates apart; ascending. */
  mayConnectTo: readonly string[]
  /** Settings without which an acknowledged reading may be lost, as they stand. */
  durability: Readonly<Record<'fsync' | 'synchronous_commit' | 'full_page_writes', string>>
}

const CONNECT_TIMEOUT_MS = 5_000

const FACTS = `SELECT current_user AS role, current_database() AS database, current_setting('server_version') AS version, clock_timestamp() AS clock,
  (SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS privileged,
  array(SELECT datname::text FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> current_database()
    AND has_database_privilege(datname, 'CONNECT') ORDER BY 1) AS others,
  current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit, current_setting('full_page_writes') AS full_page_writes`

interface Row {
  role: string, database: string, version: string, clock: Date, privileged: boolean, others: string[]
  fsync: string, synchronous_commit: string, full_page_writes: string
}

/** @throws the error of PostgreSQL or of the connection; its message holds no password */
export async function inspectLogin (connectionString: string): Promise<LoginFacts> {
  const client = new Client({ connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, application_name: 'oxbow doctor' })
  client.on('error', () => {})
  await client.connect()
  try {
    const begun = performance.now()
    const { rows: [row] } = await client.query<Row>(FACTS)
    const { role, database, version, clock, privileged, others, fsync, synchronous_commit, full_page_writes } = row!
    return {
      role, database, version: version.split(' ')[0]!, clock: epochMs(clock.getTime()), tookMs: performance.now() - begun,
      isPrivileged: privileged, mayConnectTo: others, durability: { fsync, synchronous_commit, full_page_writes }
    }
  } finally {
    await client.end().catch(() => {})
  }
}
