/** Whether this machine has what the scripts of docker/compose.yaml run in their containers and on their host. */

import { spawnSync } from 'node:child_process'

/** Why their tests are skipped; absent: they run. With `OXBOW_REQUIRE=all` they must. */
export function missingComposeTools (): string | undefined {
  if (process.env['OXBOW_REQUIRE'] === 'all') return undefined
  const missing = [['psql', '--version'], ['openssl', 'version']].find(([command, ...args]) => spawnSync(command!, args).error !== undefined)
  return missing === undefined ? undefined : `${missing[0]} is not installed`
}
