/** P10: ingest and the two common questions with little history and with much. The history is copied through the product's own schema. */

import { setTimeout as delay } from 'node:timers/promises'
import { Client, type PoolClient } from 'pg'
import { createCopyBuffer } from '../../src/platform/postgres/copy.ts'
import { createPool } from '../../src/platform/postgres/pool.ts'
import { sendBatch } from '../../src/platform/postgres/send-batch.ts'
import { STORES } from '../../src/platform/postgres/stores.ts'
import { epochMs, millivolt, percent } from '../../src/model/units.ts'
import { encodeReading, READING_COLUMNS } from '../../src/stores/series/reading-row.ts'
import { createSeriesStore } from '../../src/stores/series/series-store.ts'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { WrongResult } from './counts.ts'
import { measureCopy } from './limits/copy-binary.ts'
import { openLimitTable } from './limits/limit-table.ts'
import { mean, median, percentile } from './reduce.ts'
import { databaseUrl } from './server.ts'
import { load1, openStand, type Stand, type StandPlan } from './stand.ts'

export const GROWTH_BARS = ['P10', 'P10q', 'P10w'] as const
/** Rows of history, each in a server of its own, so that both are measured in turn. */
const POINTS = [1_000_000, 50_000_000]
const POINTS_QUICK = [250_000, 1_000_000]
/** So few that at the first point each has more than an hour. */
const SERIES = 250
const SERIES_QUICK = 60
const ROWS_PER_COMMIT = 10_000
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
const QUERIES = 300
/** Of each point; the middle one counts. */
const ROUNDS = 5
const SPEAK_MS = 20_000
/** Before the first round: a server that hardly spoke for minutes compiles its code anew, for longer than the stretch of a round. */
const FIRST_WARM_UP_S = 25
const LIMIT_SECONDS = { warmUp: 1, stretch: 3 } as const

interface Point { rows: number, rates: number[], shares: number[], latestMs: Times, hourMs: Times, load1: number }
interface Times { p50: number, p99: number }

/** A server with so much history. */
interface Site { stand: Stand, history: History }

export async function benchGrowth (context: BenchContext): Promise<Outcomes> {
  if (!context.options.growth) {
    const skipped = { skipped: 'growth bars run with --growth' }
    return { P10: skipped, P10q: skipped, P10w: skipped }
  }
  const points = await measurePoints(context)
  const [least, most] = [points[0]!, points.at(-1)!]
  const name = `self at ${least.rows.toExponential(0)} rows`
  const conditions = { points, series: context.options.quick ? SERIES_QUICK : SERIES, queries: QUERIES, ratio: 'of the rates, each divided by L before and after it' }
  const against = (of: (point: Point) => number) => ({
    ours: of(most), against: { kind: 'self' as const, name, value: of(least) }, ratio: of(most) / of(least), note: `at ${most.rows.toExponential(0)} rows`, conditions
  })
  return {
    P10: { ...against(({ rates }) => median(rates)), ratio: median(most.shares) / median(least.shares) },
    P10q: against(({ latestMs }) => latestMs.p50),
    P10w: against(({ hourMs }) => hourMs.p50)
  }
}

async function measurePoints (context: BenchContext): Promise<Point[]> {
  const { quick } = context.options
  const sites: Site[] = []
  try {
    // The most first: while it is copied nothing else needs to be kept speaking.
    for (const rows of (quick ? POINTS_QUICK : POINTS).toReversed()) await openSite(context, sites, rows)
    const points = await measureInTurn(context, sites)
    for (const [index, times] of (await askInTurn(sites)).entries()) Object.assign(points[index]!, times, { load1: load1() })
    return points.sort((a, b) => a.rows - b.rows)
  } finally {
    for (const { stand } of sites) await stand.close()
  }
}

async function openSite (context: BenchContext, sites: Site[], rows: number): Promise<void> {
  const plan: StandPlan = { connections: 32, devices: 1_000, devicesPerPost: 10, readingsPerDevice: 10, staggerMs: 60_000, format: 'json', startAt: context.now() - 3 * DAY_MS }
  const stand = await openStand(await context.folder('growth'), plan)
  const history: History = { numbers: [], startAt: plan.startAt - 10 * DAY_MS, rows: 0 }
  sites.push({ stand, history })
  await context.assertDurable(stand.counts.series)
  // So that every device has its number.
  await stand.measurePosts({ warmUp: 1, stretch: 1 })
  history.numbers = [...(await stand.seriesNumbers()).values()].slice(0, context.options.quick ? SERIES_QUICK : SERIES)
  await whileHeard(sites, grow(stand, history, rows))
}

