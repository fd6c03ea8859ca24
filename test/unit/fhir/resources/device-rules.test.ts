import type { Device, DeviceMetric } from '@medplum/fhirtypes'
import { expect, test } from 'vitest'
import { assertSameDevice, channelMetric, deviceModel, firmwareOf, metricOf, telemetryName } from '../../../../src/fhir/resources/device-rules.ts'
import { identifierSystem } from '../../../../src/model/identifier.ts'
import { READER, reader } from '../../../support/linkage-fixtures.ts'

const UCUM = 'http://unitsofmeasure.org'

test('the DeviceMetric of a channel names device, unit, period and technical range', () => {
  const [tissue, saturation] = READER.channels.map(channel => channelMetric('dev-000042', 'device-42', channel))
  const range = (low: number, high: number, unit: string, code: string) => ({
    url: 'http://hl7.org/fhir/StructureDefinition/reference-range',
    extension: [
      { url: 'low', valueQuantity: { value: low, unit, system: UCUM, code } },
      { url: 'high', valueQuantity: { value: high, unit, system: UCUM, code } },
      { url: 'type', valueCodeableConcept: { coding: [{ system: 'http://hl7.org/fhir/uv/pocd/CodeSystem/reference-range-type', code: 'technical-range' }] } }
    ]
  })
  expect(tissue).toEqual({
    resourceType: 'DeviceMetric',
    meta: { profile: ['https://oxbow-fhir.github.io/ig/StructureDefinition/tissue-oxygen-metric-channel'] },
    extension: [range(0, 160, 'mmHg', 'mm[Hg]')],
    identifier: [{ system: 'https://oxbow-fhir.github.io/ig/identifier/device-metric', value: 'device-42/tissue-po2' }],
    type: {
      coding: [{ system: 'https://oxbow-fhir.github.io/ig/CodeSystem/tissue-oxygen-metric', code: 'tissue-po2', display: 'Interstitial tissue oxygen partial pressure' }],
      text: 'Interstitial tissue oxygen partial pressure'
    },
    unit: { coding: [{ system: 'urn:iso:std:iso:11073:10101', code: '266016', display: 'MDC_DIM_MMHG' }, { system: UCUM, code: 'mm[Hg]' }] },
    source: { reference: 'Device/dev-000042' },
    operationalStatus: 'on',
    category: 'measurement',
    measurementPeriod: { repeat: { period: 1, periodUnit: 's', frequency: 1 } },
    calibration: [{ type: 'unspecified', state: 'unspecified' }]
  })
  expect(saturation).toMatchObject({
    extension: [range(0, 100, '%', '%')],
    type: { text: 'SpO2', coding: [{ code: '59408-5' }, { code: '2708-6' }, { code: '150456' }] },
    unit: { coding: [{ code: '262688' }, { code: '%' }] }
  })
})

test('a metric is what follows the name of the device in its identifier', () => {
  const metric = (value: string): DeviceMetric => ({ resourceType: 'DeviceMetric', type: {}, category: 'measurement', identifier: [{ system: identifierSystem('device-metric'), value }] })
  expect(metricOf(metric('device-42/tissue-po2'), 'device-42')).toBe('tissue-po2')
  expect(metricOf(metric('a/b/spo2'), 'a/b')).toBe('spo2')
  expect(metricOf({ resourceType: 'DeviceMetric', type: {}, category: 'measurement' }, 'device-42')).toBeUndefined()
  for (const other of ['device-43/spo2', 'device-42/', 'device-42']) expect(() => metricOf(metric(other), 'device-42')).toThrow('identifier')
  expect(() => metricOf(metric('undefined/spo2'), undefined)).toThrow('identifier')
})

test('a device has at most one name in telemetry', () => {
  expect(telemetryName(reader('d', 'device-42'))).toBe('device-42')
  expect(telemetryName({ resourceType: 'Device' })).toBeUndefined()
  const system = identifierSystem('telemetry-device')
  expect(() => telemetryName({ resourceType: 'Device', identifier: [{ system, value: 'a' }, { system, value: 'b' }] })).toThrow('more than once')
  expect(() => telemetryName({ resourceType: 'Device', identifier: [{ system, value: ' ' }] })).toThrow('no value')
})

test('model and firmware are read where the Device says them', () => {
  expect(deviceModel(reader('d', 'x'))).toBe('Example Sensors Inc./TO2-READER-2')
  expect(deviceModel({ resourceType: 'Device', manufacturer: 'A' })).toBeUndefined()
  expect(firmwareOf(reader('d', 'x'))).toBe('1.2.3')
  expect(firmwareOf({ resourceType: 'Device', version: [{ value: '7' }] })).toBeUndefined()
})

test('model and name change only before the device is in use', () => {
  const before = reader('d', 'x')
  const renamed = reader('d', 'y')
  const remodelled: Device = { ...before, modelNumber: 'OTHER' }
  const refuse = expect.objectContaining({ code: 'FHIR_BUSINESS_RULE' })
  expect(() => { assertSameDevice(before, remodelled, false, true) }).not.toThrow()
  expect(() => { assertSameDevice(before, remodelled, true, true) }).toThrow(refuse)
  expect(() => { assertSameDevice(before, renamed, false, false) }).not.toThrow()
  expect(() => { assertSameDevice(before, renamed, false, true) }).toThrow(refuse)
  expect(() => { assertSameDevice({ resourceType: 'Device' }, before, true, true) }).toThrow(refuse)
})
