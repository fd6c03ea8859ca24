/** Rules of a profile → a function that checks what they add to R4 on a well-formed resource or extension. */

import { createMembership } from './code-checks.ts'
import { choiceName } from './check-type.ts'
import type { Definitions, Profile, Rule, Slice } from './definitions.ts'
import { IN_CODE_ONLY, PROFILE_INVARIANTS } from './profile-invariants.ts'
import { targetType } from './reference-target.ts'
import { equalJson, holdsPattern, isNode, listOf, type Node, type Walk } from './walk.ts'

export type RuleCheck = (value: unknown, walk: Walk) => void

interface Workshop {
  definitions: Definitions
  resources: ReadonlySet<string>
}

/** Checks of a profile and of those it derives from; findings name the profile that demands it. @param url one of `definitions.profiles` */
export function compileProfile (url: string, definitions: Definitions): RuleCheck {
  const shop = { definitions, resources: new Set(definitions.resources) }
  const profiles: [string, Profile][] = []
  for (let at: string | undefined = url; at !== undefined; at = definitions.profiles[at]!.base) profiles.unshift([at, definitions.profiles[at]!])
  const checks = profiles.map(([name, { rule, type }]) => {
    const extra = IN_CODE_ONLY[name]
    const whole = extra === undefined ? rule : { ...rule, invariants: [...rule.invariants ?? [], ...extra] }
    return { name, check: compileRule(whole, type, shop) }
  })
  return (value, walk) => {
    const outer = walk.profile
    for (const { name, check } of checks) {
      walk.profile = name
      check(value, walk)
    }
    walk.profile = outer
  }
}

const NOT_FIXED = 'must have the fixed value of the profile'
const NOT_OF_PATTERN = 'must hold the pattern of the profile'

function compileRule (rule: Rule, type: string, shop: Workshop): RuleCheck {
  const { codes, fixed, pattern, targets } = rule
  const checks: RuleCheck[] = []
  if (targets !== undefined) checks.push(targetCheck(new Set(targets), shop.resources))
  if (fixed !== undefined) checks.push((value, walk) => { if (!equalJson(value, fixed)) walk.error('value', NOT_FIXED) })
  if (pattern !== undefined) checks.push((value, walk) => { if (!holdsPattern(value, pattern)) walk.error('value', NOT_OF_PATTERN) })
  const valueSet = codes === undefined ? undefined : shop.definitions.valueSets[codes]
  if (valueSet !== undefined) {
    const isMember = createMembership(valueSet)
    checks.push((value, walk) => { if (!isMember(value)) walk.error('code-invalid', 'must be a code of the value set that the profile requires') })
  }
  const known = shop.definitions.types[type]?.elements
  for (const [name, child] of Object.entries(rule.elements ?? {})) {
    if (known?.[name] !== undefined) checks.push(compileElement(name, child, type, shop))
  }
  for (const key of rule.invariants ?? []) {
    const { holds, says } = PROFILE_INVARIANTS[key]!
    checks.push((value, walk) => { if (!holds(value)) walk.error('invariant', `${says} (${key})`) })
  }
  return (value, walk) => { for (const check of checks) check(value, walk) }
}

function targetCheck (targets: ReadonlySet<string>, resources: ReadonlySet<string>): RuleCheck {
  return (value, walk) => {
    if (!isNode(value) || typeof value['reference'] !== 'string') return
    const named = targetType(value['reference'], resources)
    if (named !== undefined && named !== '' && !targets.has(named)) walk.errorAt('reference', 'value', `must name ${[...targets].join(' or ')}`)
  }
}

/** One form of an element: its property and, for a choice, its type. */
interface Form { name: string, isAllowed: boolean, check: RuleCheck }

/** Form that stands in the element; `undefined`: none does. */
type FindForm = (owner: Node) => Form | undefined

function compileElement (name: string, rule: Rule, owner: string, shop: Workshop): RuleCheck {
  const { types } = shop.definitions.types[owner]!.elements[name]!
  const isChoice = name.endsWith('[x]')
  const step = isChoice ? name.slice(0, -3) : name
  const forms: Form[] = types.map(type => ({
    name: isChoice ? choiceName(step, type) : name,
    isAllowed: rule.types === undefined || rule.types.includes(type),
    check: compileRule(rule, type, shop)
  }))
  const find = isChoice ? findChoice(forms) : findOnly(forms[0]!)
  const slicing = compileSlicing(rule.slices ?? [], types[0]!, shop)
  return (value, walk) => {
    if (!isNode(value)) return
    const form = find(value)
    walk.steps.push(step)
    checkElement(rule, form, form === undefined ? undefined : value[form.name], slicing, walk)
    walk.steps.pop()
  }
}

