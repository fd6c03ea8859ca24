/** Headers of a FHIR request → what they ask: format, Prefer; and bodies read within limits. */

import { ServiceError } from '../../model/errors.ts'

export interface Preference {
  return?: 'minimal' | 'representation' | 'OperationOutcome'
  lenient: boolean
}

/** Unknown preferences are ignored (RFC 7240 §2). */
export function parsePrefer (header: string | undefined): Preference {
  const wishes = (header ?? '').split(/[,;]/).map(part => part.trim())
  const wanted = wishes.find(part => part.startsWith('return='))?.slice(7)
  const known = wanted === 'minimal' || wanted === 'representation' || wanted === 'OperationOutcome' ? { return: wanted } as const : {}
  return { ...known, lenient: wishes.includes('handling=lenient') }
}

const JSON_TYPES: ReadonlySet<string> = new Set(['json', 'application/json', 'application/fhir+json', 'text/json'])

/** Only JSON is spoken. @param format the parameter `_format`, which outranks the header
 *  @returns whether what the caller accepts can be given */
export function acceptsJson (accept: string | undefined, format: string | undefined): boolean {
  if (format !== undefined) return JSON_TYPES.has(format.replace('fhir json', 'fhir+json').split(';')[0]!.trim())
  if (accept === undefined || accept.trim() === '') return true
  return accept.split(',').some(range => {
    const [type = '', ...parameters] = range.split(';').map(part => part.trim().toLowerCase())
    if (parameters.some(parameter => /^q=0(?:\.0*)?$/.test(parameter) || (parameter.startsWith('fhirversion=') && parameter !== 'fhirversion=4.0'))) return false
    return type === '*/*' || type === 'application/*' || JSON_TYPES.has(type)
  })
}

/** Deepest nesting of a body: FHIR needs about twenty. */
const DEPTH_MAX = 64

/** @throws ServiceError incorrect INPUT_UNREADABLE */
export function parseJsonBody (text: string): unknown {
  const { depth, members } = scan(text)
  if (depth > DEPTH_MAX) throw unreadable(`the body nests deeper than ${DEPTH_MAX} levels`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw unreadable('the body is not JSON')
  }
  // Which of two values was meant nobody can say: each reader would take another.
  if (members !== membersOf(value)) throw unreadable('an object of the body has the same key twice')
  return value
}

function membersOf (value: unknown): number {
  if (value === null || typeof value !== 'object') return 0
  const inner = Object.values(value)
  return inner.reduce((sum: number, one) => sum + membersOf(one), Array.isArray(value) ? 0 : inner.length)
}

/** Before parsing: the checks behind it walk the value by recursion. Stops once it is too deep. @returns depth and how many members objects have */
function scan (text: string): { depth: number, members: number } {
  let depth = 0
  let deepest = 0
  let members = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const symbol = text.charCodeAt(at)
    if (inString) {
      if (symbol === 0x5c) at++
      else if (symbol === 0x22) inString = false
    } else if (symbol === 0x22) inString = true
    else if (symbol === 0x7b || symbol === 0x5b) {
      if (++depth > deepest) deepest = depth
      if (deepest > DEPTH_MAX) break
    } else if (symbol === 0x7d || symbol === 0x5d) depth--
    else if (symbol === 0x3a) members++
  }
  return { depth: deepest, members }
}

function unreadable (message: string): ServiceError { return new ServiceError('incorrect', 'INPUT_UNREADABLE', message) }
