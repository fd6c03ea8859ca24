/** P9: the same readings from few devices and from many; and what the stream holds of each device in memory. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { measureCopy } from './limits/copy-binary.ts'
import { openLimitTable } from './limits/limit-table.ts'
import { mean } from './reduce.ts'
import type { Measured } from './report.ts'
import { databaseUrl, startServer } from './server.ts'
import { load1, openStand, type StandPlan, type Stretch } from './stand.ts'

export const DEVICE_BARS = ['P9', 'P9m'] as const
const POINTS = [100, 1_000, 10_000, 100_000]
const POINTS_QUICK = [100, 1_000]
/** Measured readings at every point, and as many before: with a hundred thousand devices half a minute, after which windows close evenly. */
const READINGS = 3_000_000
const READINGS_QUICK = 300_000
const DAY_MS = 86_400_000
const LIMIT_SECONDS = { warmUp: 1, stretch: 3 } as const

interface Point { devices: number, rate: number, share: number, stretch: Stretch, load1: number }

export async function benchDevices (context: BenchContext, wanted: ReadonlySet<string>): Promise<Outcomes> {
  return {
    ...(wanted.has('P9') ? { P9: await benchRate(context) } : {}),
    ...(wanted.has('P9m') ? { P9m: await benchState(context) } : {})
  }
}

async function benchRate (context: BenchContext): Promise<Measured> {
  const { quick } = context.options
  const readings = quick ? READINGS_QUICK : READINGS
  const points: Point[] = []
  for (const devices of shuffled(quick ? POINTS_QUICK : POINTS)) {
    const point = await measurePoint(context, devices, readings)
    points.push(point)
    context.say(`devices ${devices}: ${Math.round(point.rate)} r/s, ${point.share.toFixed(3)} of L; cpu us server ${point.stretch.cpuUsPerUnit.server.toFixed(2)} postgres ${point.stretch.cpuUsPerUnit.postgres.toFixed(2)}`)
  }
  points.sort((a, b) => a.devices - b.devices)
  const [least, most] = [points[0]!, points.at(-1)!]
  return {
    ours: most.rate,
    against: { kind: 'self', name: `self at ${least.devices} devices`, value: least.rate },
    ratio: most.share / least.share,
    note: points.map(({ devices, rate }) => `${devices}: ${Math.round(rate)}`).join(', '),
    cpuUsPerUnit: most.stretch.cpuUsPerUnit,
    conditions: {
      connections: 10, readings, ratio: 'of the rates, each divided by L before and after it',
      points: points.map(({ devices, rate, share, stretch, load1 }) => ({ devices, rate, shareOfLimit: share, cpuUsPerUnit: stretch.cpuUsPerUnit, load1 }))
    }
  }
}

async function measurePoint (context: BenchContext, devices: number, readings: number): Promise<Point> {
  // Ten connections everywhere: a hundred devices are ten gateways, and a gateway sends one request at a time.
  const plan: StandPlan = { connections: 10, devices, devicesPerPost: 10, readingsPerDevice: 10, staggerMs: 60_000, format: 'avro', startAt: context.now() - 6 * DAY_MS }
  const stand = await openStand(await context.folder(`devices-${devices}`), plan)
  const table = await openLimitTable(join(stand.server.dataDir))
  try {
    await context.assertDurable(stand.counts.series)
    const posts = Math.max(1, Math.ceil(readings / (devices * plan.readingsPerDevice)))
    const before = await measureCopy(table, LIMIT_SECONDS)
    const stretch = await stand.measurePosts({ warmUp: posts, stretch: posts })
    const after = await measureCopy(table, LIMIT_SECONDS)
    return { devices, rate: stretch.rate, share: stretch.rate / mean([before, after]), stretch, load1: load1() }
  } finally {
    await table.close()
    await stand.close()
  }
}

const STATE_DEVICES = 10_000

async function benchState (context: BenchContext): Promise<Measured> {
  const dataDir = join(await context.folder('stream-state'), 'data')
  const server = await startServer({ dataDir })
  try {
    const table = await openLimitTable(dataDir, 'bench_state')
    await context.assertDurable(table.client)
    await table.close()
    const child = fork(fileURLToPath(new URL('stream-state.ts', import.meta.url)), [await databaseUrl(dataDir, 'bench_state', 'oxbow_series'), String(STATE_DEVICES)],
      { execArgv: ['--expose-gc'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const [bytes] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => { throw new Error('the measurement of stream state ended') })]) as [number]
    return { ours: bytes, against: { kind: 'none', name: '-' }, note: 'lateness buffer empty but for the last reading', conditions: { devices: STATE_DEVICES, state: 'heap and external memory of pipeline and series store' } }
  } finally {
    await server.stop()
  }
}

function shuffled<T> (values: readonly T[]): T[] {
  const left = [...values]
  return values.map(() => left.splice(Math.floor(Math.random() * left.length), 1)[0]!)
}
