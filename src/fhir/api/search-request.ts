/** Query string and form body of a search → parameters with their modifiers and values, known ones apart from unknown ones. */

import { ServiceError } from '../../model/errors.ts'
import type { Token } from '../words/search-words.ts'

export interface SearchPair { name: string, modifier?: string, value: string }

export interface SearchRequest {
  /** Known parameters in the order sent. */
  pairs: readonly SearchPair[]
  /** Names that were ignored under `Prefer: handling=lenient`. */
  ignored: readonly string[]
}

export interface SearchLimits {
  /** Most parameters, and most values in one parameter. */ valuesMax: number
  /** Most characters in query and body together. */ lengthMax: number
}

export const SEARCH_LIMITS: SearchLimits = { valuesMax: 200, lengthMax: 16_384 }

const ANYWHERE: ReadonlySet<string> = new Set(['_format', '_pretty'])

/** @param known parameters of the type. Unknown ones are refused, or ignored when `lenient`.
 *  @throws ServiceError incorrect FHIR_PARAMETER */
export function parseSearchRequest (
  sent: { query: string, form?: string },
  known: ReadonlySet<string>,
  options: { lenient: boolean, limits?: SearchLimits }
): SearchRequest {
  const limits = options.limits ?? SEARCH_LIMITS
  if (sent.query.length + (sent.form?.length ?? 0) > limits.lengthMax) throw refused(`the search is longer than ${limits.lengthMax} characters`)
  const pairs: SearchPair[] = []
  const ignored = new Set<string>()
  for (const [key, value] of merged(sent.query, sent.form)) {
    // PostgreSQL has no text with U+0000.
    if (key.includes('\0') || value.includes('\0')) throw refused('a name or value holds the character U+0000, which stands in no text here')
    const colon = key.indexOf(':')
    const name = colon < 0 ? key : key.slice(0, colon)
    if (ANYWHERE.has(name)) continue
    if (!known.has(name)) {
      if (!options.lenient) throw refused(`the parameter ${printable(name)} is not supported here: see the CapabilityStatement, or send Prefer: handling=lenient`)
      ignored.add(printable(name))
      continue
    }
    // R4 search 3.1.1.4.1 lets an empty value be passed over: a client that lost its patient's id would then read about everybody.
    if (value === '') {
      if (!options.lenient) throw refused(`the parameter ${printable(name)} has no value: leave it out, or send Prefer: handling=lenient`)
      ignored.add(printable(name))
      continue
    }
    pairs.push(colon < 0 ? { name, value } : { name, modifier: key.slice(colon + 1), value })
  }
  if (pairs.length > limits.valuesMax) throw refused(`the search has more than ${limits.valuesMax} parameters`)
  for (const pair of pairs) if (splitEscaped(pair.value, ',').length > limits.valuesMax) throw refused(`${pair.name} has more than ${limits.valuesMax} values`)
  return { pairs, ignored: [...ignored] }
}

// smart.md §6 rule 5: the same parameter in URL and body may not differ.
function merged (query: string, form: string | undefined): (readonly [string, string])[] {
  const inUrl = [...new URLSearchParams(query)]
  if (form === undefined) return inUrl
  const inBody = [...new URLSearchParams(form)]
  const bodyKeys = new Set(inBody.map(([key]) => key))
  for (const key of new Set(inUrl.map(([name]) => name))) {
    if (bodyKeys.has(key) && valuesOf(inUrl, key) !== valuesOf(inBody, key)) throw refused(`${printable(key)} differs between URL and body`)
  }
  return [...inUrl.filter(([key]) => !bodyKeys.has(key)), ...inBody]
}

function valuesOf (pairs: readonly (readonly [string, string])[], key: string): string {
  return JSON.stringify(pairs.filter(([name]) => name === key).map(([, value]) => value).sort())
}

/** The values of a pair, unescaped; `a,b` is any of a and b. */
export function valuesOfPair (pair: SearchPair): string[] {
  return splitEscaped(pair.value, ',').filter(part => part !== '').map(unescaped)
}

/** `system|code`, `|code`, `system|` or `code`. */
export function parseTokens (pair: SearchPair): Token[] {
  if (pair.modifier !== undefined) throw refusedModifier(pair)
  return splitEscaped(pair.value, ',').filter(part => part !== '').map(part => {
    const bar = splitEscaped(part, '|')
    if (bar.length > 2) throw refused(`${pair.name}: a token has one bar`)
    if (bar.length === 1) return { code: unescaped(bar[0]!) }
    const system = unescaped(bar[0]!)
    const code = unescaped(bar[1]!)
    if (code !== '') return { system, code }
    if (system === '') throw refused(`${pair.name}: a token has a system or a code`)
    return { system }
  })
}

/** Ids behind `Type/id`, `id`, or an absolute reference below `baseUrl`; types outside `types` are refused.
 *  @param fallback the type meant by a bare id; several: each of them */
export function parseReferences<T extends string> (pair: SearchPair, types: readonly T[], fallback: readonly T[], baseUrl: string): { type: T, id: string, versionId?: string }[] {
  const assumed = pair.modifier === undefined ? fallback : types.filter(type => type === pair.modifier)
  if (assumed.length === 0) throw refusedModifier(pair)
  return valuesOfPair(pair).flatMap(value => {
    const local = value.startsWith(`${baseUrl}/`) ? value.slice(baseUrl.length + 1) : value
    const match = /^(?:([A-Z][A-Za-z]+)\/)?([A-Za-z0-9\-.]{1,64})(?:\/_history\/([A-Za-z0-9\-.]{1,64}))?$/.exec(local)
    if (match === null) throw refused(`${pair.name}: a reference is an id or ${types.join('/…, ')}/…`)
    const [, named, id, versionId] = match
    if (named !== undefined && pair.modifier !== undefined && named !== pair.modifier) throw refused(`${pair.name}: the value names another type than its modifier`)
    const meant = named === undefined ? assumed : types.filter(type => type === named)
    if (meant.length === 0) throw refused(`${pair.name}: a reference is an id or ${types.join('/…, ')}/…`)
    return meant.map(type => ({ type, id: id!, ...(versionId === undefined ? {} : { versionId }) }))
  })
}

export function refused (message: string): ServiceError { return new ServiceError('incorrect', 'FHIR_PARAMETER', message) }

export function refusedModifier (pair: SearchPair): ServiceError {
  return refused(`the modifier :${printable(pair.modifier ?? '')} is not supported on ${pair.name}`)
}

// What came from the caller is shown only when it looks like a name.
function printable (name: string): string { return /^[A-Za-z0-9_\-.]{1,64}$/.test(name) ? name : '(unreadable)' }

function splitEscaped (text: string, separator: string): string[] {
  const parts = ['']
  for (let at = 0; at < text.length; at++) {
    const symbol = text[at]!
    if (symbol === '\\' && at + 1 < text.length) parts[parts.length - 1] += symbol + text[++at]!
    else if (symbol === separator) parts.push('')
    else parts[parts.length - 1] += symbol
  }
  return parts
}

function unescaped (text: string): string { return text.replaceAll(/\\([\\,|$])/g, '$1') }
