/** The demonstration ward: invented patients, one with a replayed recording, the others simulated; everything goes through the public API. */

import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { MOXY_MODEL } from '../../ingest/recordings/moxy.ts'
import { readRecording } from '../../ingest/recordings/read-recording.ts'
import type { DeviceModels } from '../../model/device-model.ts'
import { ServiceError } from '../../model/errors.ts'
import { CANONICAL, identifierSystem } from '../../model/identifier.ts'
import { epochMs } from '../../model/units.ts'
import { recordsOf } from '../replay.ts'
import { simulate, type SimulatedDevice } from '../simulate.ts'
import { createTelemetryClient, type TelemetryRecord } from '../telemetry-client.ts'
import type { CliContext } from '../verb.ts'
import { patientOf } from './simulated-sensor.ts'

export interface WardParts {
  address: string
  token: () => Promise<string>
  models: DeviceModels
  context: Pick<CliContext, 'now' | 'signal'>
}

interface Bed { name: string, device: string, manufacturer: string, modelNumber: string }

const RECORDING = new URL('moxy_intervals.csv', import.meta.url)
const [MOXY_MANUFACTURER = '', MOXY_NUMBER = ''] = MOXY_MODEL.split('/')
const REPLAYED: Bed = { name: 'Demo-Cyclist', device: 'demo-moxy-1', manufacturer: MOXY_MANUFACTURER, modelNumber: MOXY_NUMBER }
const SIMULATED: readonly Bed[] = ['Ash', 'Birch', 'Cedar', 'Elm'].map((name, index) => ({
  name: `Demo-${name}`, device: `demo-simulated-${index + 1}`, manufacturer: 'Oxbow', modelNumber: 'SIMULATOR-1'
}))

/** The ward opens with this much of the recording behind it, so that windows and curves are there at once. */
const HISTORY_MS = 15 * 60_000
const WORN_SINCE = '2026-01-01T00:00:00.000Z'

/** Runs until the context is aborted. @throws ServiceError when the server does not take the ward's patients */
export async function runWard (parts: WardParts): Promise<void> {
  await admit(parts)
  await Promise.all([replayForever(parts), simulateForever(parts)])
}

/** Conditional creates: a second start finds everybody where they were. */
async function admit ({ address, token, context }: WardParts): Promise<void> {
  const bundle = { resourceType: 'Bundle', type: 'transaction', entry: [REPLAYED, ...SIMULATED].flatMap((bed, index) => entriesOf(bed, index)) }
  const answer = await fetch(new URL('/fhir', address), {
    method: 'POST',
    headers: { 'Content-Type': 'application/fhir+json', Authorization: `Bearer ${await token()}` },
    body: JSON.stringify(bundle),
    signal: context.signal
  })
  if (answer.ok) return
  throw new ServiceError('fault', 'INTERNAL', `the demonstration ward was not admitted: the server answered ${answer.status}`)
}

function entriesOf (bed: Bed, index: number): object[] {
  const [patient, device] = [`urn:uuid:00000000-0000-4000-8000-00000000000${index}`, `urn:uuid:00000000-0000-4000-8000-00000000001${index}`]
  const association = `${bed.device}/${WORN_SINCE}`
  return [
    entry('Patient', patient, { identifier: [{ system: `${CANONICAL}/identifier/demonstration`, value: bed.name }], name: [{ family: bed.name, given: ['DEMO'] }], gender: 'unknown' }),
    entry('Device', device, {
      identifier: [{ system: identifierSystem('telemetry-device'), value: bed.device }],
      status: 'active',
      manufacturer: bed.manufacturer,
      modelNumber: bed.modelNumber,
      deviceName: [{ name: `DEMO ${bed.modelNumber}`, type: 'user-friendly-name' }]
    }),
    entry('DeviceUseStatement', `urn:uuid:00000000-0000-4000-8000-00000000002${index}`, {
      identifier: [{ system: identifierSystem('device-association'), value: association }],
      status: 'active',
      subject: { reference: patient },
      timingPeriod: { start: WORN_SINCE },
      device: { reference: device }
    })
  ]
}

interface Identified { identifier: readonly { system: string, value: string }[], [element: string]: unknown }

function entry (type: string, fullUrl: string, resource: Identified): object {
  const [{ system, value } = { system: '', value: '' }] = resource.identifier
  return { fullUrl, resource: { resourceType: type, ...resource }, request: { method: 'POST', url: type, ifNoneExist: `identifier=${encodeURIComponent(`${system}|${value}`)}` } }
}

async function replayForever ({ address, token, models, context }: WardParts): Promise<void> {
  const recording = readRecording(await readFile(RECORDING, 'utf8'))
  const client = createTelemetryClient({ url: address, token, signal: context.signal })
  const lengthMs = recording.sensors[0]!.samples.at(-1)!.offsetMs + 2_000
  for (let start = context.now() - HISTORY_MS; !context.signal.aborted; start += lengthMs) {
    const records = recordsOf(recording, new Map([['1', REPLAYED.device]]), epochMs(start), models)
    for (let next = 0; next < records.length && !context.signal.aborted;) {
      const due = records.slice(next).findIndex(record => record.timestamp_utc > context.now())
      const batch: TelemetryRecord[] = records.slice(next, due < 0 ? records.length : next + Math.max(due, 0))
      if (batch.length > 0) await client.send(batch)
      next += batch.length
      await delay(2_000, undefined, { signal: context.signal }).catch(() => {})
    }
  }
}

async function simulateForever ({ address, token, context }: WardParts): Promise<void> {
  const client = createTelemetryClient({ url: address, token, signal: context.signal })
  const sensors = SIMULATED.map(({ device }, index): SimulatedDevice => ({ deviceId: device, patient: patientOf(index + 1) }))
  const settings = { rateHz: 1, lateShare: 0.01, duplicateShare: 0.005 }
  // A clock that begins in the past and does not wait makes the ward's history.
  let past = context.now() - HISTORY_MS
  const tick = () => {
    past += 1_000
    return epochMs(past)
  }
  const history = { now: tick, signal: context.signal }
  await simulate(client, sensors, { ...settings, seconds: HISTORY_MS / 1_000 }, history)
  await simulate(client, sensors, { ...settings, seconds: Infinity }, context)
}