/** Each round one stretch of each site, in an order drawn by lot. */
async function measureInTurn (context: BenchContext, sites: readonly Site[]): Promise<Point[]> {
  const points = sites.map(({ history: { rows } }): Point => ({ rows, rates: [], shares: [], latestMs: { p50: 0, p99: 0 }, hourMs: { p50: 0, p99: 0 }, load1: 0 }))
  const limits = await openLimitTable(sites[0]!.stand.server.dataDir)
  try {
    for (const { stand } of sites) await stand.measure({ warmUp: context.options.quick ? 2 : FIRST_WARM_UP_S, stretch: 1 })
    for (let round = 0; round < ROUNDS; round++) {
      const order = Math.random() < 0.5 ? points.keys() : [...points.keys()].toReversed()
      for (const index of order) {
        const { rows, rates, shares } = points[index]!
        const before = await measureCopy(limits, LIMIT_SECONDS)
        const { stand } = sites[index]!
        const amendedBefore = await amendedCount(stand)
        const { rate, cpuUsPerUnit: { server, postgres } } = await stand.measure(context.options.seconds)
        const amended = await amendedCount(stand) - amendedBefore
        rates.push(rate)
        shares.push(rate / mean([before, await measureCopy(limits, LIMIT_SECONDS)]))
        context.say(`growth round ${round + 1}, ${rows} rows: ${Math.round(rate)} r/s, ${shares.at(-1)!.toFixed(3)} of L; cpu us server+postgres ${server.toFixed(1)}+${postgres.toFixed(1)}; ${amended} windows amended`)
      }
    }
  } finally {
    await limits.close()
  }
  return points
}

/** Windows that were written again so far: readings on time amend none, so a stretch that does measures another way through the product. */
async function amendedCount ({ server }: Stand): Promise<number> {
  const text = await (await fetch(new URL('/metrics', server.url))).text()
  return [...text.matchAll(/^oxbow_windows_amended_total\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0)
}

/** The devices go on speaking: after a minute of silence their windows close by the clock, and what the load sends then, of days ago, would
 *  be late and take another way through the product than at the first point. */
async function whileHeard (sites: readonly Site[], work: Promise<void>): Promise<void> {
  let isDone = false
  const done = work.finally(() => { isDone = true })
  while (!isDone) {
    for (const { stand } of sites) await stand.measurePosts({ warmUp: 0, stretch: 1 })
    await Promise.race([done, delay(SPEAK_MS)])
  }
  await done
}

/** Readings of the series before everything the load sends, one a second each, all in turn. */
interface History { numbers: readonly number[], startAt: number, rows: number }

async function grow ({ server }: Stand, history: History, rows: number): Promise<void> {
  const client = new Client({ connectionString: await databaseUrl(server.dataDir, STORES.series.database, STORES.series.owner) })
  await client.connect()
  const copy = createCopyBuffer(4 << 20)
  const { numbers } = history
  const days = new Set<number>()
  while (history.rows < rows) {
    copy.reset()
    for (const until = Math.min(rows, history.rows + ROWS_PER_COMMIT); history.rows < until; history.rows++) {
      const n = history.rows
      const takenAt = history.startAt + Math.floor(n / numbers.length) * 1_000
      days.add(Math.floor(takenAt / DAY_MS))
      encodeReading(copy, {
        series: numbers[n % numbers.length]!, schemaId: 1, takenAt: epochMs(takenAt), sequence: 0, offset: n, firmware: 1, flags: 0, partition: 0,
        quality: percent(92), battery: millivolt(3_700), values: [(300 + n % 200) / 10, (940 + n % 50) / 10]
      })
    }
    const day = (number: number) => `'${new Date(number * DAY_MS).toISOString().slice(0, 10)}'`
    const noted = [...days].flatMap(number => [`select series.ensure_day(${day(number)})`, `insert into series.day select unnest('{${numbers.join(',')}}'::int[]), ${day(number)} on conflict do nothing`])
    await sendBatch(client as unknown as PoolClient, [...noted, { copy: `copy series.reading (${READING_COLUMNS}) from stdin (format binary)`, bytes: copy.bytes() }])
    days.clear()
  }
  // What the clock would have done by the time so much history has come in.
  await client.query('vacuum analyze series.reading')
  await client.end()
  const admin = new Client({ connectionString: await databaseUrl(server.dataDir, STORES.series.database) })
  await admin.connect()
  await admin.query('checkpoint')
  await admin.end()
}

/** The newest hundred readings, and an hour, of series drawn by lot, by the questions that the product's store answers; one after the other at each site. */
async function askInTurn (sites: readonly Site[]): Promise<{ latestMs: Times, hourMs: Times }[]> {
  const asked = await Promise.all(sites.map(async ({ stand, history }) => {
    const pool = createPool({ url: await databaseUrl(stand.server.dataDir, STORES.series.database, 'oxbow_series') })
    return { pool, store: createSeriesStore(pool), history, end: history.startAt + Math.floor(history.rows / history.numbers.length) * 1_000, latest: [] as number[], hours: [] as number[] }
  }))
  for (let turn = 0; turn < QUERIES; turn++) {
    for (const { store, history: { numbers }, end, latest, hours } of asked) {
      const series = numbers[Math.floor(Math.random() * numbers.length)]!
      latest.push(await timed(() => store.readingsBefore(series, epochMs(end), 100), 100))
      hours.push(await timed(() => store.readings(series, epochMs(end - HOUR_MS), epochMs(end), 10_000), HOUR_MS / 1_000))
    }
  }
  await Promise.all(asked.map(({ pool }) => pool.end()))
  const times = (list: number[]): Times => ({ p50: percentile(list, 0.5), p99: percentile(list, 0.99) })
  return asked.map(({ latest, hours }) => ({ latestMs: times(latest), hourMs: times(hours) }))
}

/** In ms. */
async function timed (ask: () => Promise<readonly unknown[]>, expected: number): Promise<number> {
  const startedAt = performance.now()
  const found = await ask()
  const took = performance.now() - startedAt
  if (found.length !== expected) throw new WrongResult(`${found.length} readings were found of ${expected}`)
  return took
}
