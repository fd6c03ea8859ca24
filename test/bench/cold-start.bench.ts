/** M6: from the start of `oxbow serve` on an empty data directory to the first reading that is acknowledged and stored. */

import { join } from 'node:path'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { openCounts } from './counts.ts'
import { createLoad } from './load/load-run.ts'
import { median } from './reduce.ts'
import { createToken, startServer } from './server.ts'
import { assertAnswers } from './stand.ts'
import { admitDevices } from './ward.ts'

export const COLD_START_BARS = ['M6'] as const
const RUNS = 5
const RUNS_QUICK = 2
const TRY_EVERY_MS = 5

export async function benchColdStart (context: BenchContext): Promise<Outcomes> {
  const cold: number[] = []
  const warm: number[] = []
  for (let run = 0; run < (context.options.quick ? RUNS_QUICK : RUNS); run++) {
    const dataDir = join(await context.folder('cold-start'), 'data')
    const token = await createToken(dataDir)
    cold.push(await secondsToFirstReading(context, dataDir, token, true))
    warm.push(await secondsToFirstReading(context, dataDir, token, false))
    context.say(`cold start ${run + 1}: ${cold.at(-1)!.toFixed(2)} s, warm ${warm.at(-1)!.toFixed(2)} s`)
  }
  return {
    M6: {
      ours: median(cold), against: { kind: 'none', name: '-' }, note: `warm start ${median(warm).toFixed(2)} s`,
      conditions: { runs: cold.length, coldSeconds: cold, warmSeconds: warm, includes: 'admission of one device through the FHIR API on the cold start' }
    }
  }
}

async function secondsToFirstReading (context: BenchContext, dataDir: string, token: string, isCold: boolean): Promise<number> {
  const startedAt = performance.now()
  const server = await startServer({ dataDir })
  try {
    if (isCold) await admitDevices(server, token, 0, 1)
    const load = createLoad({
      url: server.url, token, format: 'json', connections: 1, devices: 1, devicesPerPost: 1, readingsPerDevice: 1, staggerMs: 0, startAt: context.now() - 60_000
    })
    assertAnswers(await load.run({ postsPerGateway: 1 }))
    load.close()
    const counts = await openCounts(server)
    const wanted = isCold ? 1 : 2
    while (await counts.rowsSince(0) < wanted) await new Promise(resolve => { setTimeout(resolve, TRY_EVERY_MS) })
    const seconds = (performance.now() - startedAt) / 1_000
    await context.assertDurable(counts.series)
    await counts.close()
    return seconds
  } finally {
    await server.stop()
  }
}
