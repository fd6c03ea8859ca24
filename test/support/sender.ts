/** Senders that never stop by themselves: requests of several devices with late, repeated and bad records, sent again where no answer came.
 *  They note what the server has acknowledged, by the identity of each reading. */

import type { TelemetryAnswer } from './fhir-client.ts'
import { type Chance, createChance } from './random.ts'

export interface SendersOptions {
  /** Where the server is now; it moves when it is started again. */
  address: () => string
  token: string
  /** Worn devices; each belongs to one sender. */
  devices: readonly string[]
  /** Devices that the server does not know. */
  strangers: readonly string[]
  senderCount: number
  chance: Chance
  /** Time of the first reading, ms. */
  from: number
  /** No answer within this time is a fault of the server. Default 30 s. */
  answerTimeoutMs?: number
}

export interface Senders {
  /** Values by `deviceId/takenAt/sequence`; `undefined` is absent. */
  sent: ReadonlyMap<string, Values>
  acknowledged: ReadonlySet<string>
  /** When a reading was sent for the first time, and when it was acknowledged, by a counter that all share. */
  sentAt: ReadonlyMap<string, number>
  acknowledgedAt: ReadonlyMap<string, number>
  quarantined: ReadonlySet<string>
  /** Sums over all answers. */
  sums: { requests: number, failures: number, received: number, accepted: number, quarantined: number }
  /** What the server answered with 2xx although the sums in the answer are wrong, and statuses nobody expects. */
  oddities: readonly string[]
  /** Resolves when nothing is under way. */
  stop (): Promise<void>
}

export type Values = readonly [po2: number | undefined, spo2: number | undefined]

interface Sent { key: string, line: string }

/** Between two attempts while the server is away. */
const AWAY_MS = 40
const ANSWER_TIMEOUT_MS = 30_000
const LONG_AGO = Date.UTC(1990, 0, 1)
/** What a sender meets while the server stops, starts or cannot store. */
const REFUSALS: ReadonlySet<number> = new Set([429, 503])

export function startSenders (options: SendersOptions): Senders {
  const state = {
    sent: new Map<string, Values>(), acknowledged: new Set<string>(), quarantined: new Set<string>(), oddities: [] as string[],
    sentAt: new Map<string, number>(), acknowledgedAt: new Map<string, number>(), clock: 0,
    sums: { requests: 0, failures: 0, received: 0, accepted: 0, quarantined: 0 }, isStopped: false
  }
  const running = Array.from({ length: options.senderCount }, (_, place) => runSender(options, state, place))
  return {
    ...state,
    stop: async () => {
      state.isStopped = true
      await Promise.all(running)
    }
  }
}

type State = { -readonly [K in 'sent' | 'acknowledged' | 'quarantined' | 'oddities']: K extends 'sent' ? Map<string, Values> : K extends 'oddities' ? string[] : Set<string> } & Pick<Senders, 'sums'> &
  { sentAt: Map<string, number>, acknowledgedAt: Map<string, number>, clock: number, isStopped: boolean }

async function runSender (options: SendersOptions, state: State, place: number): Promise<void> {
  const chance = createChance(options.chance.seed + place + 1)
  const devices = options.devices.filter((_, index) => index % options.senderCount === place)
  const bodies = bodyMaker(options, state, chance, devices)
  let again: Sent[] | undefined
  while (!state.isStopped) {
    const body = again ?? bodies()
    again = undefined
    if (await post(options, state, body)) continue
    // A sender that gives up leaves readings of which nobody knows whether they are stored.
    if (chance.is(0.8)) again = body
    await new Promise(resolve => { setTimeout(resolve, AWAY_MS) })
  }
}

