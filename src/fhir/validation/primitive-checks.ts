/** Primitive types → tests of their JSON values: form, range, and that a date stands in the calendar. */

import type { Primitive } from './definitions.ts'
import { narrativeProblem } from './narrative.ts'

/** What is wrong with the value; `undefined`: nothing. */
export type PrimitiveCheck = (value: unknown) => string | undefined

/** Longest text of R4. */
const LENGTH_MAX = 1_048_576

export function createPrimitiveChecks (primitives: Readonly<Record<string, Primitive>>): ReadonlyMap<string, PrimitiveCheck> {
  return new Map(Object.entries(primitives).map(([name, primitive]) => [name, SPECIAL[name] ?? patternCheck(name, primitive)]))
}

const SPECIAL: Readonly<Record<string, PrimitiveCheck>> = {
  boolean: value => typeof value === 'boolean' ? undefined : 'must be true or false',
  decimal: value => typeof value === 'number' && Number.isFinite(value) ? undefined : 'must be a number',
  integer: wholeNumber(-2_147_483_648, 'must be a whole number of 32 bits'),
  unsignedInt: wholeNumber(0, 'must be a whole number, 0 or more'),
  positiveInt: wholeNumber(1, 'must be a whole number, 1 or more'),
  string: text,
  markdown: text,
  xhtml: value => typeof value !== 'string' ? NO_STRING : characterProblem(value) ?? narrativeProblem(value),
  uri,
  url: uri,
  canonical: uri,
  base64Binary
}

const NO_STRING = 'must be a string'

function wholeNumber (least: number, problem: string): PrimitiveCheck {
  return value => typeof value === 'number' && Number.isInteger(value) && value >= least && value <= 2_147_483_647 ? undefined : problem
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: R4 forbids them (datatypes, string)
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/

/** Most texts and URIs: one look says that nothing is wrong. */
const PLAIN_TEXT = /^[!-~][ -~]*$/
const PLAIN_URI = /^[!-~]+$/

function text (value: unknown): string | undefined {
  if (typeof value !== 'string') return NO_STRING
  if (value.length <= 1_000 && PLAIN_TEXT.test(value)) return undefined
  if (value.length > LENGTH_MAX) return 'must not be longer than 1 MB'
  if (!/\S/.test(value)) return 'must not be empty'
  return characterProblem(value)
}

/** What no store could give back as it was sent: JSON can escape half a pair, UTF-8 and PostgreSQL have no form for it. */
function characterProblem (value: string): string | undefined {
  if (CONTROL.test(value)) return 'must not hold control characters'
  return value.isWellFormed() ? undefined : 'must not hold half of a surrogate pair'
}

const OID = /^urn:oid:[0-2](\.(0|[1-9][0-9]*))+$/
const UUID = /^urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/

function uri (value: unknown): string | undefined {
  if (typeof value !== 'string') return NO_STRING
  if (value.length <= 1_000 && !value.startsWith('urn:') && PLAIN_URI.test(value)) return undefined
  if (value === '' || value.length > LENGTH_MAX) return 'must be a URI'
  if (/\s/.test(value) || characterProblem(value) !== undefined) return 'must be a URI, without white space'
  if (value.startsWith('urn:oid:')) return OID.test(value) ? undefined : 'must be a valid OID behind urn:oid:'
  if (value.startsWith('urn:uuid:')) return UUID.test(value) ? undefined : 'must be a valid UUID behind urn:uuid:'
  return undefined
}

/** The expression of R4 backtracks; this one does not. */
function base64Binary (value: unknown): string | undefined {
  if (typeof value !== 'string') return NO_STRING
  const bare = value.replaceAll(/\s/g, '')
  return bare !== '' && bare.length % 4 === 0 && /^[0-9A-Za-z+/]*={0,2}$/.test(bare) ? undefined : 'must be base64'
}

const DATED: ReadonlySet<string> = new Set(['date', 'dateTime', 'instant'])

function patternCheck (name: string, { pattern }: Primitive): PrimitiveCheck {
  const expression = new RegExp(`^(?:${pattern ?? '[^]+'})$`)
  const formProblem = name === 'id' ? 'must be 1 to 64 letters, digits, - and .' : `must have the form of ${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name}`
  const isDated = DATED.has(name)
  return value => {
    if (typeof value !== 'string') return NO_STRING
    if (value.length > LENGTH_MAX || !expression.test(value)) return formProblem
    // Expressions of R4 such as that of `code` let control characters through.
    const problem = characterProblem(value)
    if (problem !== undefined) return problem
    return isDated && !isCalendarDay(value) ? 'must be a day of the calendar' : undefined
  }
}

/** The expression of R4 allows 31 days in every month. */
function isCalendarDay (value: string): boolean {
  if (value.length < 10) return true
  const day = (value.charCodeAt(8) - 48) * 10 + value.charCodeAt(9) - 48
  if (day <= 28) return true
  return day <= new Date(Date.UTC(Number(value.slice(0, 4)), Number(value.slice(5, 7)), 0)).getUTCDate()
}
