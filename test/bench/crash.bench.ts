/** P13: `kill -9` of server, PostgreSQL and its sessions at random moments under load; what was acknowledged is there exactly once. */

import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../src/platform/postgres/postmaster.ts'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { type Counts, openCounts, WrongResult } from './counts.ts'
import { gatewayCount, type LoadPlan, timeOf } from './load/plan.ts'
import { treePids } from './processes.ts'
import { type Server, startServer } from './server.ts'
import { openStand, type Stand } from './stand.ts'

export const CRASH_BARS = ['P13'] as const
const ROUNDS = 20
const ROUNDS_QUICK = 3
const DAY_MS = 86_400_000
const VICTIMS = ['server', 'postmaster', 'session'] as const
/** The moment lies anywhere in this span of load; after it the load goes on for as long again at most. */
const BEFORE_MAX_MS = 2_000
const AFTER_MS = 700

export async function benchCrash (context: BenchContext): Promise<Outcomes> {
  const port = await freePort()
  const stand = await openStand(await context.folder('crash'), {
    connections: 32, devices: 1_000, devicesPerPost: 10, readingsPerDevice: 10, staggerMs: 60_000, format: 'json', startAt: context.now() - 3 * DAY_MS, retries: true
  }, { port })
  const running = { server: stand.server }
  const rounds = context.options.quick ? ROUNDS_QUICK : ROUNDS
  const sum = { acked: 0, stored: 0, suppressed: 0, repeated: 0 }
  try {
    await context.assertDurable(stand.counts.series)
    await stand.counts.close()
    for (let round = 0; round < rounds; round++) {
      const victim = VICTIMS[round % VICTIMS.length]!
      const result = await crashUnderLoad(stand, running, victim, port)
      const found = await assertOnce(running.server, stand.plan, result.posts)
      sum.acked += result.acked
      sum.repeated += result.failures
      Object.assign(sum, found)
      context.say(`crash round ${round + 1}: ${victim} killed, ${result.acked} acknowledged, ${result.failures} requests repeated; ${found.stored} stored, ${found.suppressed} suppressed`)
    }
  } finally {
    stand.load.close()
    await running.server.stop()
  }
  return {
    P13: {
      ours: 0, against: { kind: 'none', name: '-' }, note: `${rounds} rounds; no alarms are built; off: audit`, counts: sum,
      conditions: { rounds, victims: VICTIMS, load: 'P1j', check: 'every reading acknowledged, and no other, in series once; stored + suppressed = taken' }
    }
  }
}

type Running = { server: Server }

async function crashUnderLoad (stand: Stand, running: Running, victim: (typeof VICTIMS)[number], port: number) {
  const loading = stand.load.run({ seconds: 300 })
  await delay(100 + Math.random() * BEFORE_MAX_MS)
  if (victim === 'server') {
    running.server.kill()
    await running.server.exited
    running.server = await startServer({ dataDir: running.server.dataDir, port })
  } else {
    const postmaster = await running.server.postmasterPid()
    const sessions = treePids(postmaster).filter(pid => pid !== postmaster)
    process.kill(victim === 'postmaster' ? postmaster : sessions[Math.floor(Math.random() * sessions.length)]!, 'SIGKILL')
  }
  await delay(AFTER_MS)
  stand.load.stop()
  return loading
}

/** @throws WrongResult naming the first series in which something is missing, doubled or not sent */
async function assertOnce (server: Server, plan: LoadPlan, posts: readonly number[]): Promise<{ stored: number, suppressed: number }> {
  const counts = await reopenCounts(server)
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
async function reopenCounts (server: Server): Promise<Counts> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await openCounts(server)
    } catch (error) {
      if (attempt > 200) throw error
      await delay(50)
    }
  }
}
