/** Device and DeviceMetric: names, models and the channels a registered model brings (fhir-modelling.md §4, §7; examples 01, 02, 24). Pure. */

import type { Device, DeviceMetric, Extension, Identifier } from '@medplum/fhirtypes'
import { type Channel, type DeviceModel, type DeviceModels, modelKey } from '../../model/device-model.ts'
import { CANONICAL, type IdentifierKind, identifierSystem } from '../../model/identifier.ts'
import type { ModelKey } from '../../model/reading.ts'
import { ruleBroken } from './business-rule.ts'
import { LOINC, MDC, METRIC_CODES, UCUM } from '../words/code-allow-list.ts'

/** PoCD's extension; it may move to another package, so its address stands here alone. */
export const REFERENCE_RANGE = 'http://hl7.org/fhir/StructureDefinition/reference-range'
export const RANGE_TYPES = 'http://hl7.org/fhir/uv/pocd/CodeSystem/reference-range-type'
const METRIC_PROFILE = `${CANONICAL}/StructureDefinition/tissue-oxygen-metric-channel`

const DISPLAY: Record<Channel['kind'], string> = {
  'tissue-po2': 'Interstitial tissue oxygen partial pressure',
  'tissue-o2-concentration': 'Tissue oxygen concentration',
  'tissue-o2-relative-index': 'Tissue oxygen relative index',
  'tissue-sto2': 'Tissue oxygen saturation',
  'total-haemoglobin': 'Total haemoglobin in tissue',
  'o2hb-relative': 'Oxygenated haemoglobin, change from start',
  'hhb-relative': 'Deoxygenated haemoglobin, change from start',
  spo2: 'SpO2'
}

const SPO2_CODINGS = [
  { system: LOINC, code: '59408-5', display: 'Oxygen saturation in Arterial blood by Pulse oximetry' },
  { system: LOINC, code: '2708-6', display: 'Oxygen saturation in Arterial blood' },
  { system: MDC, code: '150456', display: 'MDC_PULS_OXIM_SAT_O2' }
]

const UNIT_OF_MDC: Readonly<Record<string, { code: string, display: string }>> = {
  'mm[Hg]': { code: '266016', display: 'MDC_DIM_MMHG' },
  '%': { code: '262688', display: 'MDC_DIM_PERCENT' }
}

/** The Device's name in telemetry; `undefined` when it has none. @throws ServiceError FHIR_BUSINESS_RULE when it has several */
export function telemetryName (device: Device): string | undefined {
  return nameOf(device.identifier, 'telemetry-device', 'Device.identifier(telemetry-device)')
}

/** Key in the model registry, known there or not; `undefined` when the Device does not say. */
export function deviceModel (device: Device): ModelKey | undefined {
  const { manufacturer, modelNumber } = device
  return manufacturer === undefined || modelNumber === undefined ? undefined : modelKey({ manufacturer, modelNumber })
}

/** Firmware text of the Device's version entry of MDC 531976. */
export function firmwareOf (device: Device): string | undefined {
  return device.version?.find(version => version.type?.coding?.some(coding => coding.system === MDC && coding.code === '531976'))?.value
}

/** What may not change in a Device that is in use. @throws ServiceError FHIR_BUSINESS_RULE */
export function assertSameDevice (before: Device, after: Device, hasAssociation: boolean, hasMetrics: boolean): void {
  if (hasAssociation && deviceModel(before) !== deviceModel(after)) {
    throw ruleBroken('Device.modelNumber', 'manufacturer and model never change once the device was worn: its readings are kept by model; register another Device')
  }
  const name = telemetryName(before)
  if (name !== undefined && (hasAssociation || hasMetrics) && telemetryName(after) !== name) {
    throw ruleBroken('Device.identifier(telemetry-device)', 'never changes once the device has metrics or was worn: register another Device')
  }
}

/** The metric that a DeviceMetric measures: what follows the device's name in its identifier; `undefined` when it has no such identifier. */
export function metricOf (metric: DeviceMetric, telemetry: string | undefined): string | undefined {
  const at = 'DeviceMetric.identifier(device-metric)'
  const name = nameOf(metric.identifier, 'device-metric', at)
  if (name === undefined) return undefined
  const prefix = `${telemetry}/`
  if (telemetry === undefined || !name.startsWith(prefix) || name.length === prefix.length) {
    throw ruleBroken(at, 'must be the telemetry identifier of the source Device, a slash and the metric')
  }
  return name.slice(prefix.length)
}

export function ucumUnit (metric: DeviceMetric): string | undefined {
  return metric.unit?.coding?.find(coding => coding.system === UCUM)?.code
}

/** A metric of a registered model has the unit of its channel. @throws ServiceError FHIR_BUSINESS_RULE */
export function assertChannelUnit (metric: DeviceMetric, name: string | undefined, model: DeviceModel | undefined): void {
  const channel = model?.channels.find(one => one.metric === name)
  if (channel === undefined || ucumUnit(metric) === channel.unit) return
  throw ruleBroken('DeviceMetric.unit', `the registry of device models says ${channel.unit} for this channel`)
}

export function registeredModel (device: Device, models: DeviceModels): DeviceModel | undefined {
  const key = deviceModel(device)
  return key === undefined ? undefined : models.get(key)
}

/** The DeviceMetric of a channel, without id. */
export function channelMetric (deviceId: string, telemetry: string, channel: Channel): DeviceMetric {
  const mdc = UNIT_OF_MDC[channel.unit]
  return {
    resourceType: 'DeviceMetric',
    meta: { profile: [METRIC_PROFILE] },
    extension: [technicalRange(channel)],
    identifier: [{ system: identifierSystem('device-metric'), value: `${telemetry}/${channel.metric}` }],
    type: {
      coding: channel.kind === 'spo2' ? SPO2_CODINGS : [{ system: METRIC_CODES, code: channel.kind, display: DISPLAY[channel.kind] }],
      text: channel.kind === channel.metric ? DISPLAY[channel.kind] : channel.metric
    },
    unit: { coding: [...(mdc === undefined ? [] : [{ system: MDC, ...mdc }]), { system: UCUM, code: channel.unit }] },
    source: { reference: `Device/${deviceId}` },
    operationalStatus: 'on',
    category: 'measurement',
    measurementPeriod: { repeat: { period: channel.periodMs / 1000, periodUnit: 's', frequency: 1 } },
    calibration: [{ type: 'unspecified', state: channel.calibration === 'required' ? 'calibration-required' : 'unspecified' }]
  }
}

function technicalRange (channel: Channel): Extension {
  const quantity = (value: number) => ({ value, unit: channel.unit === 'mm[Hg]' ? 'mmHg' : channel.unit, system: UCUM, code: channel.unit })
  return {
    url: REFERENCE_RANGE,
    extension: [
      { url: 'low', valueQuantity: quantity(channel.technicalRange.low) },
      { url: 'high', valueQuantity: quantity(channel.technicalRange.high) },
      { url: 'type', valueCodeableConcept: { coding: [{ system: RANGE_TYPES, code: 'technical-range' }] } }
    ]
  }
}

function nameOf (identifiers: readonly Identifier[] | undefined, kind: IdentifierKind, at: string): string | undefined {
  const system = identifierSystem(kind)
  const named = (identifiers ?? []).filter(identifier => identifier.system === system)
  if (named.length > 1) throw ruleBroken(at, 'stands more than once')
  const value = named[0]?.value
  if (named.length === 1 && (value === undefined || value.trim() === '')) throw ruleBroken(at, 'has no value')
  return value
}
