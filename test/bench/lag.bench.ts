/** P3l: the stream stood still while readings came in through Kafka, and goes on while they keep coming: how fast the backlog shrinks, against how fast they come. */

import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { type BusSite, onKafka } from './bus-site.ts'
import { assertTotals, type Counts, WrongResult } from './counts.ts'
import { GATEWAY } from './ingest.bench.ts'
import { gatewayCount, type PlanShape, readingsPerPost } from './load/plan.ts'
import { type JudgedRound, judgeRound, mean, median, medianRatio } from './reduce.ts'
import type { Measured } from './report.ts'
import type { Server } from './server.ts'
import { assertAnswers, load1, openStand, type Stand, type StandPlan } from './stand.ts'

export const LAG_BARS = ['P3l'] as const
/** As 10,000 devices that measure once a second. */
const ARRIVING_PER_S = 10_000
/** Records of the topic that wait when the stream goes on; ten readings each. */
const BACKLOG = { full: 10_000, quick: 5_000 } as const
/** It has caught up when so much of them is left: some records are always under way. */
const LEFT = 0.1
const RECOVERY_MAX_S = 30
const STANDING_MAX_S = 60
const POLL_MS = 20
const DAY_MS = 86_400_000

export function benchLag (context: BenchContext): Promise<Outcomes> {
  return onKafka(context, LAG_BARS, async site => ({ P3l: await measureLag(context, site) }))
}

async function measureLag (context: BenchContext, site: BusSite): Promise<Measured> {
  const { options: { rounds: roundCount, roundsMin, quick }, say } = context
  const backlog = quick ? BACKLOG.quick : BACKLOG.full
  const shape: PlanShape = { ...GATEWAY, startAt: context.now() - 3 * DAY_MS }
  const plan: StandPlan = { ...GATEWAY, ...shape, format: 'json', intervalMs: gatewayCount(shape) * readingsPerPost(shape) * 1_000 / ARRIVING_PER_S }
  const stand = await openStand(await context.folder('lag'), plan, {}, site)
  const recoveries: Recovery[] = []
  try {
    await context.assertDurable(stand.counts.series)
    await stand.measure({ warmUp: 2, stretch: 2 })
    for (let round = 0; round < roundCount; round++) {
      recoveries.push(await recover(stand, backlog))
      const { judged: { limitBefore, ours, ratio }, arrivedMeanwhile, seconds } = recoveries.at(-1)!
      const [arriving, meanwhile, shrinks] = [limitBefore, arrivedMeanwhile, ours[0]!].map(Math.round)
      say(`lag, round ${round + 1}: arriving ${arriving} (meanwhile ${meanwhile}), the backlog shrinks by ${shrinks} r/s for ${seconds.toFixed(1)} s: ${ratio.toFixed(2)}; load ${load1().toFixed(1)}`)
    }
  } finally {
    await stand.close()
  }
  return outcomeOf(site, recoveries, backlog, roundsMin)
}

function outcomeOf (site: BusSite, recoveries: readonly Recovery[], backlog: number, roundsMin: number): Measured {
  const rounds = recoveries.map(({ judged }) => judged)
  const ratio = medianRatio(rounds, roundsMin)
  const arriving = median(rounds.map(({ limitBefore }) => limitBefore))
  return {
    ours: median(rounds.map(({ ours }) => mean(ours))),
    against: { kind: 'self', name: 'arriving', value: arriving },
    ...(ratio === undefined ? { rejected: true } : { ratio }),
    note: `stored meanwhile: ${Math.round(median(recoveries.map(({ stored }) => stored))).toLocaleString('en-US')} r/s`,
    rounds,
    conditions: { bus: site.kind, backlogRecords: backlog, readingsPerRecord: median(recoveries.map(({ perRecord }) => perRecord)), until: LEFT, arrivedMeanwhile: recoveries.map(({ arrivedMeanwhile }) => arrivedMeanwhile), seconds: recoveries.map(({ seconds }) => seconds) }
  }
}

export interface Recovery {
  /** Readings that come in a second, and by how many a second fewer wait. */
  judged: JudgedRound
  /** Readings a second, while it recovers. */
  stored: number
  arrivedMeanwhile: number
  perRecord: number
  seconds: number
}

async function recover ({ server, counts, load, plan }: Stand, backlog: number): Promise<Recovery> {
  const [before, rowsBefore, from] = [await counts.totals(), await counts.rowsSince(plan.startAt), await look(counts)]
  const goOn = await holdStream(server)
  const running = load.run({ seconds: STANDING_MAX_S + RECOVERY_MAX_S })
  running.catch(() => { /* awaited below, unless something else failed first */ })
  const standing = await lookUntil(counts, ({ waiting }) => waiting > 0, STANDING_MAX_S)
  const still = await lookUntil(counts, ({ waiting }) => waiting >= backlog, STANDING_MAX_S)
  await goOn()
  const done = await lookUntil(counts, ({ waiting }) => waiting <= backlog * LEFT, RECOVERY_MAX_S)
  load.stop()
  const result = await running
  assertAnswers(result)
  await counts.untilStored()
  const end = await look(counts)
  assertTotals(before, await counts.totals(), { acked: result.acked, duplicates: 0 }, await counts.rowsSince(plan.startAt) - rowsBefore)
  if (still.waiting < backlog) throw new WrongResult(`only ${still.waiting} of ${backlog} records waited: the stream did not stand still`)
  const perRecord = result.acked / (end.appended - from.appended)
  return recoveryOf({ standing, still, done }, perRecord, load1())
}

/** Against what came in while it stood still: gateways that are held up while it recovers still have their readings, which is no gain. @param perRecord readings in a record */
export function recoveryOf ({ standing, still, done }: Record<'standing' | 'still' | 'done', Look>, perRecord: number, load: number): Recovery {
  const seconds = (done.at - still.at) / 1_000
  const arriving = (still.appended - standing.appended) * perRecord * 1_000 / (still.at - standing.at)
  const stored = (done.consumed - still.consumed) * perRecord / seconds
  const judged = judgeRound({ limitBefore: arriving, ours: [stored - arriving], limitAfter: arriving, load1: load })
  return { judged, stored, arrivedMeanwhile: (done.appended - still.appended) * perRecord / seconds, perRecord, seconds }
}

/** Nothing is committed any more, as when its database does not answer; the door goes on. */
async function holdStream (server: Server): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: await server.databaseUrl('oxbow_series') })
  client.on('error', () => {})
  await client.connect()
  await client.query('begin')
  await client.query('lock table series.resume_point in exclusive mode')
  return () => client.end()
}

/** Records of the topic so far, at a time in ms. */
export interface Look { at: number, appended: number, consumed: number, waiting: number }

async function look (counts: Counts): Promise<Look> {
  const [appended, consumed] = await Promise.all([counts.appended(), counts.consumed()])
  return { at: performance.now(), appended, consumed, waiting: appended - consumed }
}

/** The first look that satisfies, or the last within the time. */
async function lookUntil (counts: Counts, satisfies: (one: Look) => boolean, seconds: number): Promise<Look> {
  const deadline = performance.now() + seconds * 1_000
  for (;;) {
    const one = await look(counts)
    if (satisfies(one) || one.at > deadline) return one
    await delay(POLL_MS)
  }
}
