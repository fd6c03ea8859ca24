/** Checks of the JSON values of primitive types: form, range, and that a date is one of the calendar. */

import { dateRange } from '../search-date.ts'

/** What is wrong with the value; `undefined` when nothing is. */
export type PrimitiveCheck = (value: unknown) => string | undefined

const NOT_TEXT = 'must be a text'
const LENGTH_MAX = 1_048_576

/** @param patterns regular expressions of R4, unanchored, by type */
export function createPrimitiveChecks (patterns: Readonly<Record<string, string>>): Readonly<Record<string, PrimitiveCheck>> {
  const checks: Record<string, PrimitiveCheck> = {}
  for (const [type, pattern] of Object.entries(patterns)) checks[type] = SPECIAL[type] ?? textLike(type, pattern)
  // A time of day is no calendar date, and its pattern says all.
  for (const type of ['date', 'dateTime', 'instant']) checks[type] = dateLike(type, checks[type]!)
  return checks
}

const SPECIAL: Readonly<Record<string, PrimitiveCheck>> = {
  boolean: value => typeof value === 'boolean' ? undefined : 'must be true or false',
  decimal: value => typeof value === 'number' && Number.isFinite(value) ? undefined : 'must be a number',
  integer: whole(-2_147_483_648, 'a whole number of 32 bits'),
  unsignedInt: whole(0, 'a whole number from 0'),
  positiveInt: whole(1, 'a whole number from 1'),
  string: freeText,
  markdown: freeText,
  xhtml: narrative,
  uri: withoutSpace,
  url: withoutSpace,
  canonical: withoutSpace,
  // The pattern of R4 backtracks; this one does not.
  base64Binary: value => typeof value !== 'string' ? NOT_TEXT : value !== '' && /^[0-9A-Za-z+/\s]*={0,2}\s*$/.test(value) && value.replaceAll(/\s/g, '').length % 4 === 0 ? undefined : 'must be base64'
}

function whole (least: number, what: string): PrimitiveCheck {
  return value => typeof value === 'number' && Number.isInteger(value) && value >= least && value <= 2_147_483_647 ? undefined : `must be ${what}`
}

function freeText (value: unknown): string | undefined {
  if (typeof value !== 'string') return NOT_TEXT
  if (value.length > LENGTH_MAX) return 'is longer than 1 MB'
  if (!hasGlyph(value)) return 'must not be empty'
  return hasControl(value) ? 'holds a control character' : undefined
}

function hasGlyph (text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 32) return true
  return false
}

function hasControl (text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const symbol = text.charCodeAt(at)
    if (symbol < 32 && symbol !== 9 && symbol !== 10 && symbol !== 13) return true
  }
  return false
}

function withoutSpace (value: unknown): string | undefined {
  if (typeof value !== 'string') return NOT_TEXT
  if (value === '') return 'must not be empty'
  return /\s/.test(value) || hasControl(value) ? 'must not hold white space' : undefined
}

// txt-1 and txt-2 in short: XHTML that runs nothing and says something.
const ACTIVE = /<\s*\/?\s*(?:script|style|iframe|object|embed|form|input|button|link|meta|base|head|body|html|frame|svg|math|audio|video)\b|\son[a-z]+\s*=|javascript:/i

function narrative (value: unknown): string | undefined {
  if (typeof value !== 'string') return NOT_TEXT
  const text = value.trim()
  if (!/^<div[\s>]/.test(text) || !(text.endsWith('</div>') || text.endsWith('/>'))) return 'must be one <div>'
  if (ACTIVE.test(text)) return 'must hold nothing but text, pictures and their layout'
  return hasGlyph(text.replaceAll(/<(?!img)[^>]*>/g, '')) ? undefined : 'must not be empty'
}

function textLike (type: string, pattern: string): PrimitiveCheck {
  const expression = new RegExp(`^(?:${pattern})$`)
  const refusal = type === 'id' ? 'must be 1 to 64 letters, digits, - and .' : `must have the form of a ${type}`
  return value => {
    if (typeof value !== 'string') return NOT_TEXT
    return value.length <= LENGTH_MAX && expression.test(value) ? undefined : refusal
  }
}

function dateLike (type: string, form: PrimitiveCheck): PrimitiveCheck {
  return value => form(value) ?? (dateRange(leapless(value as string)) === undefined ? `must be a ${type} of the calendar` : undefined)
}

// The pattern allows a leap second, which no clock of ours writes.
function leapless (text: string): string { return text.replace(/:60(?=[.Z+-])/, ':59') }
