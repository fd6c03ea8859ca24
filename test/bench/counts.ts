/** The stores -> what is counted there; a stretch is good only if nothing is missing, doubled or different (performance.md §7.5, law 4). */

import { Client } from 'pg'
import { READINGS } from '../../src/model/streams.ts'
import { type BusSite, EMBEDDED } from './bus-site.ts'
import { BATTERY_MV, type PlanShape, QUALITY, timeOf, VARIANTS, valuesAt } from './load/plan.ts'
import type { Server } from './server.ts'

/** A figure from such a stretch would say nothing: the bench ends with 1. */
export class WrongResult extends Error {}

export interface Totals {
  /** Taken from the bus by the stream: accepted = stored + suppressed. */
  accepted: number
  stored: number
  suppressed: number
  /** Records that are in quarantine now; those that waited and were released are not. */
  quarantined: number
}

export interface Expected {
  acked: number
  /** Readings sent more than once on purpose, or because an answer was lost. */
  duplicates: number
}

/** @throws WrongResult */
export function assertTotals (before: Totals, after: Totals, expected: Expected, rows: number): void {
  const [stored, suppressed, quarantined, accepted] = (['stored', 'suppressed', 'quarantined', 'accepted'] as const).map(name => after[name] - before[name]) as [number, number, number, number]
  const problems = [
    ...(stored !== expected.acked - expected.duplicates ? [`${expected.acked} acknowledged, ${expected.duplicates} of them repeated, but ${stored} counted as stored`] : []),
    ...(rows !== stored ? [`${stored} counted as stored, but ${rows} rows`] : []),
    ...(expected.acked !== stored + quarantined + suppressed ? [`in ${expected.acked} is not stored ${stored} + quarantined ${quarantined} + suppressed ${suppressed}`] : []),
    ...(accepted !== stored + suppressed ? [`the stream took ${accepted}, but stored ${stored} and suppressed ${suppressed}`] : [])
  ]
  if (problems.length > 0) throw new WrongResult(problems.join('; '))
}

export interface Counts {
  totals (): Promise<Totals>
  /** Rows at or after a time. */
  rowsSince (time: number): Promise<number>
  /** Resolves when nothing waits in quarantine and the stream has stored everything that is on the bus. */
  untilStored (): Promise<void>
  /** Records on the bus so far, and those of them that the stream has stored. */
  appended (): Promise<number>
  consumed (): Promise<number>
  /** Whether all of it is stored. */
  isStored (): Promise<boolean>
  seriesOf (sids: readonly string[]): Promise<Map<string, number>>
  /** Compares readings one by one. @throws WrongResult naming the first that is missing or different */
  assertReadings (wanted: readonly WantedReading[]): Promise<void>
  series: Client
  bus: Client
  close (): Promise<void>
}

export interface WantedReading { series: number, takenAt: number, tissueO2: number, spo2: number }

const POLL_MS = 5
const OPEN = "from quarantine.item where state in ('waiting', 'held')"
const STORED_TIMEOUT_MS = 600_000

export async function openCounts (server: Pick<Server, 'databaseUrl'>, site: Pick<BusSite, 'ends'> = EMBEDDED): Promise<Counts> {
  const [series, bus] = await Promise.all(['oxbow_series', 'oxbow_bus'].map(async database => {
    const client = new Client({ connectionString: await server.databaseUrl(database) })
    client.on('error', () => {})
    await client.connect()
    return client
  })) as [Client, Client]
  const ends = () => site.ends(bus)
  const points = () => resumePoints(series)

  async function isStored (): Promise<boolean> {
    // Released first: that puts it on the bus.
    if (await number(bus, `select count(*) ${OPEN} and state = 'waiting'`) > 0) return false
    const [wanted, reached] = await Promise.all([ends(), points()])
    return [...wanted].every(([partition, end]) => (reached.get(partition) ?? 0) >= end)
  }
  return {
    series,
    bus,
    totals: async () => ({ ...await streamTotals(series), quarantined: await number(bus, `select coalesce(sum(times_seen), 0) ${OPEN}`) }),
    rowsSince: time => number(series, `select count(*) from series.reading where taken_at >= '${new Date(time).toISOString()}'`),
    appended: async () => sum(await ends()),
    consumed: async () => sum(await points()),
    isStored,
    async untilStored () {
      const deadline = performance.now() + STORED_TIMEOUT_MS
      while (!await isStored()) {
        if (performance.now() > deadline) throw new WrongResult('what was acknowledged is still not stored')
        await new Promise(resolve => { setTimeout(resolve, POLL_MS) })
      }
    },
    async seriesOf (sids) {
      const { rows } = await series.query<{ sid: string, number: number }>('select sid, number from series.sid where sid = any($1)', [sids])
      return new Map(rows.map(row => [row.sid, row.number]))
    },
    assertReadings: wanted => assertReadings(series, wanted),
    close: async () => { await Promise.all([series.end(), bus.end()]) }
  }
}

