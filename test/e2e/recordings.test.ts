/** Real recordings replayed whole through the public API: every sample is stored or quarantined, and comes back as the file prints it. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readRecording } from '../../src/ingest/recordings/read-recording.ts'
import type { RecordedSensor } from '../../src/ingest/recordings/recording.ts'
import { type Bundle, createFhirClient, eventually, type FhirClient } from '../support/fhir-client.ts'
import { makeDataDir, type Oxbow, removeDataDir, startOxbow } from '../support/oxbow-process.ts'
import { hasRecordings, recordingPath, recordingText } from '../support/shared-recordings.ts'
import { wearingBundle } from '../support/ward-fixture.ts'

const AT = '2026-03-02T10:00:00.000Z'
const KIND_OF: Readonly<Record<string, string>> = {
  'tissue-sto2': 'tissue-sto2', 'tissue-sto2-averaged': 'tissue-sto2', 'tissue-sto2-unfiltered': 'tissue-sto2',
  'total-haemoglobin': 'total-haemoglobin', 'o2hb-relative': 'o2hb-relative', 'hhb-relative': 'hhb-relative'
}

describe.skipIf(!hasRecordings)('recordings that stand beside the project (../shared/recordings)', () => {
  const dataDir = makeDataDir()
  let oxbow: Oxbow
  let ehr: FhirClient

  beforeAll(async () => {
    oxbow = await startOxbow({ dataDir, env: { OXBOW_STREAM_SILENCE: '2s' } })
    ehr = createFhirClient(oxbow.address, await oxbow.token('__telemetry.write system/*.cruds'))
  })
  afterAll(async () => {
    await oxbow?.stop()
    removeDataDir(dataDir)
  })

  async function wear (sensors: readonly RecordedSensor[], prefix: string): Promise<Map<string, { device: string, patient: string }>> {
    const worn = new Map<string, { device: string, patient: string }>()
    for (const [place, sensor] of sensors.entries()) {
      const device = `${prefix}-${place + 1}`
      const answer = await ehr.send('POST', '/fhir', wearingBundle([{ deviceId: device, model: sensor.model, mrn: `MRN-${device}`, start: '2026-01-01T00:00:00.000Z' }]))
      expect(answer.status).toBe(200)
      const { body } = await ehr.get<Bundle<{ id: string }>>(`/fhir/Patient?identifier=MRN-${device}`)
      worn.set(sensor.name, { device, patient: body.entry![0]!.resource.id })
    }
    return worn
  }

  /** Value by time in ms, as the Observations of one metric give them back. */
  async function servedValues (patient: string, metric: string): Promise<Map<number, number>> {
    const observations = (await ehr.all(`/fhir/Observation?patient=${patient}&code=${KIND_OF[metric]}&_sort=date&_count=200`))
      .filter(({ identifier }) => identifier[0]!.value.split('/')[1] === metric)
    const values = new Map<number, number>()
    for (const { valueSampledData, effectivePeriod, effectiveDateTime, valueQuantity } of observations) {
      if (valueSampledData === undefined) {
        if (valueQuantity !== undefined) values.set(Date.parse(effectiveDateTime!), valueQuantity.value)
        continue
      }
      const start = Date.parse(effectivePeriod!.start)
      for (const [slot, token] of valueSampledData.data.split(' ').entries()) {
        if (token !== 'E') values.set(start + slot * valueSampledData.period, Number(token))
      }
    }
    return values
  }

  async function expectServed (sensor: RecordedSensor, patient: string, isAbsent: (value: number) => boolean): Promise<void> {
    const metrics = [...new Set(sensor.samples.flatMap(sample => sample.values.map(({ metric }) => metric)))]
    for (const metric of metrics) {
      const printed = sensor.samples.flatMap(sample => sample.values.filter(one => one.metric === metric && !isAbsent(one.value)).map(one => one.value))
      await eventually(async () => {
        const served = await servedValues(patient, metric)
        expect([...served].sort(([a], [b]) => a - b).map(([, value]) => value), `${sensor.name} ${metric}`).toEqual(printed)
      })
    }
  }

  async function replay (file: string, devices: ReadonlyMap<string, { device: string }>): Promise<unknown> {
    const options = [...devices].flatMap(([name, { device }]) => ['--device', `${name}=${device}`])
    const { code, stdout, stderr } = await oxbow.verb('replay', recordingPath(file), '--at', AT, '--json', ...options)
    expect(code, stderr).toBe(0)
    return JSON.parse(stdout)
  }

  test('Moxy: 931 samples, each value as printed', async () => {
    const { sensors } = readRecording(recordingText('moxy_intervals.csv'))
    const worn = await wear(sensors, 'moxy')
    expect(await replay('moxy_intervals.csv', worn)).toEqual({ received: 931, accepted: 931, quarantined: 0, reasons: {}, fieldReasons: {} })
    for (const sensor of sensors) await expectServed(sensor, worn.get(sensor.name)!.patient, () => false)
  })

  test('VO2 Master: a documented zero is stored as absent, and every sample is stored', async () => {
    const { sensors } = readRecording(recordingText('vo2master.csv'))
    const worn = await wear(sensors, 'vo2')
    expect(await replay('vo2master.csv', worn)).toEqual({ received: 718, accepted: 718, quarantined: 0, reasons: {}, fieldReasons: {} })
    for (const sensor of sensors) await expectServed(sensor, worn.get(sensor.name)!.patient, value => value === 0)
  })

  test('Train.Red: 11,995 samples of each sensor, none lost, none taken for a duplicate', async () => {
    const { sensors } = readRecording(recordingText('train.red_intervals.csv'))
    const worn = await wear(sensors, 'train-red')
    expect(await replay('train.red_intervals.csv', worn)).toEqual({ received: 23_990, accepted: 23_990, quarantined: 0, reasons: {}, fieldReasons: {} })
    const metrics = await eventually(async () => {
      const text = await (await fetch(new URL('/metrics', oxbow.address))).text()
      expect(text).toContain(`oxbow_readings_stored_total ${931 + 718 + 23_990}`)
      return text
    })
    expect(metrics).not.toContain('oxbow_readings_suppressed_total{kind')
    for (const sensor of sensors) await expectServed(sensor, worn.get(sensor.name)!.patient, () => false)
  })
})
