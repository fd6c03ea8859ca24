/** A1, A2: raw records as the bus gives them → objects of the archive on disk, against gzip of the same requests in memory: rate, CPU, bytes. */

import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { type ArchiveSite, openArchiveSite } from './archive-site.ts'
import { WrongResult } from './counts.ts'
import { createBodies } from './load/archive-bodies.ts'
import { type JudgedRound, judgeRound, mean, median, medianRatio } from './reduce.ts'
import type { Measured } from './report.ts'
import { load1 } from './stand.ts'

export const ARCHIVE_BARS = ['A1', 'A1c', 'A1b', 'A2', 'A2c', 'A2b'] as const
/** On the two partitions of the site: as many in a frame and in an object as of 1,000 devices on the eight of a server. */
const DEVICES = 250
const GZIP_LEVEL = 6
/** Packed again until so long has passed. */
const GZIP_MIN_S = 1
const LIMIT = `gzip -${GZIP_LEVEL}`
const DAY_MS = 86_400_000
const MEGA = 1_000_000

interface Shape {
  /** Before the ids of its bars. */
  id: 'A1' | 'A2'
  devicesPerPost: number
  readingsPerDevice: number
  /** Of each round. */
  readings: { full: number, quick: number }
}

const SHAPES: readonly Shape[] = [
  { id: 'A1', devicesPerPost: 10, readingsPerDevice: 10, readings: { full: 160_000, quick: 80_000 } },
  { id: 'A2', devicesPerPost: 1, readingsPerDevice: 1, readings: { full: 45_000, quick: 10_000 } }
]

function perRequest (shape: Shape): number { return shape.devicesPerPost * shape.readingsPerDevice }

export async function benchArchive (context: BenchContext, wanted: ReadonlySet<string>): Promise<Outcomes> {
  const outcomes: Outcomes = {}
  for (const shape of SHAPES) {
    if ([...wanted].some(id => id.startsWith(shape.id))) Object.assign(outcomes, await measureShape(context, shape))
  }
  return outcomes
}

/** Of one round, in bytes of the requests. */
interface Taken {
  judged: JudgedRound
  /** MB per CPU second. */
  perCpu: { ours: number, postgresShare: number, gzip: number }
  readings: number
  rawBytes: number
  gzipBytes: number
}

async function measureShape (context: BenchContext, shape: Shape): Promise<Outcomes> {
  const { options: { rounds, roundsMin, quick }, say } = context
  const site = await openArchiveSite(join(await context.folder('archive'), 'data'))
  const next = createBodies({ ...shape, devices: DEVICES, startAt: context.now() - DAY_MS })
  const taken: Taken[] = []
  try {
    for (let round = 0; round < rounds; round++) {
      taken.push(await measureRound(site, next(quick ? shape.readings.quick : shape.readings.full), perRequest(shape)))
      const { judged: { limitBefore, ours, limitAfter, ratio, accepted }, perCpu } = taken.at(-1)!
      const [before, rate, after] = [limitBefore, ours[0]!, limitAfter].map(value => value.toFixed(1))
      say(`archive ${shape.id} round ${round + 1}: gzip ${before}, ours ${rate}, gzip ${after} MB/s: ${ratio.toFixed(2)}${accepted ? '' : ' (rejected)'}; ` +
        `MB per CPU second ${perCpu.ours.toFixed(1)} against ${perCpu.gzip.toFixed(1)}; load ${load1().toFixed(1)}`)
    }
    const stored = await site.stored()
    const readings = taken.reduce((sum, one) => sum + one.readings, 0)
    if (stored.readings !== readings) throw new WrongResult(`${readings} readings came in, ${stored.readings} stand in the archive`)
    return outcomesOf(shape, taken, stored, roundsMin)
  } finally {
    await site.close()
  }
}

async function measureRound (site: ArchiveSite, bodies: readonly Buffer[], perRequest: number): Promise<Taken> {
  await site.fill(bodies)
  const raw = Buffer.concat(bodies)
  const before = gzip(raw)
  const { seconds, cpuUs } = await site.archive()
  const after = gzip(raw)
  const cpu = cpuUs.writer + cpuUs.postgres
  return {
    judged: judgeRound({ limitBefore: before.rate, ours: [raw.length / MEGA / seconds], limitAfter: after.rate, load1: load1() }),
    perCpu: { ours: raw.length / cpu, postgresShare: cpuUs.postgres / cpu, gzip: mean([before.perCpu, after.perCpu]) },
    readings: bodies.length * perRequest, rawBytes: raw.length, gzipBytes: after.bytes
  }
}

/** All of it in one stream, which packs better than request by request. */
function gzip (raw: Buffer): { rate: number, perCpu: number, bytes: number } {
  const [cpu, startedAt] = [process.cpuUsage(), performance.now()]
  let [packed, bytes, seconds] = [0, 0, 0]
  for (; seconds < GZIP_MIN_S; seconds = (performance.now() - startedAt) / 1_000) {
    bytes = gzipSync(raw, { level: GZIP_LEVEL }).length
    packed += raw.length
  }
  const { user, system } = process.cpuUsage(cpu)
  return { rate: packed / MEGA / seconds, perCpu: packed / (user + system), bytes }
}

function outcomesOf (shape: Shape, taken: readonly Taken[], stored: { bytes: number, readings: number, objects: number }, roundsMin: number): Outcomes {
  const { id } = shape
  const rounds = taken.map(({ judged }) => judged)
  const ratio = medianRatio(rounds, roundsMin)
  const middle = (of: (one: Taken) => number) => median(taken.map(of))
  const perReading = (of: (one: Taken) => number) => taken.reduce((sum, one) => sum + of(one), 0) / stored.readings
  const [ours, raw, gzipped] = [stored.bytes / stored.readings, perReading(one => one.rawBytes), perReading(one => one.gzipBytes)]
  const conditions = { perRequest: perRequest(shape), devices: DEVICES, readings: stored.readings, objects: stored.objects, rawBytesPerReading: raw }
  const rate: Measured = {
    ours: middle(({ judged }) => judged.ours[0]!),
    against: { kind: 'limit', name: LIMIT, value: middle(({ judged: { limitBefore, limitAfter } }) => (limitBefore + limitAfter) / 2) },
    ...(ratio === undefined ? { rejected: true } : { ratio }),
    note: `${Math.round(middle(({ judged, readings, rawBytes }) => judged.ours[0]! * MEGA * readings / rawBytes)).toLocaleString('en-US')} readings/s`, rounds, conditions
  }
  return {
    [id]: rate,
    [`${id}c`]: {
      ours: middle(({ perCpu }) => perCpu.ours), against: { kind: 'limit', name: LIMIT, value: middle(({ perCpu }) => perCpu.gzip) }, ratio: middle(({ perCpu }) => perCpu.ours / perCpu.gzip),
      note: `${Math.round(100 * middle(({ perCpu }) => perCpu.postgresShare))} % of it PostgreSQL`, conditions
    },
    [`${id}b`]: {
      ours, against: { kind: 'limit', name: LIMIT, value: gzipped }, ratio: ours / gzipped, note: `raw JSON ${raw.toFixed(1)} B, ${(ours / raw).toFixed(3)} of it; ${stored.objects} objects`, conditions
    }
  }
}
