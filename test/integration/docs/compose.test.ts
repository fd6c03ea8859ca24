/** The scripts of docker/compose.yaml, run as they stand on a fresh PostgreSQL: the stores of Oxbow open with what they made. */

import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { openStores } from '../../../src/platform/postgres/open-stores.ts'
import { freePort, handOver, initialise, type Postmaster, runAsUser, startPostmaster } from '../../../src/platform/postgres/postmaster.ts'
import { roleNames } from '../../../src/platform/postgres/stores.ts'
import { type ComposeDatabases, makeComposeDatabases, makeSecrets } from '../../support/compose-databases.ts'
import { missingPsql } from '../../support/missing-psql.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const noPsql = missingPsql()
let folder: string
let postmaster: Postmaster | undefined
let port: number
let made: ComposeDatabases

describe.skipIf(noPsql !== undefined)(`databases of docker/compose.yaml${noPsql === undefined ? '' : ` (skipped: ${noPsql})`}`, () => {
  beforeAll(async () => {
    folder = temporaryFolder('compose')
    const runAs = await runAsUser()
    await handOver(folder, runAs)
    const password = makeSecrets(folder)
    await initialise(join(folder, 'data'), password, runAs)
    port = await freePort()
    const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '' }
    postmaster = await startPostmaster({ folder: join(folder, 'data'), port, settings, logFile: join(folder, 'postgres.log'), runAs })
    made = makeComposeDatabases({ folder, port, script: 'docs/examples/external-postgres.sql' })
  })
  afterAll(async () => {
    await postmaster?.stop()
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  })

  test('the stores open in production mode, as their own logins', async () => {
    const config = loadConfig(made.env)
    expect([config.mode, config['postgres.kind']]).toEqual(['production', 'external'])
    const stores = await openStores(config)
    try {
      expect((await stores.pool('oxbow_series').query('select current_user as role, current_database() as database')).rows).toEqual([{ role: 'oxbow_series', database: 'oxbow_series' }])
      expect(await stores.unreachable()).toEqual([])
    } finally {
      await stores.close()
    }
  })

  test('every role has a password of its own, and none that stands in the script', async () => {
    const passwords = roleNames().map(role => made.passwordOf(role))
    expect(new Set(passwords).size).toBe(roleNames().length)
    for (const password of passwords) expect(password).toMatch(/^[0-9a-f]{48}$/)
    const client = new Client({ connectionString: `postgres://oxbow_bus_owner:change-me-1@127.0.0.1:${port}/oxbow_bus` })
    await expect(client.connect()).rejects.toMatchObject({ code: '28P01' })
  })

  test('secrets are made once, in a folder that nobody else enters', async () => {
    expect((await stat(join(folder, 'secrets'))).mode & 0o777).toBe(0o700)
    expect(() => makeSecrets(folder)).toThrow('holds secrets already')
  })
})