/** @returns false when the request has to be sent again */
async function post ({ address, token, answerTimeoutMs = ANSWER_TIMEOUT_MS }: SendersOptions, state: State, body: readonly Sent[]): Promise<boolean> {
  state.sums.requests++
  for (const { key } of body) if (!state.sentAt.has(key)) state.sentAt.set(key, ++state.clock)
  try {
    const response = await fetch(new URL('/ingest/telemetry', address()), {
      method: 'POST', body: body.map(({ line }) => `${line}\n`).join(''), signal: AbortSignal.timeout(answerTimeoutMs),
      headers: { 'Content-Type': 'application/x-ndjson', Authorization: `Bearer ${token}` }
    })
    const text = await response.text()
    if (response.status === 200) return note(state, body, JSON.parse(text) as TelemetryAnswer)
    if (!REFUSALS.has(response.status)) state.oddities.push(`answered ${response.status}: ${text.slice(0, 300)}`)
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') state.oddities.push(`no answer within ${answerTimeoutMs} ms`)
  }
  state.sums.failures++
  return false
}

function note (state: State, body: readonly Sent[], answer: TelemetryAnswer): true {
  const rejected = new Set(answer.rejected.map(({ index }) => index))
  for (const [index, { key }] of body.entries()) {
    (rejected.has(index) ? state.quarantined : state.acknowledged).add(key)
    if (!rejected.has(index) && !state.acknowledgedAt.has(key)) state.acknowledgedAt.set(key, ++state.clock)
  }
  state.sums.received += answer.received
  state.sums.accepted += answer.accepted
  state.sums.quarantined += answer.quarantined
  const isBalanced = answer.received === body.length && answer.received === answer.accepted + answer.quarantined && answer.quarantined === rejected.size
  if (!isBalanced) state.oddities.push(`unbalanced: ${body.length} sent, ${JSON.stringify({ ...answer, rejected: rejected.size })}`)
  return true
}

function bodyMaker ({ strangers, from }: SendersOptions, state: State, chance: Chance, devices: readonly string[]): () => Sent[] {
  const clocks = new Map(devices.map(device => [device, from + chance.whole(0, 60_000)]))
  const withheld: Sent[] = []
  const earlier: Sent[] = []
  const make = (deviceId: string, takenAt: number, sequence: number): Sent => {
    const values: Values = [20 + chance.whole(0, 400) / 10, chance.is(0.05) ? undefined : 90 + chance.whole(0, 100) / 10]
    const key = `${deviceId}/${takenAt}/${sequence}`
    state.sent.set(key, values)
    const channel = (metric: string, unit: string, value: number | undefined) => value === undefined ? [] : [{ metric, kind: metric, unit, value }]
    const channels = [...channel('tissue-po2', 'mm[Hg]', values[0]), ...channel('spo2', '%', values[1])]
    const record = { deviceId, patientId: null, timestamp_utc: takenAt, sequence, channels, battery_mv: 3700, firmware_version: '1.0.0', signal_quality: 90 }
    return { key, line: JSON.stringify(record) }
  }
  return () => {
    const body: Sent[] = []
    for (const device of chance.shuffled(devices).slice(0, chance.whole(1, 4))) {
      for (let left = chance.whole(3, 25); left > 0; left--) {
        const takenAt = clocks.get(device)!
        clocks.set(device, takenAt + 1_000 + (chance.is(0.01) ? chance.whole(0, 20_000) : 0))
        const reading = make(device, takenAt + chance.whole(0, 40) - 20, 0)
        ;(chance.is(0.02) ? withheld : body).push(reading)
        if (chance.is(0.02)) body.push(make(device, takenAt, 1))
      }
    }
    while (withheld.length > 30) body.push(withheld.splice(chance.whole(0, withheld.length), 1)[0]!)
    if (chance.is(0.2) && earlier.length > 0) body.push(...chance.shuffled(earlier).slice(0, 10))
    if (chance.is(0.1)) body.push(make(strangers[chance.whole(0, strangers.length)]!, clocks.get(devices[0]!)!, chance.whole(0, 2 ** 31)))
    if (chance.is(0.05)) body.push(make(devices[0]!, LONG_AGO + chance.whole(0, 1e9), 0))
    earlier.splice(0, earlier.length, ...earlier.slice(-200), ...body.slice(0, 5).filter(({ key }) => key.startsWith(devices[0]!)))
    return uniqueByKey(body)
  }
}

function uniqueByKey (body: readonly Sent[]): Sent[] { return [...new Map(body.map(one => [one.key, one])).values()] }
