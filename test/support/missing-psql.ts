/** Whether this machine has psql, by which administrators and containers make databases. */

import { spawnSync } from 'node:child_process'

/** Why a test of such a script is skipped; absent: it runs. With `OXBOW_REQUIRE=all` it must. */
export function missingPsql (): string | undefined {
  if (process.env['OXBOW_REQUIRE'] === 'all' || spawnSync('psql', ['--version']).error === undefined) return undefined
  return 'psql is not installed'
}
