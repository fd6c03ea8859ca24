/** One run over one resource: where it stands, and what it found. */

import type { Finding } from '../outcome.ts'

export type Json = Record<string, unknown>

export interface Checking {
  /** The outermost resource. */
  root: Json
  /** Ways from the outermost resource to where the check stands: element names and positions. */
  path: (string | number)[]
  findings: Finding[]
  findingsMax: number
  /** Profile being checked; absent: base FHIR. */
  profile?: string
}

/** Notes a finding at the current place. Nothing of the resource's content may stand in `message`. */
export function report (at: Checking, code: Finding['code'], message: string, severity: Finding['severity'] = 'error'): void {
  if (at.findings.length >= at.findingsMax) return
  at.findings.push({ severity, code, message, expression: expressionOf(at.path), ...(at.profile === undefined ? {} : { profile: at.profile }) })
}

function expressionOf (path: readonly (string | number)[]): string {
  let text = ''
  for (const step of path) text += typeof step === 'number' ? `[${step}]` : text === '' ? step : `.${step}`
  return text
}

export function isObject (value: unknown): value is Json { return value !== null && typeof value === 'object' && !Array.isArray(value) }

export function listOf (value: unknown): unknown[] { return Array.isArray(value) ? value : value === undefined ? [] : [value] }

export function objectsOf (value: unknown): Json[] { return listOf(value).filter(isObject) }

/** Property of a choice that is present: `value` → `valueQuantity`. */
export function choiceKey (owner: Json, choice: string): string | undefined {
  for (const key in owner) {
    if (key.length > choice.length && key.startsWith(choice)) {
      const next = key.charCodeAt(choice.length)
      if (next >= 65 && next <= 90) return key
    }
  }
  return undefined
}

export function equalJson (one: unknown, other: unknown): boolean {
  if (one === other) return true
  if (Array.isArray(one)) return Array.isArray(other) && one.length === other.length && one.every((item, place) => equalJson(item, other[place]))
  if (!isObject(one) || !isObject(other)) return false
  const keys = Object.keys(one)
  return keys.length === Object.keys(other).length && keys.every(key => equalJson(one[key], other[key]))
}

/** Whether `value` holds at least `pattern`: each member of it, and for each item of a list one that matches (FHIR R4 pattern[x]). */
export function matchesPattern (value: unknown, pattern: unknown): boolean {
  if (Array.isArray(pattern)) return Array.isArray(value) && pattern.every(item => value.some(candidate => matchesPattern(candidate, item)))
  if (!isObject(pattern)) return value === pattern
  return isObject(value) && Object.keys(pattern).every(key => matchesPattern(value[key], pattern[key]))
}
