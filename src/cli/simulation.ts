/** Simulated sensors → their readings through the ingest API, tick by tick, with the troubles of real delivery. */

import { setTimeout as delay } from 'node:timers/promises'
import type { EpochMs } from '../model/units.ts'
import { noise, type SimulatedPatient, sampleOf } from './demonstration/simulated-sensor.ts'
import { addAnswer, emptyTally, type Tally } from './tally.ts'
import type { TelemetryClient, TelemetryRecord } from './telemetry-client.ts'
import type { CliContext } from './verb.ts'

export interface SimulatedDevice { deviceId: string, patient: SimulatedPatient }

export interface SimulationSettings {
  rateHz: number
  seconds: number
  /** Share of readings held back for up to a minute. */
  lateShare: number
  duplicateShare: number
  /** Begins then and waits for nothing: makes history. Without it the readings are of now. */
  past?: EpochMs
  /** Aborted when the run must be over: what is not answered by then is dropped. */
  cutOff?: AbortSignal
  onStep?: (sinceStartMs: number, sent: Simulated) => void
}

/** `dropped`: readings that could not be sent in time, and were given up. */
export interface Simulated extends Tally { dropped: number }

interface Held { record: TelemetryRecord, until: number }
interface Run {
  client: TelemetryClient
  settings: SimulationSettings
  context: Pick<CliContext, 'now' | 'signal'>
  total: Simulated
}

const LATE_MAX_MS = 60_000
/** Devices that one gateway serves, and so one request holds. */
const RECORDS_PER_REQUEST = 50
const REQUESTS_AT_ONCE = 8

/** Runs until the time is over or the context is aborted. A step that cannot begin before the next is due is dropped, not piled up. */
export async function simulate (client: TelemetryClient, sensors: readonly SimulatedDevice[], settings: SimulationSettings, context: Pick<CliContext, 'now' | 'signal'>): Promise<Simulated> {
  const total: Simulated = { ...emptyTally(), dropped: 0 }
  const run: Run = { client, settings, context, total }
  const held: Held[] = []
  const isLive = settings.past === undefined
  const begun = settings.past ?? context.now()
  const periodMs = 1_000 / settings.rateHz
  // Readings of one second go together, as a gateway sends them.
  const ticksPerStep = Math.max(1, Math.floor(settings.rateHz))
  const ticks = Math.ceil(settings.seconds * settings.rateHz)
  for (let first = 0; first < ticks && !context.signal.aborted; first += ticksPerStep) {
    const last = Math.min(first + ticksPerStep, ticks) - 1
    const due = begun + last * periodMs
    const deadline = isLive ? due + ticksPerStep * periodMs : Infinity
    if (isLive) await sleepUntil(due, context)
    if (isLive && context.now() >= deadline) {
      total.dropped += sensors.length * (last - first + 1)
      continue
    }
    const records = sensors.flatMap((sensor, index) => readingsOf(sensor, first, last, begun, periodMs)
      .flatMap(({ record, tick }) => deliver(record, noise(index + 1, tick), settings, held, due)))
    for (let index = held.length - 1; index >= 0; index--) {
      if (held[index]!.until <= due) records.push(...held.splice(index, 1).map(one => one.record))
    }
    await sendAll(run, records, deadline)
    settings.onStep?.(due - begun, total)
  }
  // The rest of what is late goes at the end, in the time of one more step.
  await sendAll(run, held.map(one => one.record), isLive ? context.now() + 1_000 : Infinity)
  return total
}

function isOver ({ context, settings }: Run): boolean { return context.signal.aborted || settings.cutOff?.aborted === true }

function readingsOf (sensor: SimulatedDevice, first: number, last: number, begun: number, periodMs: number): { record: TelemetryRecord, tick: number }[] {
  return Array.from({ length: last - first + 1 }, (_, place) => first + place).flatMap(tick => {
    const record = recordOf(sensor, Math.round(begun + tick * periodMs), Math.round(tick * periodMs))
    return record === undefined ? [] : [{ record, tick }]
  })
}

/** What is sent now; a late reading is put aside. */
function deliver (record: TelemetryRecord, chance: number, settings: SimulationSettings, held: Held[], now: number): TelemetryRecord[] {
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

/** Several requests at once; none begins after the deadline. */
async function sendAll (run: Run, records: readonly TelemetryRecord[], deadline: number): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < records.length && !isOver(run) && run.context.now() < deadline) {
      const batch = records.slice(next, next + RECORDS_PER_REQUEST)
      next += batch.length
      await sendOne(run, batch)
    }
  }
  await Promise.all(Array.from({ length: Math.min(REQUESTS_AT_ONCE, Math.ceil(records.length / RECORDS_PER_REQUEST)) }, lane))
  run.total.dropped += records.length - next
}

async function sendOne (run: Run, batch: readonly TelemetryRecord[]): Promise<void> {
  try {
    addAnswer(run.total, await run.client.send(batch))
  } catch (error) {
    if (!isOver(run)) throw error
    run.total.dropped += batch.length
  }
}

async function sleepUntil (time: number, { now, signal }: Pick<CliContext, 'now' | 'signal'>): Promise<void> {
  const waitMs = time - now()
  if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => {})
}
