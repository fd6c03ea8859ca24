/** The text of SampledData: its grammar, the limits its tokens need, and how many there must be. */

import type { Node } from './walk.ts'

/** Decimals, E, L and U, one space apart (R4 SampledData.data). */
export function isTokenText (data: string): boolean {
  let at = 0
  for (;;) {
    const next = tokenEnd(data, at)
    if (next < 0) return false
    if (next === data.length) return true
    if (data.charCodeAt(next) !== SPACE) return false
    at = next + 1
  }
}

const SPACE = 32
const MINUS = 45
const POINT = 46

/** Place behind the token that begins at `from`; -1 when none does. Byte by byte, since windows have hundreds of tokens. */
function tokenEnd (data: string, from: number): number {
  const first = data.charCodeAt(from)
  if (first === 69 || first === 76 || first === 85) return from + 1
  let at = first === MINUS ? from + 1 : from
  const whole = digitsEnd(data, at)
  if (whole === at) return -1
  at = whole
  if (data.charCodeAt(at) === POINT) {
    const fraction = digitsEnd(data, at + 1)
    if (fraction === at + 1) return -1
    at = fraction
  }
  const exponent = data.charCodeAt(at)
  if (exponent !== 101 && !(exponent === 69 && at < data.length)) return at
  const sign = data.charCodeAt(at + 1)
  const digits = sign === MINUS || sign === 43 ? at + 2 : at + 1
  const end = digitsEnd(data, digits)
  return end === digits ? -1 : end
}

function digitsEnd (data: string, from: number): number {
  let at = from
  for (;;) {
    const code = data.charCodeAt(at)
    if (!(code >= 48 && code <= 57)) return at
    at++
  }
}

/** `L` stands for less than lowerLimit, `U` for more than upperLimit. */
export function hasLimits (sampled: Node): boolean {
  const data = String(sampled['data'] ?? '')
  return (!data.includes('L') || sampled['lowerLimit'] !== undefined) && (!data.includes('U') || sampled['upperLimit'] !== undefined)
}

/** Whether the tokens fill the period of the Observation: count = round((end − start) / period) (fhir-modelling.md §2.3 rule 4). */
export function fillsPeriod (observation: Node): boolean {
  const sampled = observation['valueSampledData'] as { data?: string, period?: number, dimensions?: number } | undefined
  const period = observation['effectivePeriod'] as { start?: string, end?: string } | undefined
  if (sampled?.data === undefined || sampled.period === undefined || period?.start === undefined || period.end === undefined) return true
  const spanMs = Date.parse(period.end) - Date.parse(period.start)
  return tokenCount(sampled.data) === Math.round(spanMs / sampled.period) * (sampled.dimensions ?? 1)
}

function tokenCount (data: string): number {
  let count = 1
  for (let at = data.indexOf(' '); at >= 0; at = data.indexOf(' ', at + 1)) count++
  return count
}