// A primitive may stand with its extensions only, as `_name`.
function findOnly (form: Form): FindForm {
  const beside = `_${form.name}`
  return owner => owner[form.name] !== undefined || owner[beside] !== undefined ? form : undefined
}

function findChoice (forms: readonly Form[]): FindForm {
  const named = new Map(forms.flatMap(form => [[form.name, form], [`_${form.name}`, form]] as const))
  return owner => {
    for (const name in owner) {
      const form = named.get(name)
      if (form !== undefined) return form
    }
    return undefined
  }
}

function checkElement (rule: Rule, form: Form | undefined, value: unknown, slicing: Slicing | undefined, walk: Walk): void {
  const count = form === undefined ? 0 : Array.isArray(value) ? value.length : 1
  checkCount(rule, count, walk)
  if (form?.isAllowed === false) walk.error('structure', `must be ${(rule.types ?? []).join(' or ')}`)
  else if (form !== undefined) {
    if (Array.isArray(value)) {
      for (let place = 0; place < value.length; place++) {
        walk.steps.push(place)
        form.check(value[place], walk)
        walk.steps.pop()
      }
    } else if (value !== undefined) form.check(value, walk)
  }
  if (slicing !== undefined) checkSlices(slicing, listOf(value), rule.isClosed === true, walk)
}

function checkCount ({ min = 0, max }: Rule, count: number, walk: Walk, slice?: string): void {
  const of = slice === undefined ? '' : ` (${slice})`
  if (count < min) walk.error('required', count === 0 ? `is missing${of}` : `must stand at least ${min} times${of}`)
  if (max !== undefined && count > max) walk.error('structure', max === 0 ? `must not stand here${of}` : `must not stand more than ${max} times${of}`)
}

interface SliceCheck {
  slice: Slice
  matches: (item: unknown) => boolean
  check: RuleCheck
}

interface Slicing {
  slices: readonly SliceCheck[]
  /** Place of the slice that the item is of; -1: none. */
  find: (item: unknown) => number
}

function compileSlicing (slices: readonly Slice[], type: string, shop: Workshop): Slicing | undefined {
  if (slices.length === 0) return undefined
  const checks = slices.map(slice => compileSlice(slice, type, shop))
  const [name] = slices[0]!.match[0]!.path
  // Nearly all slices are told apart by one text: extensions by their URL.
  const isByText = name !== undefined && slices.every(({ match: [first, ...more] }) =>
    more.length === 0 && first!.path.length === 1 && first!.path[0] === name && typeof first!.pattern === 'string')
  if (!isByText) return { slices: checks, find: item => checks.findIndex(({ matches }) => matches(item)) }
  const places = new Map(slices.map(({ match }, place) => [match[0]!.pattern, place]))
  return { slices: checks, find: item => isNode(item) ? places.get(item[name]) ?? -1 : -1 }
}

function compileSlice (slice: Slice, type: string, shop: Workshop): SliceCheck {
  const tests = slice.match.map(({ path, pattern }) => (item: unknown) => valuesAt(item, path).some(value => holdsPattern(value, pattern)))
  return { slice, matches: item => tests.every(test => test(item)), check: compileRule(withoutMatched(slice), type, shop) }
}

/** The rule of a slice without what its items have because they are of the slice. */
function withoutMatched ({ rule, match }: Slice): Rule {
  const matched = new Set(match.flatMap(({ path }) => path.length === 1 ? [path[0]] : []))
  if (rule.elements === undefined) return rule
  return { ...rule, elements: Object.fromEntries(Object.entries(rule.elements).filter(([name]) => !matched.has(name))) }
}

function valuesAt (item: unknown, path: readonly string[]): readonly unknown[] {
  let values: readonly unknown[] = [item]
  for (const name of path) values = values.flatMap(value => isNode(value) ? listOf((value as Node)[name]) : [])
  return values
}

function checkSlices ({ slices, find }: Slicing, items: readonly unknown[], isClosed: boolean, walk: Walk): void {
  const counts = new Uint32Array(slices.length)
  for (let place = 0; place < items.length; place++) {
    const item = items[place]
    const found = find(item)
    if (found < 0 && !isClosed) continue
    walk.steps.push(place)
    if (found < 0) walk.error('structure', 'is none of the items that may stand here')
    else {
      counts[found]!++
      slices[found]!.check(item, walk)
    }
    walk.steps.pop()
  }
  for (let place = 0; place < slices.length; place++) checkCount(slices[place]!.slice.rule, counts[place]!, walk, slices[place]!.slice.name)
}
