/** A folder -> a running product with devices and a load on it; measures stretches and checks each (performance.md §7). */

import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import { type BusSite, EMBEDDED } from './bus-site.ts'
import { assertTotals, type Counts, drawReadings, openCounts, WrongResult } from './counts.ts'
import type { LoadPlan } from './load/plan.ts'
import type { LoadResult } from './load/load-run.ts'
import { type LoadProcess, startLoad } from './load/load-process.ts'
import type { Seconds } from './options.ts'
import { cpuUs } from './processes.ts'
import { createToken, type Server, type ServerOptions, startServer } from './server.ts'
import { admitDevices, sidsOfDevices } from './ward.ts'

export type StandPlan = Omit<LoadPlan, 'url' | 'token'>

export interface Stretch {
  /** Readings stored per second, from the first request until nothing waits any more. */
  rate: number
  cpuUsPerUnit: { server: number, postgres: number, client: number, broker: number }
  latencyMs: LoadResult['latencyMs']
  counts: { sent: number, acked: number, stored: number, quarantined: number, suppressed: number }
  /** Share of the machine that the client used. */
  clientShare: number
}

export interface Stand {
  server: Server
  counts: Counts
  load: LoadProcess
  plan: LoadPlan
  token: string
  measure (seconds: Seconds): Promise<Stretch>
  /** As `measure`, with a number of POSTs of each gateway instead of a time: the same work at every point. */
  measurePosts (posts: { warmUp: number, stretch: number }): Promise<Stretch>
  /** By device: its number in the series store. */
  seriesNumbers (): Promise<Map<number, number>>
  close (): Promise<void>
}

const SAMPLE_COUNT = 1_000

/** @param folder of this stand alone, made by the caller · @param site no other server's */
export async function openStand (folder: string, plan: StandPlan, options: Omit<ServerOptions, 'dataDir'> = {}, site = EMBEDDED): Promise<Stand> {
  const dataDir = join(folder, 'data')
  const token = await createToken(dataDir)
  const server = await startServer({ dataDir, ...options, env: { ...site.env, ...options.env } })
  const load = startLoad()
  try {
    await admitDevices(server, token, 0, plan.devices)
    const counts = await openCounts(server, site)
    const full = { ...plan, url: server.url, token }
    await load.plan(full)
    const seriesNumbers = numbersOfDevices(server, counts)
    const state: Progress = { acked: 0, posts: [] }
    const parts = { site, server, counts, load, plan: full, seriesNumbers }
    return {
      server, counts, load, plan: full, token, seriesNumbers,
      measure: ({ warmUp, stretch }) => measure(parts, { seconds: warmUp }, { seconds: stretch }, state),
      measurePosts: ({ warmUp, stretch }) => measure(parts, { postsPerGateway: warmUp }, { postsPerGateway: stretch }, state),
      async close () {
        load.close()
        await counts.close()
        await server.stop()
      }
    }
  } catch (error) {
    load.close()
    await server.stop()
    throw error
  }
}

interface Progress { acked: number, posts: readonly number[] }
type Until = Parameters<LoadProcess['run']>[0]
type Parts = Pick<Stand, 'server' | 'counts' | 'load' | 'plan' | 'seriesNumbers'> & { site: BusSite }

async function measure (parts: Parts, warmUp: Until, stretch: Until, state: Progress): Promise<Stretch> {
  const { server, counts, site } = parts
  const before = await counts.totals()
  const warm = await runAndStore(parts, warmUp)
  const cpuBefore = { ...await cpuUs(server), broker: site.brokerCpuUs() }
  const startedAt = performance.now()
  const result = await runAndStore(parts, stretch)
  const seconds = (performance.now() - startedAt) / 1_000
  const cpu = { ...await cpuUs(server), broker: site.brokerCpuUs() }
  const after = await counts.totals()
  const acked = warm.acked + result.acked
  state.acked += acked
  await assertStretch(parts, { before, after, acked, from: state.posts, until: result.posts, allAcked: state.acked })
  state.posts = result.posts
  return {
    rate: result.acked / seconds,
    cpuUsPerUnit: {
      server: (cpu.server - cpuBefore.server) / result.acked, postgres: (cpu.postgres - cpuBefore.postgres) / result.acked,
      client: result.cpuUs / result.acked, broker: (cpu.broker - cpuBefore.broker) / result.acked
    },
    latencyMs: result.latencyMs,
    counts: { sent: warm.sent + result.sent, acked, stored: after.stored - before.stored, quarantined: after.quarantined - before.quarantined, suppressed: after.suppressed - before.suppressed },
    clientShare: result.cpuUs / (seconds * 1e6 * cpus().length)
  }
}

async function runAndStore ({ load, counts }: Parts, until: Until): Promise<LoadResult> {
  const result = await load.run(until)
  assertAnswers(result)
  await counts.untilStored()
  return result
}

/** @throws WrongResult when one answer was not 200 */
export function assertAnswers (result: Pick<LoadResult, 'failures' | 'firstFailure'>): void {
  if (result.failures > 0) throw new WrongResult(`${result.failures} requests failed, the first with: ${result.firstFailure}`)
}

interface StretchFacts { before: Totals, after: Totals, acked: number, from: readonly number[], until: readonly number[], allAcked: number }
type Totals = Awaited<ReturnType<Counts['totals']>>

async function assertStretch ({ counts, plan, seriesNumbers }: Parts, facts: StretchFacts): Promise<void> {
  assertTotals(facts.before, facts.after, { acked: facts.acked, duplicates: 0 }, await counts.rowsSince(plan.startAt) - (facts.allAcked - facts.acked))
  const numbers = await seriesNumbers()
  const from = facts.until.map((_, gateway) => facts.from[gateway] ?? 0)
  await counts.assertReadings(drawReadings(plan, from, facts.until, SAMPLE_COUNT, device => numbers.get(device)!))
}

/** Asked for until every device has its number: one gets it with its first reading. */
function numbersOfDevices (server: Server, counts: Counts): () => Promise<Map<number, number>> {
  let sids: Map<number, string> | undefined
  const numbers = new Map<number, number>()
  return async () => {
    sids ??= await sidsOfDevices(server)
    if (numbers.size === sids.size) return numbers
    const found = await counts.seriesOf([...sids.values()])
    for (const [device, sid] of sids) if (found.has(sid)) numbers.set(device, found.get(sid)!)
    return numbers
  }
}

export function load1 (): number { return loadavg()[0]! }
