/** The grammar of SMART scopes (smart.md §1.2): takes the text of a scope, gives what it grants; a text outside the grammar grants nothing. */

import { isResourceType } from './resource-types.ts'

export type ScopeContext = 'patient' | 'user' | 'system'

/** Create, read (also vread, instance history), update (also patch), delete, search (also type and system history). */
export type Letter = 'c' | 'r' | 'u' | 'd' | 's'

/** Ours, for what is not FHIR: sending telemetry, watching it live; reading and writing the schema registry. */
export const EXTENSION_SCOPES = ['__telemetry.write', '__telemetry.read', '__schemas.read', '__schemas.write'] as const
export type ExtensionScope = (typeof EXTENSION_SCOPES)[number]

export type ScopeParameter = 'category' | 'code' | 'device' | 'status' | 'type'

/** Granular parameter: one of the tokens must match. `system` absent: any; `''`: none. `code` absent: any of the system. */
export interface ScopeFilter {
  parameter: ScopeParameter
  anyOf: readonly { system?: string, code?: string }[]
}

export interface Grant {
  kind: 'grant'
  context: ScopeContext
  /** Resource type, or `*` for all, future ones too. */
  type: string
  /** As it was spelled: v2 letters, or `read`, `write`, `*` of v1. */
  permission: string
  /** What it means, in the order `cruds`. */
  letters: string
  /** As it was spelled, without `?`; `''` without granular parameters. */
  query: string
  /** All of them must hold. */
  filters: readonly ScopeFilter[]
}

export type Scope =
  | Grant
  | { kind: 'extension', name: ExtensionScope }
  /** Asks for launch context, identity or refresh; opens nothing here. */
  | { kind: 'context', name: string }

const SHAPE = /^(patient|user|system)\/([A-Z][A-Za-z]+|\*)\.(read|write|\*|(?=[cruds])c?r?u?d?s?)(?:\?(.+))?$/
const CONTEXT_SCOPE = /^(?:openid|fhirUser|profile|offline_access|online_access|launch|launch\/[a-z]+(?:\?role=[!-~]+)?)$/
const URI_PREFIX = 'http://smarthealthit.org/fhir/scopes/'
const V1: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' }

/** A parameter outside this list refuses its scope: ignoring it would widen the grant. */
const PARAMETERS: Readonly<Record<string, readonly ScopeParameter[]>> = {
  Observation: ['category', 'code', 'device', 'status'],
  Condition: ['category'],
  Device: ['type']
}

/** `undefined` for what is outside the grammar: out of order letters, unknown types, parameters that are not allowed. */
export function parseScope (text: string): Scope | undefined {
  if (isExtensionScope(text)) return { kind: 'extension', name: text }
  const plain = text.startsWith(URI_PREFIX) ? text.slice(URI_PREFIX.length) : text
  if (CONTEXT_SCOPE.test(plain)) return { kind: 'context', name: plain }
  const [, context, type, permission, query = ''] = SHAPE.exec(plain) ?? []
  if (type === undefined || permission === undefined || (type !== '*' && !isResourceType(type))) return undefined
  const filters = query === '' ? [] : parseFilters(type, query)
  if (filters === undefined) return undefined
  return { kind: 'grant', context: context as ScopeContext, type, permission, letters: V1[permission] ?? permission, query, filters }
}

/** Scopes of a space-separated list, in its order, and what of it is outside the grammar. */
export function parseScopes (list: string): { scopes: Scope[], dropped: string[] } {
  const scopes: Scope[] = []
  const dropped: string[] = []
  for (const text of list.split(' ').filter(part => part !== '')) {
    const scope = parseScope(text)
    if (scope === undefined) dropped.push(text)
    else scopes.push(scope)
  }
  return { scopes, dropped }
}

/** The spelling it was parsed from. */
export function printScope (scope: Scope): string {
  if (scope.kind !== 'grant') return scope.name
  const { context, type, permission, query } = scope
  return `${context}/${type}.${permission}${query === '' ? '' : `?${query}`}`
}

function isExtensionScope (text: string): text is ExtensionScope {
  return (EXTENSION_SCOPES as readonly string[]).includes(text)
}

function parseFilters (type: string, query: string): ScopeFilter[] | undefined {
  const filters = query.split('&').map(pair => parseFilter(PARAMETERS[type] ?? [], pair))
  if (!filters.every(filter => filter !== undefined)) return undefined
  const isRepeated = new Set(filters.map(({ parameter }) => parameter)).size < filters.length
  return isRepeated ? undefined : filters
}

function parseFilter (allowed: readonly ScopeParameter[], pair: string): ScopeFilter | undefined {
  const [, name = '', encoded = ''] = /^([a-z]+)=([!-~]+)$/.exec(pair) ?? []
  const parameter = allowed.find(candidate => candidate === name)
  const value = decode(encoded)
  if (parameter === undefined || value === undefined) return undefined
  const anyOf = splitUnescaped(value, ',').map(part => parseToken(parameter, part))
  return anyOf.every(token => token !== undefined) ? { parameter, anyOf } : undefined
}

function decode (encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return undefined
  }
}

/** Token search of FHIR R4 §3.1.1.4.10; `device` is a reference and stays whole. */
function parseToken (parameter: ScopeParameter, text: string): { system?: string, code?: string } | undefined {
  const parts = parameter === 'device' ? [text] : splitUnescaped(text, '|')
  const [first = '', second] = parts.map(part => part.replace(/\\([\\,|$])/g, '$1'))
  if (parts.length > 2 || (first === '' && (second === undefined || second === ''))) return undefined
  if (second === undefined) return { code: first }
  return second === '' ? { system: first } : { system: first, code: second }
}

function splitUnescaped (text: string, separator: ',' | '|'): string[] {
  const parts = ['']
  for (let i = 0; i < text.length; i++) {
    if (text[i] === separator) { parts.push(''); continue }
    const length = text[i] === '\\' ? 2 : 1
    parts[parts.length - 1] += text.slice(i, i + length)
    i += length - 1
  }
  return parts
}
