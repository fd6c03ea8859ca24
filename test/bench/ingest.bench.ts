/** P1, P2, P3a, M1: durable ingest over HTTP, on either bus, against the limit of the same machine, interleaved. */

import type { BenchContext, Outcomes } from './bench-context.ts'
import { type BusSite, EMBEDDED, onKafka } from './bus-site.ts'
import { COPY_LIMIT, measureCopy, measureSingleInsert } from './limits/copy-binary.ts'
import { type LimitTable, openLimitTable } from './limits/limit-table.ts'
import type { Seconds } from './options.ts'
import { type JudgedRound, judgeRound, mean, median, medianRatio } from './reduce.ts'
import type { Measured } from './report.ts'
import { cpuUs } from './processes.ts'
import { load1, openStand, type Stand, type StandPlan, type Stretch } from './stand.ts'

export const INGEST_BARS = ['P1j', 'P1a', 'P2s', 'P2p', 'M1j', 'M1a'] as const
export const INGEST_KAFKA_BARS = ['P1kj', 'P1ka'] as const
export const SINGLE_BARS = ['P3a'] as const
const OFF = 'off, not built: alarm rules, audit'
const DAY_MS = 86_400_000

/** Before the first round: a server that has just started is still compiling its code, for as long as ten thousand requests. */
const FIRST_WARM_UP_S = { full: 15, quick: 2 } as const

/** 100 readings in a POST: a gateway of ten devices with ten seconds of each. */
export const GATEWAY = { connections: 32, devices: 1_000, devicesPerPost: 10, readingsPerDevice: 10, staggerMs: 60_000 } as const

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

/** A broker for each format: a server begins on topics of its own. */
export async function benchIngestKafka (context: BenchContext, wanted: ReadonlySet<string>): Promise<Outcomes> {
  const outcomes: Outcomes = {}
  for (const [bar, format] of [['P1kj', 'json'], ['P1ka', 'avro']] as const) {
    if (wanted.has(bar)) Object.assign(outcomes, await onKafka(context, [bar], async site => ({ [bar]: await measureFormat(context, format, { judged: site, beside: EMBEDDED }) })))
  }
  return outcomes
}

async function measureFormat (context: BenchContext, format: 'json' | 'avro', sites?: Sites): Promise<Measured> {
  const plan: StandPlan = { ...GATEWAY, format, startAt: context.now() - 3 * DAY_MS }
  return measureAgainst(context, `ingest-${format}`, plan, { name: COPY_LIMIT, measure: measureCopy }, sites)
}

export async function benchSingle (context: BenchContext): Promise<Outcomes> {
  const plan: StandPlan = { connections: 32, devices: 1_000, devicesPerPost: 1, readingsPerDevice: 1, staggerMs: 60_000, format: 'json', startAt: context.now() - 3 * DAY_MS }
  return { P3a: await measureAgainst(context, 'ingest-single', plan, { name: 'insert-autocommit', measure: measureSingleInsert }) }
}

interface Limit { name: string, measure: (table: LimitTable, seconds: Seconds) => Promise<number> }

/** `beside`: measured in the same rounds, to be compared with. */
interface Sites { judged: BusSite, beside?: BusSite }

async function measureAgainst (context: BenchContext, name: string, plan: StandPlan, limit: Limit, { judged, beside }: Sites = { judged: EMBEDDED }): Promise<Measured> {
  const { options: { seconds, rounds: roundCount, roundsMin } } = context
  const stands: Stand[] = []
  const rounds: JudgedRound[] = []
  const [stretches, others]: [Stretch[], Stretch[]] = [[], []]
  let table: LimitTable | undefined
  try {
    for (const site of beside === undefined ? [judged] : [judged, beside]) stands.push(await openWarm(context, `${name}-${site.kind}`, plan, site))
    const [stand, other] = stands as [Stand, Stand?]
    table = await openLimitTable(stand.server.dataDir)
    const limits = limitOf(stand, table, limit, seconds)
    for (let round = 0; round < roundCount; round++) {
      const limitBefore = await limits.measure()
      const measured: [Stand, Stretch][] = []
      for (const one of inTurn(stand, other, round)) measured.push([one, await one.measure(seconds)])
      const limitAfter = await limits.measure()
      const of = (wanted: Stand | undefined) => measured.filter(([one]) => one === wanted).map(([, stretch]) => stretch)
      rounds.push(judgeRound({ limitBefore, ours: of(stand).map(({ rate }) => rate), limitAfter, load1: load1() }))
      stretches.push(...of(stand))
      others.push(...of(other))
      context.say(`${name} on ${judged.kind}, round ${round + 1}: ${progressOf(rounds.at(-1)!, of(stand), of(other)[0])}`)
    }
    return outcomeOf({ plan, site: judged, rounds, stretches, others, limit: { name: limit.name, cpuUs: median(limits.cpuUs) }, roundsMin })
  } finally {
    await table?.close()
    for (const stand of stands) await stand.close()
  }
}

