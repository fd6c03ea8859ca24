/** Plan -> requests over all connections for a while -> what was acknowledged. Gateways go on where the last run left them. */

import { setTimeout as delay } from 'node:timers/promises'
import { percentile } from '../reduce.ts'
import { createRequestTemplate, type RequestTemplate } from './body-template.ts'
import { type LeanConnection, leanConnection } from './lean-http.ts'
import { gatewayCount, type LoadPlan, readingsPerPost } from './plan.ts'

export interface LoadResult {
  sent: number
  /** Readings in requests answered 200. */
  acked: number
  /** Answers other than that, and broken connections. */
  failures: number
  firstFailure?: string
  /** Next POST of each gateway: all before it are acknowledged. */
  posts: number[]
  latencyMs: Record<'p50' | 'p95' | 'p99' | 'max', number>
  cpuUs: number
  /** ms since the epoch. */
  startedAt: number
  endedAt: number
}

export interface Load {
  /** Until `seconds` are over, `postsPerGateway` are sent or `stop` is called; resolves when every request is answered. */
  run (until: { seconds?: number, postsPerGateway?: number }): Promise<LoadResult>
  stop (): void
  close (): void
}

interface Tally { sent: number, acked: number, failures: number, firstFailure: string | undefined, latenciesMs: number[] }

const RETRY_MS = 30

export function createLoad (plan: LoadPlan): Load {
  const gateways = gatewayCount(plan)
  const posts = new Array<number>(gateways).fill(0)
  const readings = readingsPerPost(plan)
  const lanes = Array.from({ length: Math.min(plan.connections, gateways) }, (_, lane, lanesCount = Math.min(plan.connections, gateways)) => ({
    connection: leanConnection(plan.url),
    template: createRequestTemplate(plan),
    gateways: Array.from({ length: Math.ceil((gateways - lane) / lanesCount) }, (_, index) => lane + index * lanesCount),
    turn: 0
  }))
  let stopped = false

  /** @returns false when the run must end */
  async function post (lane: Lane, gateway: number, dueAt: number, tally: Tally): Promise<boolean> {
    const request = lane.template.fill(gateway, posts[gateway]!)
    for (;;) {
      tally.sent += readings
      const answer = await lane.connection.send(request).catch((error: Error) => ({ status: 0, body: error.message }))
      // To a gateway 200 is the end of it. What waits in quarantine then, for a store that is away, must be stored in the end: the counts tell.
      if (answer.status === 200) break
      tally.failures++
      tally.firstFailure ??= `${answer.status} ${answer.body.slice(0, 300)}`
      // A gateway that stops still sends what it began: only then is it known what must be stored.
      if (plan.retries !== true) return false
      await delay(RETRY_MS)
    }
    tally.latenciesMs.push(performance.now() - dueAt)
    tally.acked += readings
    posts[gateway]!++
    return true
  }

  async function drive (lane: Lane, isOver: (gateway: number) => boolean, tally: Tally): Promise<void> {
    const startedAt = performance.now()
    for (let sent = 0; ; sent++) {
      const gateway = lane.gateways[lane.turn % lane.gateways.length]!
      let dueAt = performance.now()
      if (plan.intervalMs !== undefined) {
        dueAt = startedAt + sent * plan.intervalMs / lane.gateways.length
        const waitMs = dueAt - performance.now()
        if (waitMs > 1) await delay(waitMs)
      }
      if (isOver(gateway) || !await post(lane, gateway, dueAt, tally)) return
      lane.turn++
    }
  }

  return {
    async run ({ seconds = Number.POSITIVE_INFINITY, postsPerGateway = Number.POSITIVE_INFINITY }) {
      stopped = false
      const tally: Tally = { sent: 0, acked: 0, failures: 0, firstFailure: undefined, latenciesMs: [] }
      const from = [...posts]
      const cpu = process.cpuUsage()
      const startedAt = Date.now()
      const deadline = performance.now() + seconds * 1_000
      const isOver = (gateway: number) => stopped || performance.now() >= deadline || posts[gateway]! - from[gateway]! >= postsPerGateway
      await Promise.all(lanes.map(lane => drive(lane, isOver, tally)))
      const { user, system } = process.cpuUsage(cpu)
      return resultOf(tally, { posts: [...posts], cpuUs: user + system, startedAt, endedAt: Date.now() })
    },
    stop: () => { stopped = true },
    close: () => { for (const { connection } of lanes) connection.close() }
  }
}

interface Lane { connection: LeanConnection, template: RequestTemplate, gateways: readonly number[], turn: number }

function resultOf ({ sent, acked, failures, firstFailure, latenciesMs }: Tally, rest: Pick<LoadResult, 'posts' | 'cpuUs' | 'startedAt' | 'endedAt'>): LoadResult {
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  const [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1].map(share => percentile(sorted, share)) as [number, number, number, number]
  return { sent, acked, failures, ...(firstFailure === undefined ? {} : { firstFailure }), latencyMs: { p50, p95, p99, max }, ...rest }
}
