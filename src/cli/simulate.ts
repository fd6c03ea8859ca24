/** `oxbow simulate`: makes up plausible sensor streams and sends them through the ingest API; with `--register` also who wears them. */

import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { CANONICAL } from '../model/identifier.ts'
import { admit, type Bed } from './admission.ts'
import { patientOf } from './demonstration/simulated-sensor.ts'
import { givenNumber, type NumberRange, wrongUse } from './given.ts'
import { localTokens, reachServer } from './local-server.ts'
import { type Simulated, type SimulatedDevice, simulate } from './simulation.ts'
import { countsLine, quarantineLines } from './tally.ts'
import { createTelemetryClient } from './telemetry-client.ts'
import { type CliContext, EXIT, type Verb } from './verb.ts'

/** Most that one process can plausibly play. */
export const DEVICES_MAX = 10_000
export const READINGS_PER_SECOND_MAX = 100_000

const USAGE = `Usage: oxbow simulate [options]

Sends simulated tissue-oxygen streams: desaturation episodes, drop-outs, drift, and
late and repeated delivery. Ends by itself, or with Ctrl-C. Readings that cannot be
sent in time are dropped and counted. Exit code 1: something was quarantined.

The devices must be known to the server and worn, with the model Oxbow/SIMULATOR-1:
--register makes that so (docs/recordings.md shows it by hand). Without it their
readings wait in quarantine.

  --devices N        number of devices (default 10, at most ${DEVICES_MAX}), named PREFIX-1, PREFIX-2, …
  --prefix TEXT      beginning of the telemetry identifiers (default simulated)
  --register         first create a patient, a device and an association for each, through
                     POST /fhir; what is there already stays as it is
  --rate HZ          readings per second and device (default 1); at most ${READINGS_PER_SECOND_MAX} a second in all
  --seconds N        how long (default 60)
  --seed N           the same seed gives the same values (default 1)
  --late SHARE       share of readings sent up to a minute late, 0 to 1 (default 0.02)
  --duplicates SHARE share of readings sent twice, 0 to 1 (default 0.01)
  --url URL          server (default: the one on this machine)
  --token-file FILE  bearer token (default: one issued by the server on this machine);
                     --register needs system/*.cruds in it beside __telemetry.write
  --config FILE      settings as JSON, as for serve
  --json             counts and reasons as one JSON object
  --help             this text
`

const OPTIONS = {
  devices: { type: 'string', default: '10' },
  prefix: { type: 'string', default: 'simulated' },
  register: { type: 'boolean', default: false },
  rate: { type: 'string', default: '1' },
  seconds: { type: 'string', default: '60' },
  seed: { type: 'string', default: '1' },
  late: { type: 'string', default: '0.02' },
  duplicates: { type: 'string', default: '0.01' },
  url: { type: 'string' },
  'token-file': { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean' }
} as const

const SHARE: NumberRange = { minimum: 0, maximum: 1 }
const SECONDS_MAX = 1_000_000
const SEED_MAX = 1_000_000
/** The telemetry identifier has 128 characters. */
const PREFIX_LENGTH_MAX = 100
/** How long after its end a run waits for answers. */
const ANSWER_GRACE_MS = 5_000

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']
interface Wanted { devices: number, rateHz: number, seconds: number, seed: number, lateShare: number, duplicateShare: number }

export const simulateVerb: Verb = {
  name: 'simulate',
  summary: 'send simulated sensor streams through the ingest API',
  usage: USAGE,
  run: async (args, context) => {
    const { values } = parseArgs({ args: [...args], options: OPTIONS })
    const wanted = wantedOf(values)
    const config = loadConfig(context.env, values.config)
    const address = await reachServer(values.url, config, context.signal)
    const token = localTokens(config, context, values.register ? '__telemetry.write system/*.cruds' : '__telemetry.write', values['token-file'])
    const names = Array.from({ length: wanted.devices }, (_, index) => `${values.prefix}-${index + 1}`)
    const progress = (text: string): void => { if (context.isTerminal) context.stderr(`\r${text}`) }
    if (values.register) {
      await admit(names.map(bedOf), {
        address, token, signal: context.signal, patientSystem: `${CANONICAL}/identifier/simulation`,
        onAdmitted: beds => { progress(`registered ${beds} of ${names.length}`) }
      })
      progress(`registered ${names.length} devices${' '.repeat(20)}\n`)
    }
    const cutOff = AbortSignal.timeout(wanted.seconds * 1_000 + ANSWER_GRACE_MS)
    const client = createTelemetryClient({ url: address, token, signal: AbortSignal.any([context.signal, cutOff]) })
    const sensors = names.map((deviceId, index): SimulatedDevice => ({ deviceId, patient: patientOf(wanted.seed * 1_000 + index) }))
    const onStep = (sinceStartMs: number, { received, dropped }: Simulated): void => {
      progress(`${Math.round(sinceStartMs / 1_000)} s of ${wanted.seconds} s: sent ${received}, dropped ${dropped}`)
    }
    const total = await simulate(client, sensors, { ...wanted, cutOff, onStep }, context)
    progress('\n')
    return report(total, values.json === true, context)
  }
}

function wantedOf (values: Values): Wanted {
  const wanted = {
    devices: givenNumber(values.devices, '--devices', { minimum: 1, maximum: DEVICES_MAX, isWhole: true }),
    rateHz: givenNumber(values.rate, '--rate', { minimum: 0.001, maximum: READINGS_PER_SECOND_MAX }),
    seconds: givenNumber(values.seconds, '--seconds', { minimum: 0, maximum: SECONDS_MAX }),
    seed: givenNumber(values.seed, '--seed', { minimum: 0, maximum: SEED_MAX, isWhole: true }),
    lateShare: givenNumber(values.late, '--late', SHARE),
    duplicateShare: givenNumber(values.duplicates, '--duplicates', SHARE)
  }
  if (wanted.devices * wanted.rateHz > READINGS_PER_SECOND_MAX) throw wrongUse(`--devices times --rate must be at most ${READINGS_PER_SECOND_MAX} readings a second`)
  if (wanted.lateShare + wanted.duplicateShare > 1) throw wrongUse('--late and --duplicates must be at most 1 together')
  if (!/^[\x21-\x7e]+$/.test(values.prefix) || values.prefix.length > PREFIX_LENGTH_MAX) throw wrongUse(`--prefix must be 1 to ${PREFIX_LENGTH_MAX} printable ASCII characters without blanks`)
  return wanted
}

function bedOf (name: string): Bed { return { name, device: name, manufacturer: 'Oxbow', modelNumber: 'SIMULATOR-1' } }

function report (total: Simulated, isJson: boolean, context: CliContext): number {
  context.stdout(isJson ? `${JSON.stringify(total)}\n` : countsLine(total))
  context.stderr(quarantineLines('simulate', total))
  if (total.reasons['device-unknown'] !== undefined) context.stderr('oxbow simulate: the server does not know these devices: --register makes them known\n')
  if (total.dropped > 0) context.stderr(`oxbow simulate: ${total.dropped} readings could not be sent in time and were dropped\n`)
  return total.quarantined === 0 ? EXIT.done : EXIT.notSo
}