async function openWarm (context: BenchContext, name: string, plan: StandPlan, site: BusSite): Promise<Stand> {
  const stand = await openStand(await context.folder(name), plan, {}, site)
  try {
    await context.assertDurable(stand.counts.series)
    await stand.measure({ warmUp: context.options.quick ? FIRST_WARM_UP_S.quick : FIRST_WARM_UP_S.full, stretch: 1 })
    return stand
  } catch (error) {
    await stand.close()
    throw error
  }
}

/** Two stretches of a round: both of one, or one of each, the first of them in turn. */
function inTurn (stand: Stand, other: Stand | undefined, round: number): readonly Stand[] {
  if (other === undefined) return [stand, stand]
  return round % 2 === 0 ? [other, stand] : [stand, other]
}

function limitOf (stand: Stand, table: LimitTable, limit: Limit, seconds: Seconds): { measure: () => Promise<number>, cpuUs: readonly number[] } {
  const limitCpuUs: number[] = []
  return {
    cpuUs: limitCpuUs,
    async measure () {
      const before = (await cpuUs(stand.server)).postgres
      const rate = await limit.measure(table, seconds)
      limitCpuUs.push(((await cpuUs(stand.server)).postgres - before) / await table.countRows())
      return rate
    }
  }
}

function progressOf ({ limitBefore, limitAfter, ratio, accepted, load1 }: JudgedRound, ours: readonly Stretch[], beside: Stretch | undefined): string {
  const rate = (value: number) => Math.round(value).toLocaleString('en-US')
  const cpu = ours.map(({ cpuUsPerUnit: { server, postgres, client } }) => `${server.toFixed(2)}+${postgres.toFixed(2)}+${client.toFixed(2)}`).join(' ')
  return `L ${rate(limitBefore)}, ours ${ours.map(({ rate: value }) => rate(value)).join(' ')}, L ${rate(limitAfter)}: ${ratio.toFixed(3)}${accepted ? '' : ' (rejected)'}; ` +
    (beside === undefined ? '' : `beside ${rate(beside.rate)}; `) + `cpu us server+postgres+client ${cpu}; load ${load1.toFixed(1)}`
}

interface Course {
  plan: StandPlan
  site: BusSite
  rounds: readonly JudgedRound[]
  stretches: readonly Stretch[]
  /** Of the same rounds, on the bus beside. */
  others: readonly Stretch[]
  limit: { name: string, cpuUs: number }
  roundsMin: number
}

function outcomeOf ({ plan, site, rounds, stretches, others, limit, roundsMin }: Course): Measured {
  const ratio = medianRatio(rounds, roundsMin)
  const sum = (of: (stretch: Stretch) => number) => stretches.reduce((total, stretch) => total + of(stretch), 0)
  const isClientBound = stretches.some(({ clientShare }) => clientShare > 0.4)
  const middle = (of: (stretch: Stretch) => number) => median(stretches.map(of))
  return {
    ours: median(rounds.map(({ ours }) => mean(ours))),
    against: { kind: 'limit', name: limit.name, value: median(rounds.map(({ limitBefore, limitAfter }) => (limitBefore + limitAfter) / 2)) },
    ...(ratio === undefined ? { rejected: true } : { ratio }),
    note: `${ofOthers(stretches, others)}${OFF}${isClientBound ? '; client-bound' : ''}`,
    rounds,
    cpuUsPerUnit: {
      server: middle(s => s.cpuUsPerUnit.server), postgres: middle(s => s.cpuUsPerUnit.postgres), client: middle(s => s.cpuUsPerUnit.client), limit: limit.cpuUs,
      ...(site.kind === 'kafka' ? { broker: middle(s => s.cpuUsPerUnit.broker) } : {})
    },
    latencyMs: { p50: middle(s => s.latencyMs.p50), p95: middle(s => s.latencyMs.p95), p99: middle(s => s.latencyMs.p99), max: Math.max(...stretches.map(s => s.latencyMs.max)) },
    counts: {
      sent: sum(s => s.counts.sent), acked: sum(s => s.counts.acked), stored: sum(s => s.counts.stored),
      quarantined: sum(s => s.counts.quarantined), suppressed: sum(s => s.counts.suppressed)
    },
    conditions: {
      bus: site.kind, connections: plan.connections, perRequest: plan.devicesPerPost * plan.readingsPerDevice, devices: plan.devices,
      devicesPerRequest: plan.devicesPerPost, readingsPerDeviceInRequest: plan.readingsPerDevice, format: plan.format, off: OFF, firstWarmUpSeconds: FIRST_WARM_UP_S
    }
  }
}

/** How much of the rate on the bus beside; the n-th stretches are of one round. */
function ofOthers (stretches: readonly Stretch[], others: readonly Stretch[]): string {
  if (others.length === 0) return ''
  const share = median(others.map(({ rate }, index) => stretches[index]!.rate / rate))
  return `${share.toFixed(2)} of the embedded bus ${Math.round(median(others.map(({ rate }) => rate))).toLocaleString('en-US')} r/s; `
}
