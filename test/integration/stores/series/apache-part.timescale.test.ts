/** Some vendors offer TimescaleDB with its Apache part alone, which neither compresses nor aggregates: nothing is gained by a hypertable there. */

import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { migrateStore } from '../../../../src/platform/postgres/migrate.ts'
import { createPool } from '../../../../src/platform/postgres/pool.ts'
import { provisionDatabase, provisionRoles } from '../../../../src/platform/postgres/provision.ts'
import { STORES } from '../../../../src/platform/postgres/stores.ts'
import { createSeriesStore } from '../../../../src/stores/series/series-store.ts'
import { at, commitOf, rowOf, sidOf } from '../../../support/series.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'
import { startTimescale } from '../../../support/timescale.ts'

test('with the Apache part alone readings stay in partitions', async () => {
  const folder = temporaryFolder('apache')
  const password = randomBytes(18).toString('base64url')
  const cluster = await startTimescale({ folder, password, settings: { 'timescaledb.license': 'apache', fsync: 'off' } })
  const urlOf = (role: string, database: string) => cluster.adminUrl.replace('//postgres:', `//${role}:`).replace(/postgres$/, database)
  const { database, owner, logins } = STORES.series
  try {
    await asAdmin(cluster.adminUrl, async admin => {
      await provisionRoles(admin, () => password)
      await provisionDatabase(admin, STORES.series, database)
    })
    await asAdmin(urlOf('postgres', database), admin => admin.query('create extension timescaledb'))
    await migrateStore(urlOf(owner, database), STORES.series)
    const pool = createPool({ url: urlOf(logins[0]!.role, database) })
    const store = createSeriesStore(pool)
    const series = (await store.series([{ sid: sidOf(1), model: 'Example/1', partition: 0 }])).get(sidOf(1))!
    await store.commit(commitOf({ fresh: [rowOf(series, at(0))] }))
    expect((await pool.query("select relkind from pg_class where oid = 'series.reading'::regclass")).rows).toEqual([{ relkind: 'p' }])
    await pool.end()
  } finally {
    await cluster.stop()
    await rm(folder, { recursive: true })
  }
})

async function asAdmin (url: string, work: (admin: Client) => Promise<unknown>): Promise<void> {
  const admin = new Client({ connectionString: url })
  await admin.connect()
  await work(admin)
  await admin.end()
}
