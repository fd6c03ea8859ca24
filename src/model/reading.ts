/** One sample of all channels of a device, and the unit in which readings travel on the bus. */

import type { EpochMs, Millivolt, Percent } from './units.ts'

declare const sid: unique symbol

/** Text form of a pseudonym (privacy.md §4.1): `s1`, 26 symbols, check symbol. Random; says nothing about person or device. */
export type Sid = string & { readonly [sid]: true }

/** `Device.manufacturer` and `Device.modelNumber` joined by `/`: the key of the device model registry. */
export type ModelKey = string

/** At most this many channels stand in one reading. */
export const CHANNELS_MAX = 8

/** Bits of `Reading.flags`: soft findings of fhir-modelling.md §7. A flagged value is kept and marked, never dropped. */
export const FLAG = {
  'below-verified-accuracy': 1 << 0,
  'range-soft': 1 << 1,
  slew: 1 << 2,
  'flat-line': 1 << 3,
  'reference-stale': 1 << 4,
  'display-clip': 1 << 5,
  'low-quality': 1 << 6,
  'quality-unknown': 1 << 7,
  'firmware-unknown': 1 << 8,
  'calibration-stale': 1 << 9,
  'sign-disagreement': 1 << 10
} as const

export type Flag = keyof typeof FLAG

/** Flags whose sample takes no part in derived values and alarms (fhir-modelling.md §7, last column). */
export const EXCLUDING_FLAGS = FLAG.slew | FLAG['flat-line'] | FLAG['reference-stale'] | FLAG['low-quality']

export interface Reading {
  /** Event time: when the sensor took it. */
  takenAt: EpochMs
  /** The sensor's own counter or place in a burst; 0 when it has none. (device, takenAt, sequence) identifies a reading. */
  sequence: number
  /** Raw values by channel position of the device model; `undefined` is absent, never zero. */
  values: readonly (number | undefined)[]
  battery: Millivolt | undefined
  quality: Percent | undefined
  /** Number of the firmware in the linkage store's list; 0 when the device did not say. */
  firmware: number
  /** Bits of {@link FLAG} known at the door. */
  flags: number
}

/** All readings of one sid in one request, in order of arrival: one record of `oxbow.readings.v1`. */
export interface ReadingBatch {
  sid: Sid
  model: ModelKey
  /** Id of the schema the device sent (1 = TissueOxygen.v1, 2 = TissueOxygen.v2). */
  schemaId: number
  /** When the request arrived at the door. */
  receivedAt: EpochMs
  readings: readonly Reading[]
}

/** A reading with its place in `oxbow.readings.v1`: what a row of the series store holds, and what windows are made from. */
export interface StoredReading extends Reading {
  schemaId: number
  partition: number
  offset: number
}
