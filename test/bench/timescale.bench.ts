/** T: the series store with readings in a compressed hypertable against the same store with readings in partitions, in one cluster of PostgreSQL 15. */

import { randomBytes } from 'node:crypto'
import { Client, type Pool } from 'pg'
import { epochMs, HOUR_MS, millivolt, percent } from '../../src/model/units.ts'
import { migrateStore } from '../../src/platform/postgres/migrate.ts'
import { createPool } from '../../src/platform/postgres/pool.ts'
import { provisionDatabase, provisionRoles } from '../../src/platform/postgres/provision.ts'
import { STORES } from '../../src/platform/postgres/stores.ts'
import { heldByHour } from '../../src/stores/series/held.ts'
import { createSeriesStore, type SeriesStore } from '../../src/stores/series/series-store.ts'
import type { RowIn } from '../../src/stream/sink.ts'
import { missingTimescale } from '../support/missing-timescale.ts'
import { commitOf, sidOf } from '../support/series.ts'
import { startTimescale } from '../support/timescale.ts'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { WrongResult } from './counts.ts'
import { createWander } from './load/wander.ts'
import { median, percentile } from './reduce.ts'
import { load1 } from './stand.ts'

export const TIMESCALE_BARS = ['T1', 'T2', 'T3', 'T4', 'T5'] as const

/** Old enough that the job of the extension would have compressed them. */
const START = Date.UTC(2026, 0, 5)
const ROWS_PER_COMMIT = 10_000
const HOUR_QUERIES = 200
const LONG_QUERIES = 11
const SIZES = { full: { series: 50, hours: 48 }, quick: { series: 20, hours: 4 } } as const
/** Of ingest; in each round both sites take the same rows, in an order that changes. */
const ROUNDS = 24

interface Site { name: string, owner: Client, pool: Pool, store: SeriesStore, numbers: readonly number[] }

export async function benchTimescale (context: BenchContext): Promise<Outcomes> {
  const missing = missingTimescale()
  if (missing !== undefined) return Object.fromEntries(TIMESCALE_BARS.map(id => [id, { skipped: missing }]))
  const password = randomBytes(18).toString('base64url')
  const folder = await context.folder('timescale')
  const cluster = await startTimescale({ folder, password, settings: { shared_buffers: '512MB', max_wal_size: '4GB', 'timescaledb.max_background_workers': '0' } })
  const sites: Site[] = []
  try {
    const size = context.options.quick ? SIZES.quick : SIZES.full
    for (const hasExtension of [false, true]) sites.push(await openSite(cluster.adminUrl, password, hasExtension, size.series))
    await context.assertDurable(sites[0]!.owner)
    const rates = await ingest(context, sites, size)
    const plainBytes = await bytesOf(sites[0]!)
    const looseBytes = await bytesOf(sites[1]!)
    const compressSeconds = await compress(sites[1]!)
    const packedBytes = await bytesOf(sites[1]!)
    return outcomes(size, { rates, bytes: [plainBytes, packedBytes], looseBytes, compressSeconds, times: await ask(context, sites, size), version: await versionOf(sites[1]!) })
  } finally {
    for (const { owner, pool } of sites) await Promise.all([owner.end(), pool.end()])
    await cluster.stop()
  }
}

async function openSite (adminUrl: string, password: string, hasExtension: boolean, count: number): Promise<Site> {
  const database = hasExtension ? 'bench_hypertable' : 'bench_partitions'
  const urlOf = (role: string) => adminUrl.replace(/\/\/postgres:[^@]+@/, `//${role}:${password}@`).replace(/postgres$/, database)
  await asAdmin(adminUrl, async admin => {
    await provisionRoles(admin, () => password)
    await provisionDatabase(admin, STORES.series, database)
  })
  if (hasExtension) await asAdmin(urlOf('postgres'), async admin => { await admin.query('create extension timescaledb') })
  const { owner, logins } = STORES.series
  await migrateStore(urlOf(owner), STORES.series)
  const client = new Client({ connectionString: urlOf(owner) })
  await client.connect()
  const pool = createPool({ url: urlOf(logins[0]!.role) })
  const store = createSeriesStore(pool)
  const numbers = await store.series(Array.from({ length: count }, (_, n) => ({ sid: sidOf(n), model: 'Example/1' as const, partition: 0 })))
  return { name: hasExtension ? 'hypertable' : 'partitions', owner: client, pool, store, numbers: [...numbers.values()].sort((a, b) => a - b) }
}

async function asAdmin (url: string, work: (admin: Client) => Promise<void>): Promise<void> {
  const admin = new Client({ connectionString: url })
  await admin.connect()
  await work(admin)
  await admin.end()
}

interface Size { series: number, hours: number }

/** One reading a second of each series. */
function createReadings (count: number): (numbers: readonly number[], second: number) => RowIn[] {
  const wanders = Array.from({ length: count }, (_, n) => createWander(n))
  return (numbers, second) => wanders.map((next, n) => {
    const { tissueO2, spo2, quality } = next()
    return {
      series: numbers[n]!, schemaId: 1, takenAt: epochMs(START + second * 1_000), sequence: second, offset: second * count + n, firmware: 1, flags: 0, partition: 0,
      quality: percent(quality), battery: millivolt(3_700 - Math.floor(second / 600)), values: [tissueO2, spo2]
    }
  })
}

