/** R4 definitions and the profiles of this folder → `src/fhir/validation/definitions.generated.json`. Run: `npx node fhir-profiles/compile.ts`. */

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Constraint, Definitions, ElementDefinition } from '../src/fhir/validation/definitions.ts'
import { type Element, readSources, type Sources, type Structure, type Typed } from './sources.ts'

/** What is written here, what stands in it as contained resource, and what is emitted. */
const RESOURCES = [
  'Patient', 'Device', 'DeviceMetric', 'DeviceUseStatement', 'Observation', 'Provenance',
  'Organization', 'Practitioner', 'PractitionerRole', 'RelatedPerson', 'Location'
]
const BASE = 'http://hl7.org/fhir/StructureDefinition/'
const HL7_PROFILES = [`${BASE}oxygensat`]
const OUTPUT = fileURLToPath(new URL('../src/fhir/validation/definitions.generated.json', import.meta.url))

/** The same input gives the same text. */
export function compileDefinitions (): string {
  const sources = readSources()
  const result: Definitions = { primitives: {}, valueSets: {}, types: {}, profiles: {} }
  const { addType, addProfile } = createCompiler(sources, result)
  for (const name of RESOURCES) addType(name)
  for (const url of HL7_PROFILES) {
    // Its snapshot holds all that vitalsigns says, so it stands on R4 itself.
    const structure = sources.hl7.find(one => one.url === url)!
    addProfile({ ...structure, baseDefinition: BASE + structure.type }, structure.snapshot!.element.filter(isNarrowed))
  }
  for (const structure of sources.ours) addProfile(structure, structure.differential!.element)
  return `${JSON.stringify(sorted(result)).replaceAll('},"', '},\n"')}\n`
}

/** Of a snapshot, what may say more than the base. */
function isNarrowed (element: Element): boolean {
  return element.id.includes(':') || element.slicing !== undefined || element.path.split('.').length <= 2
}

function createCompiler (sources: Sources, result: Definitions) {
  function addType (name: string): void {
    if (result.types[name] !== undefined || result.primitives[name] !== undefined) return
    const structure = sources.base.get(BASE + name)
    if (structure === undefined || name === 'Resource') return
    if (structure.kind === 'primitive-type') result.primitives[name] = patternOf(structure)
    else for (const element of structure.snapshot!.element) addElement(structure, element)
  }

  function addElement (structure: Structure, element: Element): void {
    const dot = element.path.lastIndexOf('.')
    const invariants = some('invariants', errorKeys(element))
    if (dot < 0) {
      result.types[element.path] = { ...(structure.kind === 'resource' ? { isResource: true } : {}), elements: {}, ...invariants }
      return
    }
    if (element.max === '0') return
    const owner = result.types[element.path.slice(0, dot)]!
    const name = element.path.slice(dot + 1)
    const types = element.contentReference === undefined ? element.type! : [{ code: element.contentReference.slice(1) }]
    if (types[0]!.code === 'BackboneElement' || types[0]!.code === 'Element') {
      result.types[element.path] = { elements: {}, ...invariants }
      owner.elements[name] = elementOf(element, { code: element.path })
    } else if (name.endsWith('[x]')) {
      const choice = name.slice(0, -3)
      owner.choices = { ...owner.choices, [choice]: element.min! }
      for (const one of types) {
        owner.elements[choice + one.code[0]!.toUpperCase() + one.code.slice(1)] = { ...elementOf({ ...element, min: 0 }, one), choice }
        addType(one.code)
      }
    } else {
      owner.elements[name] = elementOf(element, types[0]!)
      if (element.contentReference === undefined) addType(codeOf(element, types[0]!))
    }
  }

  function elementOf (element: Element, one: Typed): ElementDefinition {
    return {
      type: codeOf(element, one),
      ...(element.min! > 0 ? { min: element.min! } : {}),
      ...(element.max === '1' ? {} : { isList: true }),
      ...valueSetOf(element),
      ...targetsOf([one])
    }
  }

  function valueSetOf (element: Element): { valueSet?: string } {
    const url = element.binding?.strength === 'required' ? element.binding.valueSet?.split('|')[0] : undefined
    const codes = url === undefined ? undefined : sources.expand(url)
    if (url === undefined || codes === undefined) return {}
    result.valueSets[url] = codes
    return { valueSet: url }
  }

  function constraintOf (element: Element): Constraint {
    const isInSlice = element.id.includes(':')
    const value = (prefix: string) => Object.entries(element).find(([key]) => key.startsWith(prefix))?.[1]
    const [fixed, pattern] = [value('fixed'), value('pattern')]
    const { min = 0, max = '*', base, sliceName } = element
    return {
      ...(min === 0 || (!isInSlice && min === base?.min) ? {} : { min }),
      ...(max === '*' || (sliceName === undefined && max === base?.max) ? {} : { max: Number(max) }),
      ...(element.id.endsWith('[x]') && element.type !== undefined ? { types: element.type.map(({ code }) => code) } : {}),
      ...(fixed === undefined ? {} : { fixed }),
      ...(pattern === undefined ? {} : { pattern }),
      ...(base === undefined || isInSlice ? valueSetOf(element) : {}),
      ...targetsOf(element.type ?? []),
      ...some('invariants', errorKeys(element).filter(key => /^(?:oxb|vs)-/.test(key)))
    }
  }

  function addProfile (structure: Structure, elements: readonly Element[]): void {
    const root: Constraint = {}
    for (const element of elements) Object.assign(placeOf(root, element.id), constraintOf(element), extensionOf(element))
    for (const { id, slicing } of elements) {
      if (slicing !== undefined) matchSlices(placeOf(root, id), (slicing.discriminator ?? []).map(({ path }) => path), id)
    }
    const base = structure.baseDefinition!
    result.profiles[structure.url] = { type: structure.type, ...(base === BASE + structure.type ? {} : { base }), root: pruned(root) }
  }
  return { addType, addProfile }
}

