/** `oxbow replay FILE`: a sensor's export → the ingest API, at its own speed or as fast as the server takes it. */

import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { loadDeviceModels } from '../config/device-models.ts'
import { loadConfig } from '../config/load.ts'
import type { ColumnMap } from '../ingest/recordings/csv.ts'
import { readRecording } from '../ingest/recordings/read-recording.ts'
import type { Recording, RecordedSample, RecordedSensor } from '../ingest/recordings/recording.ts'
import type { DeviceModel, DeviceModels } from '../model/device-model.ts'
import { ServiceError } from '../model/errors.ts'
import { type EpochMs, epochMs } from '../model/units.ts'
import { MODELS_FOLDER } from '../config/product.ts'
import { givenNumber, type NumberRange, parseGivenJson, readGivenFile, wrongUse } from './given.ts'
import { localTokens, reachServer } from './local-server.ts'
import { addAnswer, countsLine, emptyTally, quarantineLines, type Tally } from './tally.ts'
import { createTelemetryClient, type TelemetryClient, type TelemetryRecord } from './telemetry-client.ts'
import { type CliContext, EXIT, type Verb } from './verb.ts'

/** What a request takes by default (`ingest.recordsMax`). */
const PER_REQUEST_MAX = 10_000
const SPEED: NumberRange = { minimum: 0.001, maximum: 1_000_000 }

const USAGE = `Usage: oxbow replay FILE [options]

Reads a sensor's export (Moxy, Train.Red, VO2 Master, or CSV with --columns) and sends
its samples through POST /ingest/telemetry. Standard output gets the counts, standard
error the reasons of what was quarantined (exit code 1 then).

  --device ID          telemetry identifier of the device, for a file with one sensor
  --device NAME=ID     the same for one of several sensors; may be repeated
  --at TIME            ISO 8601 with zone: when the first sample was taken; or 'now': moved so
                       that the last sample is taken when it is sent, and none lies ahead.
                       Needed where the file names no date or no zone
  --speed N            N times as fast as recorded, each sample when it is due; without it as
                       fast as the server takes it
  --columns FILE       column map of a plain CSV file (JSON, see docs/recordings.md)
  --per-request N      most samples in one request (default 100, at most ${PER_REQUEST_MAX})
  --url URL            server (default: the one on this machine)
  --token-file FILE    bearer token (default: one issued by the server on this machine)
  --config FILE        settings as JSON, as for serve
  --json               counts and reasons as one JSON object
  --help               this text
`

