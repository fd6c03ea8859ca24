/** P1, P2, P3a, M1: durable ingest over HTTP against the limit of the same machine, interleaved. */

import { join } from 'node:path'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { COPY_LIMIT, measureCopy, measureSingleInsert } from './limits/copy-binary.ts'
import { type LimitTable, openLimitTable } from './limits/limit-table.ts'
import type { Seconds } from './options.ts'
import { type JudgedRound, judgeRound, mean, median, medianRatio } from './reduce.ts'
import type { Measured } from './report.ts'
import { cpuUs } from './processes.ts'
import { load1, openStand, type StandPlan, type Stretch } from './stand.ts'

export const INGEST_BARS = ['P1j', 'P1a', 'P2s', 'P2p', 'M1j', 'M1a'] as const
export const SINGLE_BARS = ['P3a'] as const
const OFF = 'off, not built: alarm rules, audit'
const DAY_MS = 86_400_000

/** Before the first round: a server that has just started is still compiling its code, for as long as ten thousand requests. */
const FIRST_WARM_UP_S = { full: 15, quick: 2 } as const

/** 100 readings in a POST: a gateway of ten devices with ten seconds of each. */
const GATEWAY = { connections: 32, devices: 1_000, devicesPerPost: 10, readingsPerDevice: 10, staggerMs: 60_000 } as const

export async function benchIngest (context: BenchContext, wanted: ReadonlySet<string>): Promise<Outcomes> {
  const both = wanted.has('P2s') || wanted.has('P2p')
  const json = both || wanted.has('P1j') || wanted.has('M1j') ? await measureFormat(context, 'json') : undefined
  const avro = both || wanted.has('P1a') || wanted.has('M1a') ? await measureFormat(context, 'avro') : undefined
  const outcomes: Outcomes = {}
  if (json !== undefined) outcomes['P1j'] = outcomes['M1j'] = json
  if (avro !== undefined) outcomes['P1a'] = outcomes['M1a'] = avro
  if (json !== undefined && avro !== undefined) {
    outcomes['P2s'] = cpuOutcome(json, avro, 'server')
    outcomes['P2p'] = cpuOutcome(json, avro, 'postgres')
  }
  return outcomes
}

function cpuOutcome (json: Measured, avro: Measured, group: 'server' | 'postgres'): Measured {
  const [ofJson, ofAvro] = [json.cpuUsPerUnit![group]!, avro.cpuUsPerUnit![group]!]
  const limit = mean([json.cpuUsPerUnit!['limit']!, avro.cpuUsPerUnit!['limit']!])
  return {
    ours: ofJson,
    against: { kind: 'limit', name: `cpu of ${COPY_LIMIT}`, value: limit },
    ratio: Math.max(ofJson, ofAvro) / limit,
    note: `json; avro ${ofAvro.toFixed(2)}; the ratio is of the higher`,
    conditions: { json: ofJson, avro: ofAvro }
  }
}

async function measureFormat (context: BenchContext, format: 'json' | 'avro'): Promise<Measured> {
  const plan: StandPlan = { ...GATEWAY, format, startAt: context.now() - 3 * DAY_MS }
  return measureAgainst(context, `ingest-${format}`, plan, measureCopy, COPY_LIMIT)
}

export async function benchSingle (context: BenchContext): Promise<Outcomes> {
  const plan: StandPlan = { connections: 32, devices: 1_000, devicesPerPost: 1, readingsPerDevice: 1, staggerMs: 60_000, format: 'json', startAt: context.now() - 3 * DAY_MS }
  return { P3a: await measureAgainst(context, 'ingest-single', plan, measureSingleInsert, 'insert-autocommit') }
}

type MeasureLimit = (table: LimitTable, seconds: Seconds) => Promise<number>

