/** One walk over one resource: where it stands, and what it found. */

import type { Finding } from './finding.ts'

/** A JSON object. */
export type Node = Readonly<Record<string, unknown>>

export function isNode (value: unknown): value is Node { return typeof value === 'object' && value !== null && !Array.isArray(value) }

export type Step = string | number

/** More steps than any resource needs; deeper ones are not followed. */
export const STEPS_MAX = 100

export class Walk {
  readonly findings: Finding[] = []
  readonly findingsMax: number
  /** Errors of base FHIR, also those beyond `findingsMax`: what follows looks only at what is well-formed. */
  errorCount = 0
  /** Canonical URL of what is being checked; `undefined`: base FHIR. */
  profile: string | undefined = undefined
  /** The resource in which `#id` is looked up. */
  container: Node
  /** The profile that allows listed codes only; `undefined`: any code may stand. */
  codesOf: string | undefined = undefined
  readonly steps: Step[] = []

  constructor (resource: Node, findingsMax: number) {
    this.container = resource
    this.findingsMax = findingsMax
  }

  /** A finding at the current place; nothing of the content may stand in `message`. */
  error (code: Finding['code'], message: string, profile = this.profile): void {
    if (profile === undefined) this.errorCount++
    this.add('error', code, message, profile)
  }

  inform (message: string): void { this.add('information', 'informational', message, this.profile) }

  /** The same, at an element below. */
  errorAt (step: Step, code: Finding['code'], message: string): void {
    this.steps.push(step)
    this.error(code, message)
    this.steps.pop()
  }

  private add (severity: Finding['severity'], code: Finding['code'], message: string, profile: string | undefined): void {
    if (this.findings.length >= this.findingsMax) return
    this.findings.push({ severity, code, message, expression: expressionOf(this.steps), ...(profile === undefined ? {} : { profile }) })
  }
}

/** FHIRPath-like: `Observation.component[1].value`. */
function expressionOf (steps: readonly Step[]): string {
  let text = ''
  for (const step of steps) text += typeof step === 'number' ? `[${step}]` : text === '' ? step : `.${step}`
  return text
}

/** Whether an element stands there, as a value or, for a primitive, with extensions only. @param name one of the names in our rules */
export function has (node: Node, name: string): boolean { return node[name] !== undefined || node[besideOf(name)] !== undefined }

/** A name put together anew is slow to look up. */
const BESIDE = new Map<string, string>()

function besideOf (name: string): string {
  let beside = BESIDE.get(name)
  if (beside === undefined) {
    beside = `_${name}`
    BESIDE.set(name, beside)
  }
  return beside
}

/** Name of the form of a choice that stands there: `value` → `valueQuantity`. */
export function choiceOf (node: Node, choice: string): string | undefined {
  const first = choice.charCodeAt(0)
  for (const name in node) {
    const start = name.charCodeAt(0)
    if (start !== first && start !== 95) continue
    const from = start === 95 ? 1 : 0
    if (name.length <= choice.length + from || !name.startsWith(choice, from)) continue
    const next = name.charCodeAt(choice.length + from)
    if (next >= 65 && next <= 90) return name.slice(from)
  }
  return undefined
}

/** Items of a list, or the one value; [] when absent. */
export function listOf (value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  return value === undefined || value === null ? [] : [value]
}

/** Of a CodeableConcept. */
export function codings (concept: unknown): readonly Node[] { return isNode(concept) ? nodesOf(concept['coding']) : [] }

export function nodesOf (value: unknown): readonly Node[] { return listOf(value).filter(isNode) }

export function equalJson (one: unknown, other: unknown): boolean {
  if (one === other) return true
  if (Array.isArray(one)) return Array.isArray(other) && one.length === other.length && one.every((item, place) => equalJson(item, other[place]))
  if (!isNode(one) || !isNode(other)) return false
  const names = Object.keys(one)
  return names.length === Object.keys(other).length && names.every(name => equalJson(one[name], other[name]))
}

/** Whether `value` holds at least `pattern`: each member, and for each item of a list one that matches (FHIR R4, ElementDefinition.pattern[x]). */
export function holdsPattern (value: unknown, pattern: unknown): boolean {
  if (Array.isArray(pattern)) return Array.isArray(value) && pattern.every(item => value.some(candidate => holdsPattern(candidate, item)))
  if (!isNode(pattern)) return value === pattern
  if (!isNode(value)) return false
  for (const name in pattern) if (!holdsPattern(value[name], pattern[name])) return false
  return true
}
