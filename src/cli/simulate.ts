/** `oxbow simulate`: makes up plausible sensor streams and sends them through the ingest API, with the troubles of real delivery. */

import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { ServiceError } from '../model/errors.ts'
import { noise, patientOf, type SimulatedPatient, sampleOf } from './demonstration/simulated-sensor.ts'
import { localTokens, serverAddress } from './local-server.ts'
import { createTelemetryClient, type TelemetryAnswer, type TelemetryClient, type TelemetryRecord } from './telemetry-client.ts'
import { type CliContext, EXIT, type Verb } from './verb.ts'

const USAGE = `Usage: oxbow simulate [options]

Sends simulated tissue-oxygen streams: desaturation episodes, drop-outs, drift, and
late and repeated delivery. Ends by itself, or with Ctrl-C.

  --devices N        number of devices (default 10), named PREFIX-1, PREFIX-2, …
  --prefix TEXT      beginning of the telemetry identifiers (default simulated)
  --rate HZ          readings per second and device (default 1)
  --seconds N        how long (default 60)
  --seed N           the same seed gives the same values (default 1)
  --late SHARE       share of readings sent up to a minute late (default 0.02)
  --duplicates SHARE share of readings sent twice (default 0.01)
  --url URL          server (default: the one on this machine)
  --token-file FILE  bearer token (default: one issued by the server on this machine)
  --json             counts as one JSON object
  --help             this text
`

const OPTIONS = {
  devices: { type: 'string', default: '10' },
  prefix: { type: 'string', default: 'simulated' },
  rate: { type: 'string', default: '1' },
  seconds: { type: 'string', default: '60' },
  seed: { type: 'string', default: '1' },
  late: { type: 'string', default: '0.02' },
  duplicates: { type: 'string', default: '0.01' },
  url: { type: 'string' },
  'token-file': { type: 'string' },
  json: { type: 'boolean' }
} as const

const LATE_MAX_MS = 60_000
/** Devices that one gateway serves, and so one request holds. */
const DEVICES_PER_REQUEST = 50

export const simulateVerb: Verb = {
  name: 'simulate',
  summary: 'send simulated sensor streams through the ingest API',
  usage: USAGE,
  run: async (args, context) => {
    const { values } = parseArgs({ args: [...args], options: OPTIONS })
    const config = loadConfig(context.env)
    const client = createTelemetryClient({
      url: values.url ?? await serverAddress(config),
      token: localTokens(config, context, '__telemetry.write', values['token-file']),
      signal: context.signal
    })
    const seed = numberIn(values.seed, '--seed', 0)
    const sensors = Array.from({ length: numberIn(values.devices, '--devices', 1) }, (_, index): SimulatedDevice => ({
      deviceId: `${values.prefix}-${index + 1}`, patient: patientOf(seed * 1_000 + index)
    }))
    const total = await simulate(client, sensors, {
      rateHz: numberIn(values.rate, '--rate', 0.001),
      seconds: numberIn(values.seconds, '--seconds', 0),
      lateShare: numberIn(values.late, '--late', 0),
      duplicateShare: numberIn(values.duplicates, '--duplicates', 0)
    }, context)
    context.stdout(values.json ? `${JSON.stringify(total)}\n` : `sent ${total.received}, accepted ${total.accepted}, quarantined ${total.quarantined}\n`)
    return EXIT.done
  }
}

export interface SimulatedDevice { deviceId: string, patient: SimulatedPatient }

export interface SimulationSettings {
  rateHz: number
  seconds: number
  /** Share of readings held back for up to a minute. */
  lateShare: number
  duplicateShare: number
}

/** Runs until the time is over or the context is aborted; what is held back is sent at the end. */
export async function simulate (client: TelemetryClient, sensors: readonly SimulatedDevice[], settings: SimulationSettings, context: Pick<CliContext, 'now' | 'signal'>): Promise<TelemetryAnswer> {
  const total = { received: 0, accepted: 0, quarantined: 0 }
  const held: { record: TelemetryRecord, until: number }[] = []
  const begun = context.now()
  const periodMs = 1_000 / settings.rateHz
  for (let tick = 0; tick * periodMs < settings.seconds * 1_000 && !context.signal.aborted; tick++) {
    const due = begun + tick * periodMs
    await sleepUntil(due, context)
    const records = sensors.flatMap((sensor, index) => {
      const record = recordOf(sensor, Math.round(due), Math.round(tick * periodMs))
      return record === undefined ? [] : deliver(record, noise(index + 1, tick), settings, held, due)
    })
    for (let index = held.length - 1; index >= 0; index--) {
      if (held[index]!.until <= due) records.push(...held.splice(index, 1).map(one => one.record))
    }
    await sendAll(client, records, total)
  }
  await sendAll(client, held.map(one => one.record), total)
  return total
}

/** What is sent now; a late reading is put aside. */
function deliver (record: TelemetryRecord, chance: number, settings: SimulationSettings, held: { record: TelemetryRecord, until: number }[], now: number): TelemetryRecord[] {
  if (chance < settings.lateShare) {
    held.push({ record, until: now + LATE_MAX_MS * chance / settings.lateShare })
    return []
  }
  return chance < settings.lateShare + settings.duplicateShare ? [record, record] : [record]
}

function recordOf ({ deviceId, patient }: SimulatedDevice, takenAt: number, sinceStartMs: number): TelemetryRecord | undefined {
  const sample = sampleOf(patient, sinceStartMs)
  if (sample === undefined) return undefined
  const channels = [{ metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', value: sample.tissuePo2 }]
  if (sample.spo2 !== undefined) channels.push({ metric: 'spo2', kind: 'spo2', unit: '%', value: sample.spo2 })
  return {
    deviceId,
    patientId: null,
    timestamp_utc: takenAt,
    sequence: null,
    channels,
    battery_mv: sample.batteryMv,
    firmware_version: '1.0.0',
    signal_quality: sample.signalQuality
  }
}

async function sendAll (client: TelemetryClient, records: readonly TelemetryRecord[], total: TelemetryAnswer): Promise<void> {
  for (let start = 0; start < records.length; start += DEVICES_PER_REQUEST) {
    const answer = await client.send(records.slice(start, start + DEVICES_PER_REQUEST))
    total.received += answer.received
    total.accepted += answer.accepted
    total.quarantined += answer.quarantined
  }
}

async function sleepUntil (time: number, { now, signal }: Pick<CliContext, 'now' | 'signal'>): Promise<void> {
  const waitMs = time - now()
  if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => {})
}

function numberIn (text: string, name: string, minimum: number): number {
  const value = Number(text)
  if (text !== '' && value >= minimum) return value
  throw new ServiceError('incorrect', 'USAGE', `${name} must be a number of at least ${minimum}`)
}
