import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { openStores } from '../../../src/platform/postgres/open-stores.ts'
import { makeComposeDatabases, makeSecrets } from '../../support/compose-databases.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'
import { startTimescale, type Timescale } from '../../support/timescale.ts'

/** What docs/operations.md says of PostgreSQL 15 and 16. */
const SINCE_17 = " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"

test('where the server has TimescaleDB, the containers keep readings in a hypertable', async () => {
  const folder = temporaryFolder('compose')
  let cluster: Timescale | undefined
  try {
    const password = makeSecrets(folder)
    cluster = await startTimescale({ folder, password, settings: { fsync: 'off' } })
    const script = join(folder, 'external-postgres.sql')
    await writeFile(script, (await readFile('docs/examples/external-postgres.sql', 'utf8')).replaceAll(SINCE_17, ''))
    const { env } = makeComposeDatabases({ folder, port: cluster.port, script })
    const stores = await openStores(loadConfig(env))
    expect((await stores.pool('oxbow_series').query('select drops from series.hypertable')).rows).toEqual([{ drops: 0 }])
    // Its jobs are run by its own workers.
    const { rows } = await stores.pool('oxbow_series').query<{ name: string }>('select proc_name as name from timescaledb_information.jobs where job_id >= 1000 order by 1')
    expect(rows.map(({ name }) => name)).toEqual(['policy_compression', 'policy_refresh_continuous_aggregate'])
    await stores.close()
  } finally {
    await cluster?.stop()
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
})