async function measureAgainst (context: BenchContext, name: string, plan: StandPlan, measureLimit: MeasureLimit, limitName: string): Promise<Measured> {
  const { options: { seconds, rounds: roundCount, roundsMin, quick } } = context
  const stand = await openStand(await context.folder(name), plan)
  const table = await openLimitTable(join(stand.server.dataDir))
  const rounds: JudgedRound[] = []
  const stretches: Stretch[] = []
  const limitCpuUs: number[] = []
  const limit = async () => {
    const before = (await cpuUs(stand.server)).postgres
    const rate = await measureLimit(table, seconds)
    limitCpuUs.push(((await cpuUs(stand.server)).postgres - before) / await table.countRows())
    return rate
  }
  try {
    await context.assertDurable(stand.counts.series)
    await stand.measure({ warmUp: quick ? FIRST_WARM_UP_S.quick : FIRST_WARM_UP_S.full, stretch: 1 })
    for (let round = 0; round < roundCount; round++) {
      const limitBefore = await limit()
      const ours = [await stand.measure(seconds), await stand.measure(seconds)]
      const limitAfter = await limit()
      rounds.push(judgeRound({ limitBefore, ours: ours.map(({ rate }) => rate), limitAfter, load1: load1() }))
      stretches.push(...ours)
      context.say(`${name} round ${round + 1}: ${progressOf(rounds.at(-1)!, ours)}`)
    }
  } finally {
    await table.close()
    await stand.close()
  }
  return outcomeOf(plan, rounds, stretches, { name: limitName, cpuUs: median(limitCpuUs) }, roundsMin)
}

function progressOf ({ limitBefore, limitAfter, ratio, accepted, load1 }: JudgedRound, ours: readonly Stretch[]): string {
  const rate = (value: number) => Math.round(value).toLocaleString('en-US')
  const cpu = ours.map(({ cpuUsPerUnit: { server, postgres, client } }) => `${server.toFixed(2)}+${postgres.toFixed(2)}+${client.toFixed(2)}`).join(' ')
  return `L ${rate(limitBefore)}, ours ${ours.map(({ rate: value }) => rate(value)).join(' ')}, L ${rate(limitAfter)}: ${ratio.toFixed(3)}${accepted ? '' : ' (rejected)'}; ` +
    `cpu us server+postgres+client ${cpu}; load ${load1.toFixed(1)}`
}

function outcomeOf (plan: StandPlan, rounds: readonly JudgedRound[], stretches: readonly Stretch[], limit: { name: string, cpuUs: number }, roundsMin: number): Measured {
  const ratio = medianRatio(rounds, roundsMin)
  const sum = (of: (stretch: Stretch) => number) => stretches.reduce((total, stretch) => total + of(stretch), 0)
  const isClientBound = stretches.some(({ clientShare }) => clientShare > 0.4)
  const middle = (of: (stretch: Stretch) => number) => median(stretches.map(of))
  return {
    ours: median(rounds.map(({ ours }) => mean(ours))),
    against: { kind: 'limit', name: limit.name, value: median(rounds.map(({ limitBefore, limitAfter }) => (limitBefore + limitAfter) / 2)) },
    ...(ratio === undefined ? { rejected: true } : { ratio }),
    note: `${OFF}${isClientBound ? '; client-bound' : ''}`,
    rounds,
    cpuUsPerUnit: { server: middle(s => s.cpuUsPerUnit.server), postgres: middle(s => s.cpuUsPerUnit.postgres), client: middle(s => s.cpuUsPerUnit.client), limit: limit.cpuUs },
    latencyMs: { p50: middle(s => s.latencyMs.p50), p95: middle(s => s.latencyMs.p95), p99: middle(s => s.latencyMs.p99), max: Math.max(...stretches.map(s => s.latencyMs.max)) },
    counts: {
      sent: sum(s => s.counts.sent), acked: sum(s => s.counts.acked), stored: sum(s => s.counts.stored),
      quarantined: sum(s => s.counts.quarantined), suppressed: sum(s => s.counts.suppressed)
    },
    conditions: {
      connections: plan.connections, perRequest: plan.devicesPerPost * plan.readingsPerDevice, devices: plan.devices,
      devicesPerRequest: plan.devicesPerPost, readingsPerDeviceInRequest: plan.readingsPerDevice, format: plan.format, off: OFF, firstWarmUpSeconds: FIRST_WARM_UP_S
    }
  }
}
