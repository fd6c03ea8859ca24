/** Whether this machine can have a PostgreSQL 15 with TimescaleDB for tests; read by the configuration of the tests too. */

import { existsSync } from 'node:fs'

/** As Debian lays them out. The build of the extension stands beside the project and is put there by the gate; the product never ships it. */
export const PROGRAMS = '/usr/lib/postgresql/15/bin'
const EXTENSION = '/usr/share/postgresql/15/extension/timescaledb.control'

/** Why there can be none; absent: there can. With `OXBOW_REQUIRE=all` there must be one. */
export function missingTimescale (): string | undefined {
  if (process.env['OXBOW_REQUIRE'] === 'all') return undefined
  if (!existsSync(`${PROGRAMS}/postgres`)) return 'no PostgreSQL 15 of Debian (postgresql-15) is installed'
  return existsSync(EXTENSION) ? undefined : 'PostgreSQL 15 has no TimescaleDB'
}