/** Rows a second of each site, by round. */
async function ingest (context: BenchContext, sites: readonly Site[], { series, hours }: Size): Promise<number[][]> {
  const next = createReadings(series)
  const seconds = hours * 3_600
  const perCommit = Math.floor(ROWS_PER_COMMIT / series)
  const rates: number[][] = sites.map(() => [])
  let second = 0
  for (let round = 0; round < ROUNDS; round++) {
    const until = Math.floor(seconds * (round + 1) / ROUNDS)
    const batches: RowIn[][] = []
    for (; second < until;) {
      const end = Math.min(until, second + perCommit)
      const rows: RowIn[] = []
      for (; second < end; second++) rows.push(...next(sites[0]!.numbers, second))
      batches.push(rows)
    }
    const rowCount = batches.reduce((sum, rows) => sum + rows.length, 0)
    for (const index of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const { store } = sites[index]!
      const startedAt = performance.now()
      for (const fresh of batches) await store.commit(commitOf({ fresh }))
      rates[index]!.push(rowCount * 1_000 / (performance.now() - startedAt))
    }
    context.say(`timescale round ${round + 1}: ${sites.map(({ name }, index) => `${name} ${Math.round(rates[index]!.at(-1)!)} r/s`).join(', ')}; load ${load1().toFixed(1)}`)
  }
  for (const { owner } of sites) await owner.query('vacuum analyze series.reading')
  return rates
}

/** Of everything that keeps readings, per reading. */
async function bytesOf ({ owner, name }: Site): Promise<number> {
  const size = name === 'hypertable' ? "hypertable_size('series.reading')" : "(select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'series.reading'::regclass)"
  const { rows: [row] } = await owner.query<{ bytes: string, rows: string }>(`select ${size} as bytes, (select count(*) from series.reading) as rows`)
  return Number(row!.bytes) / Number(row!.rows)
}

/** @returns seconds */
async function compress ({ owner }: Site): Promise<number> {
  const startedAt = performance.now()
  await owner.query("select compress_chunk(c) from show_chunks('series.reading') c")
  const took = (performance.now() - startedAt) / 1_000
  await owner.query("call refresh_continuous_aggregate('series.reading_hour', null, null)")
  await owner.query('vacuum analyze series.reading')
  return took
}

type Question = 'hour' | 'all' | 'held'

/** p50 in ms of each question at each site, asked in turn. */
async function ask (context: BenchContext, sites: readonly Site[], { series, hours }: Size): Promise<Record<Question, number[]>> {
  const end = START + hours * HOUR_MS
  const questions: Record<Question, { times: number, ask: (site: Site, turn: number) => Promise<number>, expected: number }> = {
    hour: { times: HOUR_QUERIES, expected: 3_600, ask: async ({ store, numbers }, turn) => {
      const from = START + (turn * 7 % hours) * HOUR_MS
      return (await store.readings(numbers[turn * 13 % series]!, epochMs(from), epochMs(from + HOUR_MS), 10_000)).length
    } },
    all: { times: LONG_QUERIES, expected: hours * 3_600, ask: async ({ store, numbers }, turn) => (await store.readings(numbers[turn * 13 % series]!, epochMs(START), epochMs(end), 1_000_000)).length },
    held: { times: LONG_QUERIES, expected: hours, ask: async ({ pool }) => (await heldByHour(pool, epochMs(START), epochMs(end))).length }
  }
  const medians: Record<Question, number[]> = { hour: [], all: [], held: [] }
  for (const [name, { times, ask: one, expected }] of Object.entries(questions) as [Question, typeof questions[Question]][]) {
    const took = sites.map((): number[] => [])
    for (let turn = -1; turn < times; turn++) {
      for (const [index, site] of sites.entries()) {
        const startedAt = performance.now()
        const found = await one(site, Math.max(turn, 0))
        if (found !== expected) throw new WrongResult(`${site.name} found ${found} of ${expected} (${name})`)
        if (turn >= 0) took[index]!.push(performance.now() - startedAt)
      }
    }
    medians[name] = took.map(list => percentile(list, 0.5))
    context.say(`timescale ${name}: ${sites.map((site, index) => `${site.name} ${medians[name][index]!.toFixed(1)} ms`).join(', ')}`)
  }
  return medians
}

async function versionOf ({ owner }: Site): Promise<string> {
  const { rows: [row] } = await owner.query<{ text: string }>(
    "select 'PostgreSQL ' || current_setting('server_version') || ', TimescaleDB ' || extversion as text from pg_extension where extname = 'timescaledb'")
  return row!.text
}

interface Figures { rates: number[][], bytes: number[], looseBytes: number, compressSeconds: number, times: Record<Question, number[]>, version: string }

function outcomes (size: Size, { rates, bytes, looseBytes, compressSeconds, times, version }: Figures): Outcomes {
  const rows = size.series * size.hours * 3_600
  const conditions = { ...size, rows, rowsPerCommit: ROWS_PER_COMMIT, version, bytesBeforeCompression: looseBytes, compressSeconds }
  const against = ([plain, ours]: readonly number[]) => ({ ours: ours!, against: { kind: 'self' as const, name: 'partitions', value: plain! }, ratio: ours! / plain!, conditions })
  return {
    T1: { ...against(rates.map(median)), ratio: median(rates[1]!.map((rate, index) => rate / rates[0]![index]!)) },
    T2: { ...against(bytes), note: `${looseBytes.toFixed(0)} B before, ${Math.round(rows / compressSeconds).toLocaleString('en-US')} rows/s compressed` },
    T3: against(times.hour),
    T4: { ...against(times.all), note: `${size.hours} h` },
    T5: { ...against(times.held), note: `${size.hours} h of ${size.series} series` }
  }
}
