/** P13: `kill -9` of server, PostgreSQL, its sessions and the broker at random moments under load; what was acknowledged is there exactly once. */

import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../src/platform/postgres/postmaster.ts'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { type BusSite, EMBEDDED, onKafka } from './bus-site.ts'
import { type Counts, openCounts, WrongResult } from './counts.ts'
import { gatewayCount, timeOf } from './load/plan.ts'
import { treePids } from './processes.ts'
import type { Measured } from './report.ts'
import { type Server, startServer } from './server.ts'
import { openStand, type Stand } from './stand.ts'

export const CRASH_BARS = ['P13', 'P13k'] as const
const ROUNDS = 20
/** Each victim once. */
const ROUNDS_QUICK = 4
const DAY_MS = 86_400_000
/** The moment lies anywhere in this span of load; after it the load goes on for as long again at most. */
const BEFORE_MAX_MS = 2_000
const AFTER_MS = 700

export async function benchCrash (context: BenchContext, wanted: ReadonlySet<string>): Promise<Outcomes> {
  return {
    ...wanted.has('P13') ? { P13: await crashOn(context, EMBEDDED) } : {},
    ...wanted.has('P13k') ? await onKafka(context, ['P13k'], async site => ({ P13k: await crashOn(context, site) })) : {}
  }
}

async function crashOn (context: BenchContext, site: BusSite): Promise<Measured> {
  const port = await freePort()
  const stand = await openStand(await context.folder(`crash-${site.kind}`), {
    connections: 32, devices: 1_000, devicesPerPost: 10, readingsPerDevice: 10, staggerMs: 60_000, format: 'json', startAt: context.now() - 3 * DAY_MS, retries: true
  }, { port }, site)
  const bench: Bench = { stand, site, port, server: stand.server }
  const victims: readonly Victim[] = ['server', 'postmaster', 'session', ...site.crash === undefined ? [] : ['broker'] as const]
  const rounds = context.options.quick ? ROUNDS_QUICK : ROUNDS
  const sum = { acked: 0, stored: 0, suppressed: 0, repeated: 0 }
  try {
    await context.assertDurable(stand.counts.series)
    await stand.counts.close()
    for (let round = 0; round < rounds; round++) {
      const victim = victims[round % victims.length]!
      const result = await crashUnderLoad(bench, victim)
      const found = await assertOnce(bench, result.posts)
      sum.acked += result.acked
      sum.repeated += result.failures
      Object.assign(sum, found)
      context.say(`crash on ${site.kind}, round ${round + 1}: ${victim} killed, ${result.acked} acknowledged, ${result.failures} requests repeated; ${found.stored} stored, ${found.suppressed} suppressed`)
    }
  } finally {
    stand.load.close()
    await bench.server.stop()
  }
  return {
    ours: 0, against: { kind: 'none', name: '-' }, note: `${rounds} rounds; no alarms are built; off: audit`, counts: sum,
    conditions: { rounds, victims, load: 'P1j', check: 'every reading acknowledged, and no other, in series once; stored + suppressed = taken' }
  }
}

type Victim = 'server' | 'postmaster' | 'session' | 'broker'
/** `server`: the one that runs now. */
interface Bench { stand: Stand, site: BusSite, port: number, server: Server }

async function crashUnderLoad (bench: Bench, victim: Victim) {
  const { load } = bench.stand
  const loading = load.run({ seconds: 300 })
  await delay(100 + Math.random() * BEFORE_MAX_MS)
  await kill(bench, victim)
  await delay(AFTER_MS)
  load.stop()
  return loading
}

/** Returns when what does not come back by itself runs again. */
async function kill (bench: Bench, victim: Victim): Promise<void> {
  const { server, site, port } = bench
  if (victim === 'broker') return site.crash!()
  if (victim === 'server') {
    server.kill()
    await server.exited
    bench.server = await startServer({ dataDir: server.dataDir, port, env: site.env })
    return
  }
  const postmaster = await server.postmasterPid()
  const sessions = treePids(postmaster).filter(pid => pid !== postmaster)
  process.kill(victim === 'postmaster' ? postmaster : sessions[Math.floor(Math.random() * sessions.length)]!, 'SIGKILL')
}

/** @throws WrongResult naming the first series in which something is missing, doubled or not sent */
async function assertOnce ({ server, site, stand: { plan } }: Bench, posts: readonly number[]): Promise<{ stored: number, suppressed: number }> {
  const counts = await reopenCounts(server, site)
  try {
    await counts.untilStored()
    const { rows } = await counts.series.query<{ count: string, first: number, last: number }>(
      `select count(*) as count, (extract(epoch from min(taken_at)) * 1000)::float8 as first, (extract(epoch from max(taken_at)) * 1000)::float8 as last
         from series.reading group by series order by min(taken_at), series`)
    const expected = Array.from({ length: gatewayCount(plan) }, (_, gateway) => gateway).filter(gateway => posts[gateway]! > 0)
      .flatMap(gateway => Array.from({ length: plan.devicesPerPost }, () => ({
        count: posts[gateway]! * plan.readingsPerDevice, first: timeOf(plan, gateway, 0, 0), last: timeOf(plan, gateway, posts[gateway]! - 1, plan.readingsPerDevice - 1)
      })))
      .sort((a, b) => a.first - b.first)
    if (rows.length !== expected.length) throw new WrongResult(`${expected.length} devices were acknowledged, ${rows.length} have rows`)
    for (const [place, { count, first, last }] of rows.entries()) {
      const wanted = expected[place]!
      if (Number(count) !== wanted.count || Math.round(first) !== wanted.first || Math.round(last) !== wanted.last) {
        throw new WrongResult(`after a crash ${wanted.count} readings of a device were acknowledged, ${count} are stored`)
      }
    }
    const totals = await counts.totals()
    const all = expected.reduce((total, { count }) => total + count, 0)
    if (totals.stored !== all || totals.accepted !== totals.stored + totals.suppressed || totals.quarantined !== 0) {
      throw new WrongResult(`after a crash ${all} readings are stored, the counters say ${JSON.stringify(totals)}`)
    }
    return { stored: totals.stored, suppressed: totals.suppressed }
  } finally {
    await counts.close()
  }
}

/** PostgreSQL may still be on its way back. */
async function reopenCounts (server: Server, site: BusSite): Promise<Counts> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await openCounts(server, site)
    } catch (error) {
      if (attempt > 200) throw error
      await delay(50)
    }
  }
}
