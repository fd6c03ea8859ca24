/** What happens at a bedside, through the public API alone: patients get devices, devices send, somebody looks at the windows. */

import { expect } from 'vitest'
import { type Bundle, createFhirClient, eventually, type FhirClient, type Observation, type TelemetryAnswer } from './fhir-client.ts'
import type { Oxbow } from './oxbow-process.ts'
import { type Wearing, wearingBundle } from './ward-fixture.ts'

/** Logical ids. */
export interface Worn { patient: string, device: string, association: string }
export interface Statement { resourceType: 'DeviceUseStatement', id?: string, status: string, subject: { reference: string }, device: { reference: string }, timingPeriod: { start: string, end?: string } }

export interface Bedside {
  ehr: FhirClient
  admit (wearing: Wearing): Promise<Worn>
  /** Status of the answer. */
  associate (statement: Omit<Statement, 'resourceType'>): Promise<{ status: number, id?: string }>
  /** Reads the association, changes it, writes it back under its version. */
  correct (association: string, change: Partial<Statement>): Promise<void>
  /** A version of the DeviceMetric of the device's tissue-po2 with a calibration: value + offset. Gives its path. */
  calibrate (device: string, version: string, offset: number, effectiveFrom: number): Promise<string>
  send (records: readonly object[]): Promise<TelemetryAnswer>
  /** Windows of one metric by patient, ascending; withdrawn ones too. */
  windows (patient: string, metric?: string): Promise<Observation[]>
  /** Waits until `windows` is as expected. */
  eventuallyWindows (patient: string, expected: (windows: readonly Observation[]) => void, timeoutMs?: number): Promise<Observation[]>
  /** The bytes of an answer. */
  text (path: string): Promise<string>
}

export function createBedside (oxbow: Oxbow, token: string): Bedside {
  const ehr = createFhirClient(oxbow.address, token)
  const windows = (patient: string, metric = 'tissue-po2') => ehr.all(`/fhir/Observation?patient=${patient}&code=${metric}&_sort=date&_count=1000`)
  return {
    ehr,
    windows,
    admit: async wearing => {
      const { status, body } = await ehr.send<Bundle>('POST', '/fhir', wearingBundle([wearing]))
      expect(status, JSON.stringify(body)).toBe(200)
      const [patient, device, association] = body.entry!.map(({ response }) => response!.location!.split('/').at(-3)!)
      return { patient: patient!, device: device!, association: association! }
    },
    associate: async statement => {
      const { status, body } = await ehr.send<{ id?: string }>('POST', '/fhir/DeviceUseStatement', { resourceType: 'DeviceUseStatement', ...statement })
      return { status, ...(body.id === undefined ? {} : { id: body.id }) }
    },
    calibrate: async (device, version, offset, effectiveFrom) => {
      const { body: found } = await ehr.get<{ entry: { resource: { id: string, identifier: { value: string }[], extension?: object[] } }[] }>(`/fhir/DeviceMetric?source=Device/${device}`)
      const metric = found.entry.map(({ resource }) => resource).find(({ identifier }) => identifier[0]!.value.endsWith('/tissue-po2'))!
      const record = {
        url: 'https://oxbow-fhir.github.io/ig/StructureDefinition/calibration-record',
        extension: [
          { url: 'version', valueString: version },
          { url: 'model', valueCode: 'offset' },
          { url: 'coefficient', extension: [
            { url: 'name', valueString: 'offset' },
            { url: 'value', valueQuantity: { value: offset, unit: 'mmHg', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' } }
          ] },
          { url: 'effective', valuePeriod: { start: iso(effectiveFrom) } }
        ]
      }
      const path = `/fhir/DeviceMetric/${metric.id}`
      const next = { ...metric, extension: [...metric.extension ?? [], record], calibration: [{ type: 'offset', state: 'calibrated', time: iso(effectiveFrom) }] }
      const answer = await ehr.send('PUT', path, next)
      expect(answer.status, JSON.stringify(answer.body)).toBe(200)
      return path
    },
    correct: async (association, change) => {
      const path = `/fhir/DeviceUseStatement/${association}`
      const { body, headers } = await ehr.get<Statement>(path)
      const answer = await ehr.send('PUT', path, { ...body, ...change }, { 'If-Match': headers.get('ETag')! })
      expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    },
    send: async records => {
      const { status, body } = await ehr.telemetry(records.map(record => `${JSON.stringify(record)}\n`).join(''), 'application/x-ndjson')
      expect(status, JSON.stringify(body)).toBe(200)
      return body
    },
    eventuallyWindows: (patient, expected, timeoutMs = 30_000) => eventually(async () => {
      const found = await windows(patient)
      expected(found)
      return found
    }, timeoutMs),
    text: async path => {
      const response = await fetch(new URL(path, oxbow.address), { headers: { Authorization: `Bearer ${token}` } })
      expect(response.status, path).toBe(200)
      return response.text()
    }
  }
}

export interface SamplesOptions { deviceId: string, from: number, count: number, patientId?: string, value?: (place: number) => number }

/** One reading a second. */
export function samples ({ deviceId, from, count, patientId, value = () => 41.2 }: SamplesOptions): object[] {
  return Array.from({ length: count }, (_, place) => ({
    deviceId, patientId: patientId ?? null, timestamp_utc: from + place * 1_000, sequence: 0,
    channels: [{ metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', value: value(place) }], battery_mv: null, firmware_version: null, signal_quality: null
  }))
}

export function iso (time: number): string { return new Date(time).toISOString() }

/** `start/end status vN`, and the number of values. */
export function outline ({ effectivePeriod, status, meta, valueSampledData }: Observation): string {
  const period = effectivePeriod === undefined ? '-' : `${effectivePeriod.start.slice(11, 19)}/${effectivePeriod.end.slice(11, 19)}`
  const values = valueSampledData === undefined ? 0 : valueSampledData.data.split(' ').filter(token => token !== 'E').length
  return `${period} ${status} v${meta.versionId} ${values}`
}
