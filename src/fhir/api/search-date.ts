/** A date of a search parameter (`ge2026-02-11T08:30`) → prefix and half-open range at its own precision (FHIR R4 search §3.1.1.4.5). */

import { ServiceError } from '../../model/errors.ts'
import { epochMs, type EpochMs } from '../../model/units.ts'
import type { DateCondition, DatePrefix } from '../words/search-words.ts'

const PREFIXES: ReadonlySet<string> = new Set(['eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'])

// A `+` of a zone that was not percent-encoded arrives as a space.
const DATE = /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+\- ]\d{2}:\d{2})?)?)?)?$/

/** A time without zone is UTC. `ap` widens the range by a tenth of its distance from `now`.
 *  @throws ServiceError incorrect FHIR_PARAMETER */
export function parseDateCondition (parameter: string, value: string, now: EpochMs): DateCondition {
  const prefixed = PREFIXES.has(value.slice(0, 2))
  const prefix = (prefixed ? value.slice(0, 2) : 'eq') as DatePrefix
  const range = dateRange(prefixed ? value.slice(2) : value)
  if (range === undefined) {
    throw new ServiceError('incorrect', 'FHIR_PARAMETER', `${parameter} is no date: use [prefix]YYYY, YYYY-MM, YYYY-MM-DD or a time with zone`)
  }
  if (prefix !== 'ap') return { prefix, ...range }
  const margin = Math.round(Math.max(range.from - now, now - range.until, 0) / 10)
  return { prefix, from: epochMs(range.from - margin), until: epochMs(range.until + margin) }
}

/** [from, until) that a partial date or time stands for; `undefined` when it is none. */
export function dateRange (text: string): { from: EpochMs, until: EpochMs } | undefined {
  const match = DATE.exec(text)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second, fraction, zone] = match
  const ms = fraction === undefined ? 0 : Math.floor(Number(`0.${fraction}`) * 1000)
  const parts = [Number(year), Number(month ?? 1) - 1, Number(day ?? 1), Number(hour ?? 0), Number(minute ?? 0), Number(second ?? 0), ms] as const
  const local = utc(...parts)
  if (!real(local, parts)) return undefined
  const offset = zoneMs(zone)
  if (offset === undefined) return undefined
  const from = local - offset
  if (month === undefined) return range(from, utc(parts[0] + 1, 0, 1, 0, 0, 0, 0))
  if (day === undefined) return range(from, utc(parts[0], parts[1] + 1, 1, 0, 0, 0, 0))
  if (hour === undefined) return range(from, from + 86_400_000)
  if (second === undefined) return range(from, from + 60_000)
  return range(from, from + (fraction === undefined ? 1000 : fraction.length >= 3 ? 1 : 10 ** (3 - fraction.length)))
}

function range (from: number, until: number): { from: EpochMs, until: EpochMs } { return { from: epochMs(from), until: epochMs(until) } }

// Date.UTC takes the years 0-99 for 1900-1999.
function utc (year: number, month: number, day: number, hour: number, minute: number, second: number, ms: number): number {
  const date = new Date(0)
  date.setUTCFullYear(year, month, day)
  date.setUTCHours(hour, minute, second, ms)
  return date.getTime()
}

// Rejects what the calendar rolls over (February 30, minute 61).
function real (time: number, parts: readonly [number, number, number, number, number, number, number]): boolean {
  const date = new Date(time)
  return date.getUTCFullYear() === parts[0] && date.getUTCMonth() === parts[1] && date.getUTCDate() === parts[2] &&
    date.getUTCHours() === parts[3] && date.getUTCMinutes() === parts[4] && date.getUTCSeconds() === parts[5]
}

function zoneMs (zone: string | undefined): number | undefined {
  if (zone === undefined || zone === 'Z') return 0
  const hours = Number(zone.slice(1, 3))
  const minutes = Number(zone.slice(4))
  if (hours > 14 || minutes > 59) return undefined
  return (zone[0] === '-' ? -1 : 1) * (hours * 60 + minutes) * 60_000
}
