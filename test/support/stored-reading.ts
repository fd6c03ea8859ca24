/** Readings and a device model for tests of the stream: partial facts in, whole values out. */

import type { Channel, DeviceModel } from '../../src/model/device-model.ts'
import type { StoredReading } from '../../src/model/reading.ts'
import { epochMs, millivolt, percent } from '../../src/model/units.ts'

export const START = Date.parse('2026-02-11T08:30:00.000Z')

export const PO2: Channel = {
  metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', periodMs: 1000, technicalRange: { low: 0, high: 160 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'optional'
}
export const SPO2: Channel = {
  metric: 'spo2', kind: 'spo2', unit: '%', periodMs: 1000, technicalRange: { low: 0, high: 100 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'optional'
}

export function modelOf (...channels: Channel[]): DeviceModel {
  return { manufacturer: 'Example Sensors Inc.', modelNumber: 'TO2-READER-2', display: 'Reader', channels, batteryRange: { low: 0, high: 6000 } }
}

export interface ReadingFacts {
  sequence?: number
  battery?: number
  quality?: number
  firmware?: number
  flags?: number
  schemaId?: number
  partition?: number
  offset?: number
}

export function storedReading (takenAt: number, values: readonly (number | undefined)[], facts: ReadingFacts = {}): StoredReading {
  return {
    takenAt: epochMs(takenAt),
    sequence: facts.sequence ?? 0,
    values,
    battery: facts.battery === undefined ? undefined : millivolt(facts.battery),
    quality: facts.quality === undefined ? undefined : percent(facts.quality),
    firmware: facts.firmware ?? 1,
    flags: facts.flags ?? 0,
    schemaId: facts.schemaId ?? 1,
    partition: facts.partition ?? 0,
    offset: facts.offset ?? 0
  }
}

/** Tokens of `fhir-examples/04`: 30 s at 1 Hz, the fourth sample missing. */
export const EXAMPLE_04 = '41.2 41.1 41.3 E 40.9 40.7 40.8 40.6 40.5 40.3 40.2 40.2 40.0 39.9 39.7 39.8 39.6 39.5 39.4 39.2 39.1 39.0 38.8 38.9 38.7 38.6 38.5 38.4 38.2 38.1'