async function streamTotals (series: Client): Promise<Omit<Totals, 'quarantined'>> {
  const { rows: [row] } = await series.query<Record<'accepted' | 'stored' | 'suppressed', string>>(
    'select coalesce(sum(accepted), 0) as accepted, coalesce(sum(stored), 0) as stored, coalesce(sum(duplicate + conflict), 0) as suppressed from series.counts')
  return { accepted: Number(row!.accepted), stored: Number(row!.stored), suppressed: Number(row!.suppressed) }
}

function sum (offsets: ReadonlyMap<number, number>): number { return [...offsets.values()].reduce((total, offset) => total + offset, 0) }

async function resumePoints (series: Client): Promise<Map<number, number>> {
  const { rows } = await series.query<{ partition: number, next_offset: string }>('select partition, next_offset from series.resume_point where topic = $1', [READINGS])
  return new Map(rows.map(row => [row.partition, Number(row.next_offset)]))
}

async function number (client: Client, text: string): Promise<number> {
  const { rows: [row] } = await client.query({ text, rowMode: 'array' })
  return Number(row![0])
}

async function assertReadings (series: Client, wanted: readonly WantedReading[]): Promise<void> {
  const { rows } = await series.query({
    text: `select k.place, r.v0, r.v1, r.battery, r.quality from unnest($1::int[], $2::timestamptz[]) with ordinality k (series, taken_at, place)
      join series.reading r on r.series = k.series and r.taken_at = k.taken_at and r.sequence = 0`,
    values: [wanted.map(({ series }) => series), wanted.map(({ takenAt }) => new Date(takenAt).toISOString())],
    rowMode: 'array'
  })
  const found = new Map((rows as [string, ...number[]][]).map(([place, ...values]) => [Number(place) - 1, values]))
  for (const [place, { series: number, takenAt, tissueO2, spo2 }] of wanted.entries()) {
    const values = found.get(place)
    const expected = [tissueO2, spo2, BATTERY_MV, QUALITY]
    if (values === undefined || expected.some((value, index) => values[index] !== value)) {
      throw new WrongResult(`reading of series ${number} at ${new Date(takenAt).toISOString()}: sent ${expected}, stored ${values ?? 'nothing'}`)
    }
  }
}

/** Readings drawn from the POSTs that gateways had acknowledged between two states of their counters. */
export function drawReadings (plan: PlanShape, from: readonly number[], until: readonly number[], count: number, seriesOfDevice: (device: number) => number): WantedReading[] {
  const gateways = until.flatMap((end, gateway) => end > from[gateway]! ? [gateway] : [])
  if (gateways.length === 0) return []
  return Array.from({ length: count }, () => {
    const gateway = gateways[Math.floor(Math.random() * gateways.length)]!
    const post = from[gateway]! + Math.floor(Math.random() * (until[gateway]! - from[gateway]!))
    const [k, d] = [Math.floor(Math.random() * plan.readingsPerDevice), Math.floor(Math.random() * plan.devicesPerPost)]
    const values = valuesAt(post % VARIANTS, k * plan.devicesPerPost + d)
    return { series: seriesOfDevice(gateway * plan.devicesPerPost + d), takenAt: timeOf(plan, gateway, post, k), ...values }
  })
}
