/** What a device model measures: the registry of fhir-modelling.md §7, one entry per `mappings/models/*.json`. */

import type { ModelKey } from './reading.ts'

/** What a channel's number means; decides its code. The unit is data of the model, never assumed. */
export type QuantityKind =
  | 'tissue-po2' | 'tissue-o2-concentration' | 'tissue-o2-relative-index' | 'tissue-sto2'
  | 'total-haemoglobin' | 'o2hb-relative' | 'hhb-relative' | 'spo2'

export interface Channel {
  /** Name of the metric, unique in the model; two channels of one kind have two names. */
  metric: string
  kind: QuantityKind
  /** UCUM code. */
  unit: string
  /** Nominal sample period in ms. */
  periodMs: number
  /** Hard limits in `unit`, inclusive: outside is `range-hard`. */
  technicalRange: { low: number, high: number }
  /** Smallest step shown, in `unit`: outputs are rounded to it, half-even. */
  resolution: number
  /** Below this signal quality (percent) a sample is flagged `low-quality`; absent: no such limit. */
  minimumQuality?: number
  /** Largest believable change per second, in `unit`; absent: not checked. */
  maxSlewPerSecond?: number
  /** `no-reading`: the model documents 0 as "nothing measured", and 0 is stored as absent. */
  zeroMeans: 'zero' | 'no-reading'
  /** `required`: without coefficients in force the raw value is stored and stands in no window (`calibration-missing`). */
  calibration: 'none' | 'optional' | 'required'
  /** Identical samples in a row from which the rest is `flat-line`; absent: a steady value is believable. */
  flatLineCount?: number
}

export interface DeviceModel {
  manufacturer: string
  modelNumber: string
  /** Human name of the kind of device. */
  display: string
  /** One to eight, in the order in which rows hold them. Append only: a position is never given to another metric. */
  channels: readonly Channel[]
  /** Which channel the two value fields of schema v1 mean, and in which unit they come (the channel's). Absent: the field has no known unit. */
  v1?: { spo2?: string, local_tissue_o2?: string }
  /** mV, inclusive. */
  batteryRange: { low: number, high: number }
  /** Firmware versions that are known; absent: any. */
  firmware?: readonly string[]
  /** ISO date before which no device of this model was made. */
  madeSince?: string
}

export function modelKey (model: Pick<DeviceModel, 'manufacturer' | 'modelNumber'>): ModelKey {
  return `${model.manufacturer}/${model.modelNumber}`
}

export type DeviceModels = ReadonlyMap<ModelKey, DeviceModel>
