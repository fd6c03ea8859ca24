/** The demonstration ward: invented patients, one with a replayed recording, the others simulated; everything goes through the public API. */

import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { MOXY_MODEL } from '../../ingest/recordings/moxy.ts'
import { readRecording } from '../../ingest/recordings/read-recording.ts'
import type { DeviceModels } from '../../model/device-model.ts'
import { CANONICAL } from '../../model/identifier.ts'
import { epochMs } from '../../model/units.ts'
import { admit, type Bed } from '../admission.ts'
import { recordsOf } from '../replay.ts'
import { simulate, type SimulatedDevice } from '../simulation.ts'
import { createTelemetryClient, type TelemetryRecord } from '../telemetry-client.ts'
import type { CliContext } from '../verb.ts'
import { patientOf } from './simulated-sensor.ts'

export interface WardParts {
  address: string
  token: () => Promise<string>
  models: DeviceModels
  context: Pick<CliContext, 'now' | 'signal'>
}

const RECORDING = new URL('moxy_intervals.csv', import.meta.url)
const [MOXY_MANUFACTURER = '', MOXY_NUMBER = ''] = MOXY_MODEL.split('/')
const REPLAYED: Bed = { name: 'Demo-Cyclist', device: 'demo-moxy-1', manufacturer: MOXY_MANUFACTURER, modelNumber: MOXY_NUMBER }
const SIMULATED: readonly Bed[] = ['Ash', 'Birch', 'Cedar', 'Elm'].map((name, index) => ({
  name: `Demo-${name}`, device: `demo-simulated-${index + 1}`, manufacturer: 'Oxbow', modelNumber: 'SIMULATOR-1'
}))

/** The ward opens with this much of the recording behind it, so that windows and curves are there at once. */
const HISTORY_MS = 15 * 60_000

/** Runs until the context is aborted. @throws ServiceError when the server does not take the ward's patients */
export async function runWard (parts: WardParts): Promise<void> {
  const { address, token, context } = parts
  await admit([REPLAYED, ...SIMULATED], { address, token, signal: context.signal, patientSystem: `${CANONICAL}/identifier/demonstration` })
  await Promise.all([replayForever(parts), simulateForever(parts)])
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
  const past = epochMs(context.now() - HISTORY_MS)
  await simulate(client, sensors, { ...settings, seconds: HISTORY_MS / 1_000, past }, context)
  await simulate(client, sensors, { ...settings, seconds: Infinity }, context)
}
