/** Numbers that carry their unit in the type: takes a plain number at a border, gives a branded one. */

declare const unit: unique symbol

export type Unit<U extends string> = number & { readonly [unit]: U }

/** Milliseconds since 1970-01-01T00:00Z, whole. */
export type EpochMs = Unit<'ms since epoch'>
export type Millivolt = Unit<'mV'>
export type Percent = Unit<'%'>

export function epochMs (value: number): EpochMs { return value as EpochMs }
export function millivolt (value: number): Millivolt { return value as Millivolt }
export function percent (value: number): Percent { return value as Percent }

export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000

/** Beginning of the hour (UTC) that holds `time`: counters of every store stand by the hour of arrival. */
export function hourOf (time: EpochMs): EpochMs { return epochMs(Math.floor(time / HOUR_MS) * HOUR_MS) }