/** Makes the way to an element's constraint: `Observation.category:kind.coding` is a slice of a child, and a child of that. */
function placeOf (root: Constraint, id: string): Constraint {
  let at = root
  for (const step of id.split('.').slice(1)) {
    const [name, slice] = step.split(':') as [string, string | undefined]
    at.children ??= {}
    // A slice of a choice is one of its forms: `value[x]:valueQuantity`.
    const key = slice !== undefined && name.endsWith('[x]') ? slice : name
    at.children[key] ??= {}
    at = at.children[key]
    if (slice === undefined || key === slice) continue
    at.slices ??= []
    let found = at.slices.find(one => one.name === slice)
    if (found === undefined) {
      found = { name: slice, match: [], constraint: {} }
      at.slices.push(found)
    }
    at = found.constraint
  }
  return at
}

/** An extension slice is known by the URL of its profile, which is checked wherever the extension stands. */
function extensionOf (element: Element): Constraint {
  const url = element.type?.[0]?.code === 'Extension' ? element.type[0].profile?.[0] : undefined
  return url === undefined ? {} : { children: { url: { fixed: url } } }
}

function matchSlices (place: Constraint, paths: readonly string[], id: string): void {
  for (const slice of place.slices ?? []) {
    slice.match = paths.map(path => {
      const steps = path === '$this' ? [] : path.split('.')
      let at: Constraint | undefined = slice.constraint
      for (const step of steps) at = at?.children?.[step]
      const value = at?.fixed ?? at?.pattern
      if (value === undefined) throw new Error(`${id}:${slice.name} has no value at ${path}`)
      return { path: steps, value }
    })
  }
}

function pruned ({ children, slices, ...own }: Constraint): Constraint {
  const kept = Object.entries(children ?? {}).map(([name, child]) => [name, pruned(child)] as const).filter(([, child]) => Object.keys(child).length > 0)
  return {
    ...own,
    ...(kept.length === 0 ? {} : { children: Object.fromEntries(kept) }),
    ...(slices === undefined ? {} : { slices: slices.map(slice => ({ ...slice, constraint: pruned(slice.constraint) })) })
  }
}

function codeOf (element: Element, one: Typed): string {
  if (!one.code.startsWith('http://hl7.org/fhirpath/')) return one.code
  if (element.path.endsWith('.url')) return 'uri'
  return RESOURCES.includes(element.path.replace(/\.id$/, '')) ? 'id' : 'string'
}

function targetsOf (types: readonly Typed[]): { targets?: string[] } {
  const targets = types.filter(({ code }) => code === 'Reference').flatMap(({ targetProfile = [] }) => targetProfile.map(url => url.slice(url.lastIndexOf('/') + 1)))
    // The only profile that R4 names as a target here.
    .map(name => name === 'vitalsigns' ? 'Observation' : name)
  return targets.length === 0 || targets.includes('Resource') ? {} : { targets: [...new Set(targets)] }
}

function errorKeys (element: Element): string[] {
  // ele-1 holds everywhere and is part of every check.
  return (element.constraint ?? []).filter(({ key, severity }) => severity === 'error' && key !== 'ele-1').map(({ key }) => key)
}

function patternOf (structure: Structure): string {
  const value = structure.snapshot!.element.find(({ path }) => path.endsWith('.value'))
  return value?.type?.[0]?.extension?.find(({ url }) => url.endsWith('/regex'))?.valueString ?? ''
}

function some<K extends string> (name: K, list: readonly string[]): { [P in K]?: string[] } {
  return list.length === 0 ? {} : { [name]: [...list] } as { [P in K]?: string[] }
}

/** Only the outer maps: inner order is the order of checks. */
function sorted ({ primitives, valueSets, types, profiles }: Definitions): Definitions {
  const byName = <T>(map: Record<string, T>): Record<string, T> => Object.fromEntries(Object.entries(map).sort(([a], [b]) => a < b ? -1 : 1))
  return { primitives: byName(primitives), valueSets: byName(valueSets), types: byName(types), profiles: byName(profiles) }
}

if (import.meta.main) writeFileSync(OUTPUT, compileDefinitions())
