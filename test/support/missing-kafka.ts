/** Whether this machine can have a real Kafka for tests; read by the configuration of the tests too. */

import { spawnSync } from 'node:child_process'

const DOCKER_TIMEOUT_MS = 10_000

/** Why there can be no broker of this machine's own; absent: there can. With `OXBOW_REQUIRE=all` there must be one. */
export function missingBroker (): string | undefined {
  if (process.env['OXBOW_REQUIRE'] === 'all') return undefined
  const missing = ['bash', 'java', 'mvn'].find(command => spawnSync(command, ['--version']).error !== undefined)
  return missing === undefined ? undefined : `no Kafka: ${missing} is not installed`
}

/** As `missingBroker`, where one at the address in `OXBOW_TEST_KAFKA` will do, or one in a container. */
export function missingKafka (): string | undefined {
  return process.env['OXBOW_TEST_KAFKA'] !== undefined || hasDocker() ? undefined : missingBroker()
}

/** The engine answers; its client alone does not count. */
export function hasDocker (): boolean { return spawnSync('docker', ['info'], { stdio: 'ignore', timeout: DOCKER_TIMEOUT_MS }).status === 0 }
