/** The differential of a profile → the rules it adds, by element and slice. */

import type { ElementDefinition, StructureDefinition } from '@medplum/fhirtypes'
import type { Profile, Rule, Slice } from '../../src/fhir/validation/definitions.ts'
import { targetsOf } from './compile-types.ts'
import { CORE, type Sources, withoutVersion } from './read-definitions.ts'

/** A rule that is being collected: slices keep their names, matches come last. */
interface Draft extends Omit<Rule, 'elements' | 'slices'> {
  elements: Map<string, Draft>
  slices: Map<string, Draft>
  discriminators: readonly string[]
  /** Definition of the extension that a slice stands for. */
  extension?: string
}

/** @param known canonical URLs of the profiles that are compiled as well */
export function compileProfile (structure: StructureDefinition, known: ReadonlySet<string>, sources: Sources): Profile {
  const root = draft('')
  const choices = choicesOf(structure, sources)
  for (const element of structure.differential?.element ?? []) apply(element, draftAt(element, root, choices), sources)
  const base = structure.baseDefinition!
  if (base !== CORE + structure.type && !known.has(base)) throw new Error(`${structure.url} derives from ${base}, which is not compiled`)
  return {
    name: structure.name,
    type: structure.type,
    ...(known.has(base) ? { base } : {}),
    rule: finish(root, structure.url!)
  }
}

function draft (name: string): Draft {
  // Extensions are sliced by their URL without saying so (R4, profiling §5.1.0.14).
  return { elements: new Map(), slices: new Map(), discriminators: name === 'extension' ? ['url'] : [] }
}

/** `valueQuantity` → its choice and type. Only what stands directly in a resource is written in this short form. */
function choicesOf (structure: StructureDefinition, sources: Sources): Map<string, { choice: string, type: string }> {
  const elements = sources.structures.get(CORE + structure.type)?.snapshot?.element ?? []
  return new Map(elements.filter(element => /^[A-Za-z]+\.[A-Za-z]+\[x\]$/.test(element.path)).flatMap(element => {
    const choice = element.path.slice(element.path.indexOf('.') + 1)
    return (element.type ?? []).map(({ code }) => [choice.slice(0, -3) + code[0]!.toUpperCase() + code.slice(1), { choice, type: code }] as const)
  }))
}

/** The place that an id like `Observation.category:telemetry.coding` names. */
function draftAt (element: ElementDefinition, root: Draft, choices: ReturnType<typeof choicesOf>): Draft {
  let at = root
  for (const part of element.id!.split('.').slice(1)) {
    const [name, slice] = part.split(':') as [string, string | undefined]
    const short = at === root ? choices.get(name) : undefined
    if (short !== undefined) {
      at = entry(at.elements, short.choice, name)
      at.types = [short.type]
      continue
    }
    at = entry(at.elements, name, name)
    if (slice !== undefined) at = entry(at.slices, slice, '')
  }
  return at
}

function entry (map: Map<string, Draft>, key: string, name: string): Draft {
  let found = map.get(key)
  if (found === undefined) {
    found = draft(name)
    map.set(key, found)
  }
  return found
}

function apply (element: ElementDefinition, at: Draft, sources: Sources): void {
  if ((element.min ?? 0) > 0) at.min = element.min!
  if (element.max !== undefined && element.max !== '*') at.max = Number(element.max)
  const targets = targetsOf(element.type ?? [], sources)
  if (targets !== undefined) at.targets = targets
  if (element.path.endsWith('[x]') && element.type !== undefined) at.types = element.type.map(type => type.code)
  const extension = element.type?.[0]?.code === 'Extension' ? element.type[0].profile?.[0] : undefined
  if (extension !== undefined) at.extension = extension
  if (element.binding?.strength === 'required' && element.binding.valueSet !== undefined) at.codes = withoutVersion(element.binding.valueSet)
  for (const [key, value] of Object.entries(element)) {
    if (key.startsWith('fixed')) at.fixed = value
    if (key.startsWith('pattern')) at.pattern = value
  }
  const invariants = (element.constraint ?? []).filter(constraint => constraint.severity === 'error').map(constraint => constraint.key!)
  if (invariants.length > 0) at.invariants = invariants
  if (element.slicing === undefined) return
  at.discriminators = (element.slicing.discriminator ?? []).map(({ type, path }) => {
    if (type !== 'value' && type !== 'pattern') throw new Error(`${element.id}: slices by ${type} are not compiled`)
    return path!
  })
  if (element.slicing.rules === 'closed') at.isClosed = true
}

function finish ({ elements, slices, discriminators, extension: _extension, ...rule }: Draft, where: string): Rule {
  const children = [...elements].map(([name, child]) => [name, finish(child, `${where} ${name}`)] as const)
  const parts = [...slices].map(([name, slice]): Slice => {
    const at = `${where}:${name}`
    return { name, match: matchOf(slice, discriminators, at), rule: finish(slice, at) }
  })
  const { isClosed, ...rest } = rule
  return {
    ...rest,
    ...(children.length === 0 ? {} : { elements: Object.fromEntries(children) }),
    ...(parts.length === 0 ? {} : { slices: parts }),
    ...(isClosed === undefined ? {} : { isClosed })
  }
}

function matchOf (slice: Draft, discriminators: readonly string[], where: string): Slice['match'] {
  if (discriminators.length === 0) throw new Error(`${where}: a slice needs a discriminator`)
  return discriminators.map(discriminator => {
    const path = discriminator === '$this' ? [] : discriminator.split('.')
    const pattern = discriminator === 'url' && slice.extension !== undefined ? slice.extension : valueAt(slice, path)
    if (pattern === undefined) throw new Error(`${where}: no fixed value or pattern at ${discriminator}`)
    return { path, pattern }
  })
}

/** What a draft fixes at a path, itself or inside a pattern further up. */
function valueAt (at: Draft, path: readonly string[]): unknown {
  const own = at.fixed ?? at.pattern
  if (own !== undefined) return inside(own, path)
  const [name, ...rest] = path
  const child = name === undefined ? undefined : at.elements.get(name)
  return child === undefined ? undefined : valueAt(child, rest)
}

function inside (value: unknown, path: readonly string[]): unknown {
  let at: unknown = value
  for (const name of path) {
    if (Array.isArray(at)) at = at[0]
    at = (at as Record<string, unknown> | undefined)?.[name]
  }
  return at
}