const OPTIONS = {
  device: { type: 'string', multiple: true },
  at: { type: 'string' },
  speed: { type: 'string' },
  columns: { type: 'string' },
  'per-request': { type: 'string' },
  url: { type: 'string' },
  'token-file': { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean' }
} as const

export const replayVerb: Verb = {
  name: 'replay',
  summary: 'send a recorded sensor export through the ingest API',
  usage: USAGE,
  run: async (args, context) => {
    const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
    const [file] = positionals
    if (file === undefined || positionals.length > 1) throw wrongUse('name one file')
    const speed = values.speed === undefined ? undefined : givenNumber(values.speed, '--speed', SPEED)
    const perRequest = givenNumber(values['per-request'] ?? '100', '--per-request', { minimum: 1, maximum: PER_REQUEST_MAX, isWhole: true })
    const config = loadConfig(context.env, values.config)
    const recording = readRecording(await readGivenFile(file, 'FILE'), await columnMap(values.columns))
    const devices = devicesOf(recording, values.device ?? [])
    const at = startOf(recording, values.at, context.now(), speed)
    const records = recordsOf(recording, devices, at, await loadDeviceModels(MODELS_FOLDER))
    const client = createTelemetryClient({
      url: await reachServer(values.url, config, context.signal),
      token: localTokens(config, context, '__telemetry.write', values['token-file']),
      signal: context.signal
    })
    const total = await sendAll(client, records, { speed, perRequest, context })
    context.stdout(values.json ? `${JSON.stringify(total)}\n` : countsLine(total))
    context.stderr(quarantineLines('replay', total))
    return total.received === records.length && total.quarantined === 0 ? EXIT.done : EXIT.notSo
  }
}

async function columnMap (file: string | undefined): Promise<ColumnMap | undefined> {
  if (file === undefined) return undefined
  const map = parseGivenJson(await readGivenFile(file, '--columns'), '--columns') as Partial<ColumnMap> | null
  if (typeof map?.model !== 'string' || typeof map.time?.column !== 'string' || typeof map.metrics !== 'object' || map.metrics === null) {
    throw wrongUse('the column map needs model, time {column, form} and metrics {metric: column}')
  }
  return map as ColumnMap
}

/** Sensor name → telemetry identifier. */
function devicesOf (recording: Recording, given: readonly string[]): ReadonlyMap<string, string> {
  const names = recording.sensors.map(sensor => sensor.name)
  const pairs = given.map((text): [string, string] => {
    const split = text.lastIndexOf('=')
    return split < 0 ? [names[0]!, text] : [text.slice(0, split), text.slice(split + 1)]
  })
  if (names.length > 1 && given.some(text => !text.includes('='))) throw wrongUse(`the file has ${names.length} sensors: name each with --device NAME=ID (${names.join(', ')})`)
  const devices = new Map(pairs)
  const missing = names.filter(name => !devices.has(name))
  if (missing.length > 0) throw wrongUse(`no --device for sensor ${missing.join(', ')}`)
  return devices
}

function startOf (recording: Recording, at: string | undefined, now: EpochMs, speed = Number.POSITIVE_INFINITY): EpochMs {
  if (at === 'now') return startBefore(now, recording, speed)
  if (at !== undefined) {
    const time = Date.parse(at)
    if (Number.isNaN(time) || !/(Z|[+-]\d{2}:\d{2})$/.test(at)) throw wrongUse('--at must be an ISO 8601 time with zone, or now')
    return epochMs(time)
  }
  if (recording.startsAt === undefined) throw wrongUse('the file names no date with a zone: say with --at when its first sample was taken')
  return recording.startsAt
}

/** Sent at a speed from now on, no sample lies ahead of the clock: the faster, the earlier it begins. */
export function startBefore (now: EpochMs, { sensors }: Recording, speed: number): EpochMs {
  const durationMs = Math.max(0, ...sensors.flatMap(({ samples }) => samples.map(({ offsetMs }) => offsetMs)))
  return epochMs(now - Math.ceil(durationMs * Math.max(0, 1 - 1 / speed)))
}

/** Every sample of every sensor, ascending in time. @throws ServiceError MODEL_INVALID when the registry lacks a sensor's model */
export function recordsOf (recording: Recording, devices: ReadonlyMap<string, string>, at: EpochMs, models: DeviceModels): TelemetryRecord[] {
  const records = recording.sensors.flatMap(sensor => {
    const model = models.get(sensor.model)
    if (model === undefined) throw new ServiceError('incorrect', 'MODEL_INVALID', `mappings/models has no model ${sensor.model}`)
    return sensor.samples.map(sample => recordOf(sensor, sample, devices.get(sensor.name)!, at, model))
  })
  return records.sort((a, b) => a.timestamp_utc - b.timestamp_utc)
}

function recordOf (sensor: RecordedSensor, sample: RecordedSample, deviceId: string, at: EpochMs, model: DeviceModel): TelemetryRecord {
  const channels = sample.values.map(({ metric, value }) => {
    const channel = model.channels.find(candidate => candidate.metric === metric)
    return { metric, kind: channel?.kind ?? 'unknown', unit: sensor.units[metric] ?? channel?.unit ?? 'unknown', value }
  })
  return {
    deviceId,
    patientId: null,
    timestamp_utc: at + sample.offsetMs,
    sequence: sample.sequence,
    channels,
    battery_mv: null,
    firmware_version: sensor.firmware ?? null,
    signal_quality: null
  }
}

interface SendOptions { speed: number | undefined, perRequest: number, context: CliContext }

/** Until it is interrupted. @returns what was answered */
async function sendAll (client: TelemetryClient, records: readonly TelemetryRecord[], options: SendOptions): Promise<Tally> {
  const { context } = options
  const total = emptyTally()
  try {
    await sendInto(total, client, records, options)
  } catch (error) {
    if (!context.signal.aborted) throw error
  }
  if (context.isTerminal) context.stderr('\n')
  return total
}

/** In order of time; at a speed, whatever is due goes at once. */
async function sendInto (total: Tally, client: TelemetryClient, records: readonly TelemetryRecord[], { speed, perRequest, context }: SendOptions): Promise<void> {
  const begun = context.now()
  const first = records[0]?.timestamp_utc ?? 0
  const dueAt = ({ timestamp_utc }: TelemetryRecord): number => speed === undefined ? begun : begun + (timestamp_utc - first) / speed
  for (let sent = 0; sent < records.length;) {
    const waitMs = dueAt(records[sent]!) - context.now()
    if (waitMs > 0) await delay(waitMs, undefined, { signal: context.signal })
    const now = Math.max(context.now(), dueAt(records[sent]!))
    const batch = records.slice(sent, sent + perRequest).filter(record => dueAt(record) <= now)
    sent += batch.length
    addAnswer(total, await client.send(batch))
    if (context.isTerminal) context.stderr(`\r${progressBar(total.received, records.length)}`)
  }
}

function progressBar (done: number, all: number): string {
  const width = 40
  const filled = all === 0 ? width : Math.round(width * done / all)
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${done}/${all}`
}
