/** Types of R4 → one function each that checks a JSON object: properties, counts, forms, bindings, references, invariants. */

import { checkCoding, checkUnit, createMembership } from './code-checks.ts'
import type { Definitions, Element } from './definitions.ts'
import { CHECKED_ELSEWHERE, IN_WORDS_OF, type Invariant, INVARIANTS } from './invariants.ts'
import { createPrimitiveChecks, type PrimitiveCheck } from './primitive-checks.ts'
import { checkTarget } from './reference-target.ts'
import { isNode, type Node, STEPS_MAX, type Walk } from './walk.ts'

export type Check = (value: unknown, walk: Walk) => void

export interface TypeChecks {
  /** Check of a datatype, resource or part of one; made at first use. */
  of (type: string): Check
  isResource (type: unknown): type is string
}

/** Every property that an element may stand under. */
interface Property {
  /** What findings call it: the element without the type of a choice. */
  step: string
  isList: boolean
  isPrimitive: boolean
  /** Of elements that must stand or may stand in one form only; else 0. */
  bit: number
  isChoice: boolean
  check: Check
}

interface Compiled {
  type: string
  isResource: boolean
  properties: ReadonlyMap<string, Property>
  required: readonly { step: string, bit: number }[]
  invariants: readonly (Invariant & { key: string })[]
  /** Of what stands beside a primitive. */
  checkElement: Check
}

export interface TypeOptions {
  /** Called with each well-formed extension. */
  onExtension: (extension: Node, walk: Walk) => void
  /** Called with each well-formed resource, contained ones as well. */
  onResource: (resource: Node, walk: Walk) => void
  /** The profile of the resource that allows listed codes only. */
  codesOf: (resource: Node) => string | undefined
}

export function createTypeChecks (definitions: Definitions, options: TypeOptions): TypeChecks {
  const made = new Map<string, Check>()
  const primitives = createPrimitiveChecks(definitions.primitives)
  const checks: TypeChecks = {
    isResource: (type): type is string =>
      typeof type === 'string' && Object.hasOwn(definitions.types, type) && definitions.types[type]!.isResource === true,
    of: type => {
      let check = made.get(type)
      if (check === undefined) {
        const compiled = compileType(type, { definitions, primitives, checks, resources: new Set(definitions.resources), options })
        check = compiled.isResource ? resourceCheck(compiled, options) : (value, walk) => { checkNode(compiled, value, walk, options) }
        made.set(type, check)
      }
      return check
    }
  }
  return checks
}

interface Workshop {
  definitions: Definitions
  primitives: ReadonlyMap<string, PrimitiveCheck>
  checks: TypeChecks
  resources: ReadonlySet<string>
  options: TypeOptions
}

function compileType (type: string, shop: Workshop): Compiled {
  const definition = shop.definitions.types[type]!
  const properties = new Map<string, Property>()
  const required: { step: string, bit: number }[] = []
  let nextBit = 1
  for (const [name, element] of Object.entries(definition.elements)) {
    const isChoice = name.endsWith('[x]')
    const step = isChoice ? name.slice(0, -3) : name
    const bit = isChoice || element.min === 1 ? nextBit : 0
    if (bit !== 0) nextBit *= 2
    if (element.min === 1) required.push({ step, bit })
    for (const form of element.types) {
      properties.set(isChoice ? choiceName(step, form) : name, {
        step, bit, isChoice, isList: element.isList === true, isPrimitive: shop.primitives.has(form), check: compileElement(form, element, shop)
      })
    }
  }
  const keys = [...definition.invariants ?? [], ...IN_WORDS_OF[type] ?? []]
  return {
    type, properties, required,
    isResource: definition.isResource === true,
    invariants: keys.map(key => ({ key, ...INVARIANTS[key]! })),
    checkElement: (value, walk) => { shop.checks.of('Element')(value, walk) }
  }
}

/** `value` and `dateTime` → `valueDateTime`. */
export function choiceName (choice: string, type: string): string { return choice + type[0]!.toUpperCase() + type.slice(1) }

function compileElement (type: string, element: Element, shop: Workshop): Check {
  const check = withBinding(compileForm(type, element, shop), element, shop)
  const own = (element.invariants ?? []).filter(key => !CHECKED_ELSEWHERE.includes(key)).map(key => ({ key, ...INVARIANTS[key]! }))
  if (own.length === 0) return check
  return (value, walk) => {
    const before = walk.errorCount
    check(value, walk)
    if (walk.errorCount === before) for (const invariant of own) checkInvariant(invariant, value as Node, walk)
  }
}

function compileForm (type: string, element: Element, shop: Workshop): Check {
  const primitive = shop.primitives.get(type)
  if (primitive !== undefined) {
    return (value, walk) => {
      const problem = primitive(value)
      if (problem !== undefined) walk.error('value', problem)
    }
  }
  if (type === 'Resource') return (value, walk) => { checkResource(value, walk, shop.checks) }
  // Types hold each other: each is made when it is first met.
  let check: Check | undefined
  const checkType: Check = (value, walk) => {
    check ??= shop.checks.of(type)
    check(value, walk)
  }
  return type === 'Reference' ? withTarget(checkType, element, shop) : checkType
}

function withBinding (check: Check, element: Element, shop: Workshop): Check {
  const valueSet = element.codes === undefined ? undefined : shop.definitions.valueSets[element.codes]
  if (valueSet === undefined) return check
  const isMember = createMembership(valueSet)
  return (value, walk) => {
    const before = walk.errorCount
    check(value, walk)
    if (walk.errorCount === before && !isMember(value)) walk.error('code-invalid', 'must be a code of the required value set')
  }
}

