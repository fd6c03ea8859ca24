/** The scripts of docker/compose.yaml, run as they stand on a fresh PostgreSQL: the stores of Oxbow open with what they made. */

import { once } from 'node:events'
import { readFile, rm, stat } from 'node:fs/promises'
import { createServer, get } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { openStores } from '../../../src/platform/postgres/open-stores.ts'
import { freePort, handOver, initialise, type Postmaster, runAsUser, startPostmaster } from '../../../src/platform/postgres/postmaster.ts'
import { roleNames } from '../../../src/platform/postgres/stores.ts'
import { type ComposeDatabases, makeComposeDatabases, makeSecrets } from '../../support/compose-databases.ts'
import { missingComposeTools } from '../../support/missing-compose-tools.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const missing = missingComposeTools()
let folder: string
let postmaster: Postmaster | undefined
let port: number
let made: ComposeDatabases

describe.skipIf(missing !== undefined)(`databases of docker/compose.yaml${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
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

  test('the certificate of the objects is that of its key, and who is given it trusts a server that shows it', async () => {
    const [cert, key] = await Promise.all(['objects_certificate', 'objects_key'].map(name => readFile(join(folder, 'secrets', name), 'utf8')))
    const server = createServer({ cert: cert!, key: key! }, (_request, response) => { response.end('trusted') }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port: at } = server.address() as AddressInfo
    const answer = (ca?: string) => new Promise<string>((resolve, reject) => {
      get({ host: '127.0.0.1', port: at, servername: 'objects', agent: false, ...(ca === undefined ? {} : { ca }) }, response => { response.setEncoding('utf8').on('data', resolve) }).on('error', reject)
    })
    try {
      expect(await answer(cert)).toBe('trusted')
      await expect(answer()).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    } finally {
      server.close()
    }
  })

  test('secrets are made once, in a folder that nobody else enters', async () => {
    expect((await stat(join(folder, 'secrets'))).mode & 0o777).toBe(0o700)
    expect(() => makeSecrets(folder)).toThrow('holds secrets already')
  })
})
