/** A database of its own in the product's cluster, with the product's own series schema: what PostgreSQL alone can do with the same rows. */

import { Client } from 'pg'
import { migrateStore } from '../../../src/platform/postgres/migrate.ts'
import { provisionDatabase } from '../../../src/platform/postgres/provision.ts'
import { STORES } from '../../../src/platform/postgres/stores.ts'
import { encodeReading } from '../../../src/stores/series/reading-row.ts'
import { epochMs, millivolt, percent } from '../../../src/model/units.ts'
import type { RowIn } from '../../../src/stream/sink.ts'
import type { CopyBuffer } from '../../../src/platform/postgres/copy.ts'
import { databaseUrl } from '../server.ts'

export const LIMIT_SERIES = 1_000
const DATABASE = 'bench_limit'
const DAY_MS = 86_400_000

export interface LimitTable {
  /** Logged in as the owner. */
  client: Client
  /** Empties the table. */
  empty (): Promise<void>
  /** Adds the next `count` readings: one of each series a second, all series in turn. */
  encode (copy: CopyBuffer, count: number): void
  /** The next reading's row, good until the next call. */
  next (): RowIn
  countRows (): Promise<number>
  close (): Promise<void>
}

/** Begins empty; made unless it is there. */
export async function openLimitTable (dataDir: string, database = DATABASE): Promise<LimitTable> {
  const admin = new Client({ connectionString: await databaseUrl(dataDir, 'postgres') })
  await admin.connect()
  await provisionDatabase(admin, STORES.series, database)
  await admin.end()
  const ownerUrl = await databaseUrl(dataDir, database, STORES.series.owner)
  await migrateStore(ownerUrl, STORES.series)
  const client = new Client({ connectionString: ownerUrl })
  await client.connect()
  const start = Date.UTC(2026, 0, 1)
  for (const day of [0, 1]) await client.query('select series.ensure_day($1)', [new Date(start + day * DAY_MS).toISOString().slice(0, 10)])
  const row: RowIn & { series: number } = {
    series: 0, schemaId: 1, takenAt: epochMs(start), sequence: 0, offset: 0, firmware: 1, flags: 0, partition: 3, quality: percent(92), battery: millivolt(3_700), values: [0, 0]
  }
  const values = [0, 0]
  let n = 0
  function next (): RowIn {
    values[0] = (300 + (n * 37) % 200) / 10
    values[1] = (940 + (n * 7) % 50) / 10
    Object.assign(row, { series: n % LIMIT_SERIES, takenAt: start + Math.floor(n / LIMIT_SERIES) * 1_000, offset: Math.floor(n / 10), values })
    n++
    return row
  }
  return {
    client,
    async empty () {
      n = 0
      await client.query('truncate series.reading')
    },
    encode (copy, count) { for (let i = 0; i < count; i++) encodeReading(copy, next()) },
    next,
    countRows: async () => Number((await client.query<{ count: string }>('select count(*) from series.reading')).rows[0]!.count),
    close: () => client.end()
  }
}
