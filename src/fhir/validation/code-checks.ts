/** Codes: membership in required value sets, and what can be said of codes and units without a terminology server. */

import { isAllowedCode, LOINC, MDC, SNOMED, UCUM } from '../words/code-allow-list.ts'
import { isNode, type Node, nodesOf, type Walk } from './walk.ts'

type ValueSet = Readonly<Record<string, readonly string[]>>

/** Whether a code, Coding, Quantity or CodeableConcept is of the set; a concept needs one coding that is. */
export function createMembership (valueSet: ValueSet): (value: unknown) => boolean {
  const bySystem = new Map(Object.entries(valueSet).map(([system, codes]) => [system, new Set(codes)]))
  const any = new Set([...bySystem.values()].flatMap(codes => [...codes]))
  const hasCode = ({ system, code }: Node): boolean => bySystem.get(system as string)?.has(code as string) === true
  return value => {
    if (typeof value === 'string') return any.has(value)
    if (!isNode(value)) return false
    return value['code'] !== undefined || value['system'] !== undefined ? hasCode(value) : nodesOf(value['coding']).some(hasCode)
  }
}

const LISTED: ReadonlySet<string> = new Set([LOINC, MDC, SNOMED])

/** @param coding well-formed */
export function checkCoding ({ system, code }: Node, walk: Walk): void {
  if (typeof system !== 'string' || typeof code !== 'string') return
  if (system === UCUM && !isUcum(code)) walk.errorAt('code', 'code-invalid', 'is no UCUM code')
  if (system === LOINC && !isLoinc(code)) walk.errorAt('code', 'code-invalid', 'is no LOINC code: its check digit is wrong')
  if (walk.codesOf !== undefined && LISTED.has(system) && !isAllowedCode(system, code)) {
    walk.error('code-invalid', 'is not on the list of LOINC, MDC and SNOMED codes that may be emitted', walk.codesOf)
  }
}

/** Number and check digit (mod 10, LOINC Users' Guide appendix), or a part, answer or list of LOINC. */
function isLoinc (code: string): boolean {
  if (!/^\d{1,7}-\d$/.test(code)) return /^(?:LP|LA|LL|LG)\d+-\d$/.test(code)
  let sum = 0
  for (let place = code.length - 3, isDoubled = true; place >= 0; place--, isDoubled = !isDoubled) {
    const digit = code.charCodeAt(place) - 48
    const weighted = isDoubled ? digit * 2 : digit
    sum += weighted > 9 ? weighted - 9 : weighted
  }
  return (10 - sum % 10) % 10 === code.charCodeAt(code.length - 1) - 48
}

/** Often met, and no UCUM: fine as `unit`, wrong as `code`. */
const NOT_UCUM: ReadonlySet<string> = new Set(['mmHg', 'mmhg', 'torr', 'Torr', 'cmH2O', 'sec', 'secs', 'hr', 'hrs', 'bpm', 'percent', 'degC'])
const PRINTABLE = /^[!-~]+$/

function isUcum (code: string): boolean { return !NOT_UCUM.has(code) && PRINTABLE.test(code) }

/** @param quantity well-formed */
export function checkUnit ({ system, code }: Node, walk: Walk): void {
  if (system === UCUM && typeof code === 'string' && !isUcum(code)) walk.errorAt('code', 'code-invalid', 'is no UCUM code')
}
