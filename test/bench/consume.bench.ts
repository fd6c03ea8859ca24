/** P3b, P3k: a topic filled with one reading per record while the server is down, then the server stores it; on either bus. */

import { join } from 'node:path'
import { READINGS } from '../../src/model/streams.ts'
import { encodeReadingBatch } from '../../src/model/reading-record.ts'
import type { Sid } from '../../src/model/reading.ts'
import { epochMs, millivolt, percent } from '../../src/model/units.ts'
import type { Bus, BusRecord } from '../../src/platform/bus/bus.ts'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { type BusSite, EMBEDDED, onKafka } from './bus-site.ts'
import { type Counts, openCounts, WrongResult } from './counts.ts'
import { measureSingleInsert } from './limits/copy-binary.ts'
import { openLimitTable } from './limits/limit-table.ts'
import { BATTERY_MV, QUALITY, valuesAt } from './load/plan.ts'
import { cpuUs } from './processes.ts'
import { type JudgedRound, judgeRound, mean, median, medianRatio } from './reduce.ts'
import type { Measured } from './report.ts'
import { createToken, type Server, startServer } from './server.ts'
import { load1 } from './stand.ts'
import { admitDevices, sidsOfDevices } from './ward.ts'

export const CONSUME_BARS = ['P3b'] as const
export const CONSUME_KAFKA_BARS = ['P3k'] as const
const DEVICES = 1_000
const RECORDS = 1_000_000
const RECORDS_QUICK = 150_000
const RECORDS_PER_PUBLISH = 1_000
const PUBLISHES_AT_ONCE = 4
const DAY_MS = 86_400_000
const POLL_MS = 10

interface Consumed { rate: number, cpu: { server: number, postgres: number } }

export async function benchConsume (context: BenchContext): Promise<Outcomes> {
  return { P3b: await measureConsume(context, EMBEDDED) }
}

export function benchConsumeKafka (context: BenchContext): Promise<Outcomes> {
  return onKafka(context, CONSUME_KAFKA_BARS, async site => ({ P3k: await measureConsume(context, site) }))
}

async function measureConsume (context: BenchContext, site: BusSite): Promise<Measured> {
  const { options: { rounds: roundCount, roundsMin, seconds, quick }, say } = context
  const dataDir = join(await context.folder('consume'), 'data')
  const records = quick ? RECORDS_QUICK : RECORDS
  const sids = await admit(dataDir, site)
  const startAt = context.now() - 5 * DAY_MS
  const judged: JudgedRound[] = []
  const consumed: Consumed[] = []
  for (let round = 0; round < roundCount; round++) {
    await site.withBus(dataDir, bus => fill(bus, sids, startAt + round * (records / DEVICES) * 1_000, records))
    const { limits, ours } = await drain(context, dataDir, site, records, seconds)
    judged.push(judgeRound({ limitBefore: limits[0], ours: [ours.rate], limitAfter: limits[1], load1: load1() }))
    consumed.push(ours)
    say(`consume from ${site.kind}, round ${round + 1}: single insert ${limits.map(Math.round).join(' ')}, ours ${Math.round(ours.rate)}: ${judged.at(-1)!.ratio.toFixed(1)}`)
  }
  const ratio = medianRatio(judged, roundsMin)
  return {
    ours: median(judged.map(round => mean(round.ours))),
    against: { kind: 'limit', name: 'insert-autocommit', value: median(judged.map(({ limitBefore, limitAfter }) => (limitBefore + limitAfter) / 2)) },
    ...(ratio === undefined ? { rejected: true } : { ratio }),
    rounds: judged,
    cpuUsPerUnit: { server: median(consumed.map(({ cpu }) => cpu.server)), postgres: median(consumed.map(({ cpu }) => cpu.postgres)) },
    conditions: { bus: site.kind, records, readingsPerRecord: 1, recordsPerPublish: RECORDS_PER_PUBLISH, devices: DEVICES }
  }
}

async function admit (dataDir: string, { env }: BusSite): Promise<readonly Sid[]> {
  const token = await createToken(dataDir)
  const server = await startServer({ dataDir, env })
  await admitDevices(server, token, 0, DEVICES)
  const sids = [...(await sidsOfDevices(server)).values()] as Sid[]
  await server.stop()
  return sids
}

/** Publishes through the bus's own door. */
async function fill (bus: Bus, sids: readonly Sid[], startAt: number, records: number): Promise<void> {
  const starts = Array.from({ length: records / RECORDS_PER_PUBLISH }, (_, index) => index * RECORDS_PER_PUBLISH)
  const publishFrom = async () => { for (let from = starts.shift(); from !== undefined; from = starts.shift()) await publish(bus, sids, startAt, from) }
  await Promise.all(Array.from({ length: PUBLISHES_AT_ONCE }, publishFrom))
}

async function publish (bus: Bus, sids: readonly Sid[], startAt: number, from: number): Promise<void> {
  const records = Array.from({ length: RECORDS_PER_PUBLISH }, (_, index): BusRecord => {
    const n = from + index
    const sid = sids[n % sids.length]!
    const { tissueO2, spo2 } = valuesAt(n % 8, n % 97)
    const value = encodeReadingBatch({
      sid, model: 'Example Sensors Inc./TO2-READER-2', schemaId: 1, receivedAt: epochMs(Date.now()),
      readings: [{ takenAt: epochMs(startAt + Math.floor(n / sids.length) * 1_000), sequence: 0, values: [tissueO2, spo2], battery: millivolt(BATTERY_MV), quality: percent(QUALITY), firmware: 0, flags: 0 }]
    })
    return { topic: READINGS, key: sid, value }
  })
  await bus.publish(records)
}

async function drain (context: BenchContext, dataDir: string, site: BusSite, records: number, seconds: { warmUp: number, stretch: number }): Promise<{ limits: [number, number], ours: Consumed }> {
  const server = await startServer({ dataDir, env: site.env })
  const counts = await openCounts(server, site)
  try {
    await context.assertDurable(counts.series)
    const ours = await consumeRate(server, counts, records)
    const table = await openLimitTable(dataDir)
    const short = { warmUp: Math.min(1, seconds.warmUp), stretch: seconds.stretch / 2 }
    const limits: [number, number] = [await measureSingleInsert(table, short), await measureSingleInsert(table, short)]
    await table.close()
    return { limits, ours }
  } finally {
    await counts.close()
    await server.stop()
  }
}

/** From the first commit that is seen to the last: starting the server is not consuming. */
async function consumeRate (server: Server, counts: Counts, records: number): Promise<Consumed> {
  const ends = await counts.appended()
  const first = await counts.consumed()
  const [startedAt, cpuBefore] = [performance.now(), await cpuUs(server)]
  if (first >= ends) throw new WrongResult('everything was stored before it could be measured: more records are needed')
  while (await counts.consumed() < ends) await new Promise(resolve => { setTimeout(resolve, POLL_MS) })
  const [took, cpu] = [(performance.now() - startedAt) / 1_000, await cpuUs(server)]
  const { stored } = await counts.totals()
  const rows = await counts.rowsSince(0)
  if (rows !== ends || stored !== ends) throw new WrongResult(`${ends} records of one reading on the bus, ${stored} counted as stored, ${rows} rows`)
  const count = ends - first
  if (count > records) throw new WrongResult(`${count} readings were stored of ${records}`)
  return { rate: count / took, cpu: { server: (cpu.server - cpuBefore.server) / count, postgres: (cpu.postgres - cpuBefore.postgres) / count } }
}
