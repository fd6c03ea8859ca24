/** Times and numbers of ours <-> the text of SQL. All times are whole ms since the epoch; days count from it. */

import { type CustomTypesConfig, escapeLiteral, types } from 'pg'
import { DAY_MS, type EpochMs, epochMs } from '../../model/units.ts'

const YEAR_1_MS = -62_135_596_800_000
const YEAR_9999_MS = 253_402_300_799_999

export function dayOf (time: number): number { return Math.floor(time / DAY_MS) }

/** Inside the years that PostgreSQL and ISO 8601 both write with four digits. */
export function clampTime (time: number): number { return Math.min(Math.max(time, YEAR_1_MS), YEAR_9999_MS) }

/** A parameter for `timestamptz`. */
export function timeParameter (time: number): string { return new Date(clampTime(time)).toISOString() }

/** A parameter for `date`. */
export function dayParameter (day: number): string { return timeParameter(day * DAY_MS).slice(0, 10) }

/** A literal array of numbers: nothing else can stand in it. */
export function numberArray (values: Iterable<number>): string { return `'{${[...values].map(Number).join(',')}}'` }

export function textArray (values: readonly string[]): string { return `array[${values.map(value => escapeLiteral(value)).join(',')}]` }

const OID = { int8: 20, json: 114, int4Array: 1007, int8Array: 1016, timestamptz: 1184 } as const

/** For queries of this store: `timestamptz` as EpochMs, arrays of whole numbers as numbers. */
export const SERIES_TYPES: CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (format === 'binary') return types.getTypeParser(oid, 'binary')
    switch (oid) {
      case OID.timestamptz: return parseTime
      case OID.int8: return Number
      case OID.int4Array:
      case OID.int8Array: return parseNumbers
      case OID.json: return JSON.parse
      default: return types.getTypeParser(oid, 'text')
    }
  }) as typeof types.getTypeParser
}

/** `2026-02-11 08:30:00.123+00` as PostgreSQL writes it (DateStyle ISO). Fractions below a ms are cut. */
export function parseTime (text: string): EpochMs {
  const digit = (at: number) => text.charCodeAt(at) - 48
  const pair = (at: number) => digit(at) * 10 + digit(at + 1)
  let at = 19
  let ms = 0
  if (text[at] === '.') {
    for (let weight = 100; digit(++at) >= 0 && digit(at) <= 9; weight /= 10) if (weight >= 1) ms += digit(at) * weight
  }
  const zone = text.slice(at)
  const time = Date.UTC(pair(0) * 100 + pair(2), pair(5) - 1, pair(8), pair(11), pair(14), pair(17), ms)
  return epochMs(zone === '+00' ? time : time - zoneMs(zone))
}

function zoneMs (zone: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = zone.slice(1).split(':').map(Number)
  return (zone.startsWith('-') ? -1 : 1) * (hours * 3600 + minutes * 60 + seconds) * 1000
}

function parseNumbers (text: string): number[] {
  return text === '{}' ? [] : text.slice(1, -1).split(',').map(Number)
}
