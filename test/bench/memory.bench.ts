/** M5: memory of the whole embedded system, every device at 1 Hz with its lateness buffer full, by how much it grows with the devices. */

import { setTimeout as delay } from 'node:timers/promises'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { type Memory, memoryOf } from './processes.ts'
import { median } from './reduce.ts'
import { assertAnswers, openStand } from './stand.ts'

export const MEMORY_BARS = ['M5'] as const
const POINTS = { full: [1_000, 10_000], quick: [250, 1_000] } as const
/** So long at 1 Hz before memory is looked at. */
const STEADY = { full: 120, quick: 5 } as const
const LOOKS = { full: 10, quick: 3 } as const
const HISTORY_S = 100
const DEVICES_PER_POST = 50
const MIB = 1024 * 1024

interface Point extends Memory { devices: number }

export async function benchMemory (context: BenchContext): Promise<Outcomes> {
  const size = context.options.quick ? 'quick' : 'full'
  const points: Point[] = []
  for (const devices of POINTS[size]) {
    points.push(await measurePoint(context, devices, { steadySeconds: STEADY[size], looks: LOOKS[size] }))
    const { own, shared, processes } = points.at(-1)!
    context.say(`memory ${devices} devices: ${(own / MIB).toFixed(0)} MiB in ${processes} processes, and ${(shared / MIB).toFixed(0)} MiB shared`)
  }
  const [least, most] = [points[0]!, points.at(-1)!]
  const slope = (most.own - least.own) / (most.devices - least.devices) * 1_000 / 1e6
  return {
    M5: {
      ours: slope, against: { kind: 'none', name: '-' },
      note: points.map(({ devices, own, shared }) => `${devices}: ${(own / 1e6).toFixed(0)} MB + ${(shared / 1e6).toFixed(0)} MB shared`).join(', '),
      conditions: {
        points, steadySeconds: STEADY[size], memory: 'proportional set size of all processes without shared memory', viewers: 0, off: 'dashboard viewers, alarms, audit: not built'
      }
    }
  }
}

async function measurePoint (context: BenchContext, devices: number, { steadySeconds, looks: lookCount }: { steadySeconds: number, looks: number }): Promise<Point> {
  const shape = { connections: 8, devices, devicesPerPost: DEVICES_PER_POST, staggerMs: 0, format: 'avro' } as const
  const startAt = Math.floor(context.now() / 1_000) * 1_000 - HISTORY_S * 1_000
  const stand = await openStand(await context.folder(`memory-${devices}`), { ...shape, readingsPerDevice: 10, startAt })
  try {
    await context.assertDurable(stand.counts.series)
    assertAnswers(await stand.load.run({ postsPerGateway: HISTORY_S / 10 }))
    await stand.counts.untilStored()
    await stand.load.plan({ ...stand.plan, readingsPerDevice: 1, startAt: startAt + HISTORY_S * 1_000, intervalMs: 1_000 })
    const loading = stand.load.run({ seconds: steadySeconds + lookCount })
    await delay(steadySeconds * 1_000)
    const looks: Memory[] = []
    for (let look = 0; look < lookCount; look++) {
      looks.push(memoryOf(stand.server))
      await delay(1_000)
    }
    assertAnswers(await loading)
    await stand.counts.untilStored()
    return { devices, own: median(looks.map(({ own }) => own)), shared: median(looks.map(({ shared }) => shared)), processes: looks[0]!.processes }
  } finally {
    await stand.close()
  }
}