function withTarget (check: Check, { targets }: Element, shop: Workshop): Check {
  const allowed = targets === undefined ? undefined : new Set(targets)
  return (value, walk) => {
    const before = walk.errorCount
    check(value, walk)
    if (walk.errorCount === before) checkTarget(value as Node, allowed, shop.resources, walk)
  }
}

/** A resource inside another: contained, or in an entry of a Bundle. */
function checkResource (value: unknown, walk: Walk, checks: TypeChecks): void {
  if (!isNode(value)) {
    walk.error('structure', 'must be a resource')
    return
  }
  const type = value['resourceType']
  if (!checks.isResource(type)) {
    walk.error('not-supported', 'must be a resource of a type that this server can check')
    return
  }
  const { container } = walk
  const isContained = walk.steps.at(-2) === 'contained'
  if (isContained && value['id'] === undefined) walk.errorAt('id', 'required', 'is missing: a contained resource is named by it')
  if (!isContained) walk.container = value
  checks.of(type)(value, walk)
  walk.container = container
}

function resourceCheck (compiled: Compiled, options: TypeOptions): Check {
  return (value, walk) => {
    const outer = walk.codesOf
    if (isNode(value)) walk.codesOf = options.codesOf(value)
    checkNode(compiled, value, walk, options)
    walk.codesOf = outer
  }
}

function checkNode (compiled: Compiled, value: unknown, walk: Walk, options: TypeOptions): void {
  if (!isNode(value)) {
    walk.error('structure', 'must be an object')
    return
  }
  if (walk.steps.length > STEPS_MAX) {
    walk.error('too-long', 'is nested too deeply')
    return
  }
  const before = walk.errorCount
  const { properties, required, invariants, type } = compiled
  let seen = 0
  let place = 0
  let count = 0
  for (const name in value) {
    place++
    const property = properties.get(name)
    if (property === undefined) {
      if (name === 'resourceType' && compiled.isResource) continue
      seen = checkUnlisted(name, place, seen, value, compiled, walk)
      count++
      continue
    }
    if (name !== 'id' || type === 'Element') count++
    if (property.bit !== 0) {
      if (property.isChoice && (seen & property.bit) !== 0) walk.errorAt(property.step, 'structure', 'may stand in one form only')
      seen |= property.bit
    }
    walk.steps.push(property.step)
    if (property.isList) checkList(property, value[name], value, name, walk)
    else property.check(value[name], walk)
    walk.steps.pop()
  }
  if (count === 0 && !compiled.isResource) walk.error('invariant', 'must not be empty (ele-1)')
  for (const { step, bit } of required) if ((seen & bit) === 0) walk.errorAt(step, 'required', 'is missing')
  if (walk.errorCount !== before) return
  if (type === 'Coding') checkCoding(value, walk)
  else if (type === 'Quantity' || type === 'SimpleQuantity' || type === 'Duration') checkUnit(value, walk)
  for (const invariant of invariants) checkInvariant(invariant, value, walk)
  if (type === 'Extension') options.onExtension(value, walk)
  else if (compiled.isResource) options.onResource(value, walk)
}

function checkInvariant (invariant: Invariant & { key: string }, value: Node, walk: Walk): void {
  if (!invariant.holds(value, walk)) walk.error('invariant', `${invariant.says} (${invariant.key})`)
}

function checkList (property: Property, value: unknown, owner: Node, name: string, walk: Walk): void {
  if (!Array.isArray(value)) {
    walk.error('structure', 'must be an array')
    return
  }
  if (value.length === 0) {
    walk.error('structure', 'must not be an empty array')
    return
  }
  const extensions = property.isPrimitive ? owner[`_${name}`] : undefined
  for (let place = 0; place < value.length; place++) {
    const item: unknown = value[place]
    // A primitive that has only extensions keeps its place by null (R4 json, §2.6.2.3).
    if (item === null && Array.isArray(extensions) && isNode(extensions[place])) continue
    walk.steps.push(place)
    property.check(item, walk)
    walk.steps.pop()
  }
}

/** `_name` beside a primitive, or a property that R4 does not know. @returns what has been seen */
function checkUnlisted (name: string, place: number, seen: number, owner: Node, compiled: Compiled, walk: Walk): number {
  const property = name.startsWith('_') ? compiled.properties.get(name.slice(1)) : undefined
  if (property?.isPrimitive !== true) {
    // The name is not repeated: it may be anybody's data.
    walk.error('structure', `property ${place} is not defined in FHIR R4 for ${compiled.type}`)
    return seen
  }
  const hasValue = owner[name.slice(1)] !== undefined
  if (!hasValue && property.isChoice && (seen & property.bit) !== 0) walk.errorAt(property.step, 'structure', 'may stand in one form only')
  walk.steps.push(property.step)
  if (property.isList) checkExtensionList(owner[name], owner[name.slice(1)], compiled.checkElement, walk)
  else checkBeside(owner[name], hasValue, compiled.checkElement, walk)
  walk.steps.pop()
  return seen | property.bit
}

function checkExtensionList (value: unknown, primitive: unknown, checkElement: Check, walk: Walk): void {
  if (!Array.isArray(value) || value.length === 0 || (Array.isArray(primitive) && primitive.length !== value.length)) {
    walk.error('structure', 'values and their extensions must be arrays of one length')
    return
  }
  for (const [place, item] of value.entries()) {
    const hasValue = Array.isArray(primitive) && primitive[place] !== null
    if (item === null && hasValue) continue
    walk.steps.push(place)
    checkBeside(item, hasValue, checkElement, walk)
    walk.steps.pop()
  }
}

/** Id and extensions of a primitive. */
function checkBeside (value: unknown, hasValue: boolean, checkElement: Check, walk: Walk): void {
  if (isNode(value) && !hasValue && value['extension'] === undefined) walk.error('invariant', 'must have a value or extensions (ele-1)')
  else checkElement(value, walk)
}
