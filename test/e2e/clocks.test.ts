/** Sensors' clocks and deliveries as they are (iomt-compat.md §8, D1, D2, D6): no sample lost, none doubled, no false gap. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Bundle, createFhirClient, eventually, type FhirClient, type Observation } from '../support/fhir-client.ts'
import { makeDataDir, type Oxbow, removeDataDir, startOxbow } from '../support/oxbow-process.ts'
import { wearingBundle } from '../support/ward-fixture.ts'

const dataDir = makeDataDir()
const START = Date.parse('2026-05-04T08:00:00.000Z')
const SECONDS = 3_600
let oxbow: Oxbow
let ehr: FhirClient

beforeAll(async () => {
  oxbow = await startOxbow({ dataDir, env: { OXBOW_STREAM_SILENCE: '1s' } })
  ehr = createFhirClient(oxbow.address, await oxbow.token('__telemetry.write system/*.cruds'))
})
afterAll(async () => {
  await oxbow?.stop()
  removeDataDir(dataDir)
})

async function wear (deviceId: string): Promise<string> {
  const { status } = await ehr.send('POST', '/fhir', wearingBundle([{ deviceId, mrn: `MRN-${deviceId}`, start: '2026-01-01T00:00:00.000Z' }]))
  expect(status).toBe(200)
  return (await ehr.get<Bundle<{ id: string }>>(`/fhir/Patient?identifier=MRN-${deviceId}`)).body.entry![0]!.resource.id
}

/** The value tells the sample apart from every other of its minute. */
function sampleValue (sample: number): number { return 20 + (sample % 1_000) / 10 }

interface Sample { time: number, sequence?: number, value: number }

function bodyOf (deviceId: string, samples: readonly Sample[]): string {
  return JSON.stringify(samples.map(({ time, sequence, value }) => ({
    deviceId, patientId: null, timestamp_utc: time, sequence: sequence ?? null, channels: [{ metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', value }],
    battery_mv: null, firmware_version: null, signal_quality: null
  })))
}

async function deliver (deviceId: string, samples: readonly Sample[]): Promise<void> {
  for (let start = 0; start < samples.length; start += 300) {
    const { status, body } = await ehr.telemetry(bodyOf(deviceId, samples.slice(start, start + 300)), 'application/json')
    expect([status, body.quarantined]).toEqual([200, 0])
  }
}

/** Every value served and every token, in order of time, once nothing changes any more. */
async function served (patient: string, wantedCount: number): Promise<{ values: number[], gaps: number, observations: Observation[] }> {
  return eventually(async () => {
    const observations = await ehr.all(`/fhir/Observation?patient=${patient}&code=tissue-po2&_sort=date&_count=500`)
    const shown = observations.filter(({ status }) => status !== 'entered-in-error')
    const samples = shown.flatMap(({ valueSampledData, effectivePeriod, effectiveDateTime, valueQuantity }) => valueSampledData === undefined
      ? [{ at: Date.parse(effectiveDateTime!), token: String(valueQuantity!.value) }]
      : valueSampledData.data.split(' ').map((token, slot) => ({ at: Date.parse(effectivePeriod!.start) + slot * valueSampledData.period, token })))
    samples.sort((one, other) => one.at - other.at)
    // Behind the last sample the window goes on, and is truly empty.
    while (samples.at(-1)?.token === 'E') samples.pop()
    const values = samples.filter(({ token }) => token !== 'E').map(({ token }) => Number(token))
    expect(values.length).toBe(wantedCount)
    return { values, gaps: samples.length - values.length, observations: shown }
  })
}

/** Deterministic noise in [-1, 1). */
function wobble (index: number): number { return 2 * ((Math.imul(index + 1, 2_654_435_761) >>> 0) / 2 ** 32) - 1 }

test.each([
  ['on the second, 5 ms', 0, 5], ['on the second, 20 ms', 0, 20], ['phase 10 ms, 20 ms', 10, 20], ['phase 300 ms, 20 ms', 300, 20], ['phase 500 ms, 5 ms', 500, 5], ['phase 990 ms, 20 ms', 990, 20]
])('1 Hz with jitter (%s): every sample once, no gap', async (name, phaseMs, jitterMs) => {
  const deviceId = `jitter-${phaseMs}-${jitterMs}`
  const patient = await wear(deviceId)
  const samples = Array.from({ length: SECONDS }, (_, index) => ({ time: Math.round(START + phaseMs + index * 1_000 + jitterMs * wobble(index)), value: sampleValue(index) }))
  await deliver(deviceId, samples)
  const { values, gaps } = await served(patient, SECONDS)
  expect(values, name).toEqual(samples.map(({ value }) => value))
  expect(gaps).toBe(0)
})

test.each([['fast', 1 - 1e-4], ['slow', 1 + 1e-4]])('a clock 100 ppm %s for an hour and a half: nothing overwritten, no false gap', async (name, factor) => {
  const deviceId = `drift-${name}`
  const patient = await wear(deviceId)
  const samples = Array.from({ length: 5_400 }, (_, index) => ({ time: Math.round(START + index * 1_000 * factor), value: sampleValue(index) }))
  await deliver(deviceId, samples)
  const { values, gaps } = await served(patient, 5_400)
  expect(values).toEqual(samples.map(({ value }) => value))
  expect(gaps).toBe(0)
})

test('two readings in one second, and two at one time told apart by their sequence, are all kept', async () => {
  const patient = await wear('burst')
  const samples = Array.from({ length: 30 }, (_, index) => [
    { time: START + index * 1_000 + 100, value: sampleValue(3 * index) },
    { time: START + index * 1_000 + 900, value: sampleValue(3 * index + 1) },
    { time: START + index * 1_000 + 900, sequence: 1, value: sampleValue(3 * index + 2) }
  ]).flat()
  await deliver('burst', samples)
  const { values, observations } = await served(patient, 90)
  expect([...values].sort((a, b) => a - b)).toEqual(samples.map(({ value }) => value).sort((a, b) => a - b))
  expect(new Set(observations.map(({ identifier }) => identifier[0]!.value)).size).toBe(90)
})

test('readings out of order and delivered twice give what the same readings in order give', async () => {
  const samples = Array.from({ length: 600 }, (_, index) => ({ time: START + index * 1_000, value: sampleValue(index) }))
  const [tidy, untidy] = [await wear('tidy'), await wear('untidy')]
  await deliver('tidy', samples)
  const shuffled = [...samples].sort((one, other) => one.time + 20_000 * wobble(one.time / 1_000) - other.time - 20_000 * wobble(other.time / 1_000))
  await deliver('untidy', shuffled.flatMap((sample, index) => index % 7 === 0 ? [sample, sample] : [sample]))
  const [inOrder, outOfOrder] = [await served(tidy, 600), await served(untidy, 600)]
  expect(outOfOrder.values).toEqual(inOrder.values)
  expect(outOfOrder.gaps).toBe(0)
})
