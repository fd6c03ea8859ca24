/** Snapshots of R4 → types with their elements, and the primitives they are made of. */

import type { ElementDefinition, ElementDefinitionType, StructureDefinition } from '@medplum/fhirtypes'
import type { Definitions, Element, Primitive, TypeDefinition } from '../../src/fhir/validation/definitions.ts'
import { CORE, type Sources, withoutVersion } from './read-definitions.ts'

const FHIR_TYPE = 'http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type'
const REGEX = 'http://hl7.org/fhir/StructureDefinition/regex'
/** Checked on every element while it is walked (ele-1), and on the type itself (ext-1). */
const EVERYWHERE = new Set(['ele-1', 'ext-1'])

/** Definitions of the resources named and of every datatype they reach. */
export function compileTypes (resources: readonly string[], sources: Sources): Pick<Definitions, 'types' | 'primitives'> {
  const types: Record<string, TypeDefinition> = {}
  const primitives: Record<string, Primitive> = {}
  const waiting = [...resources, 'Element', 'SimpleQuantity']
  while (waiting.length > 0) {
    const name = waiting.pop()!
    if (name in types || name in primitives || name === 'Resource') continue
    const structure = sources.structures.get(CORE + name)
    if (structure === undefined) throw new Error(`R4 has no type ${name}`)
    if (structure.kind === 'primitive-type') {
      primitives[name] = compilePrimitive(structure)
      continue
    }
    const compiled = compileStructure(name, structure, sources)
    Object.assign(types, compiled)
    for (const type of Object.values(compiled)) {
      for (const element of Object.values(type.elements)) waiting.push(...element.types.filter(needed => !needed.includes('.')))
    }
  }
  return { types: sorted(types), primitives: sorted(primitives) }
}

function compilePrimitive (structure: StructureDefinition): Primitive {
  const { name } = structure
  if (name === 'boolean') return { json: 'boolean' }
  const value = elementsOf(structure).find(element => element.path.endsWith('.value'))
  const pattern = value?.type?.[0]?.extension?.find(extension => extension.url === REGEX)?.valueString
  const json = name === 'decimal' || name === 'integer' || name === 'positiveInt' || name === 'unsignedInt' ? 'number' : 'string'
  return pattern === undefined ? { json } : { json, pattern }
}

function elementsOf (structure: StructureDefinition): readonly ElementDefinition[] { return structure.snapshot?.element ?? [] }

function compileStructure (name: string, structure: StructureDefinition, sources: Sources): Record<string, TypeDefinition> {
  const all = elementsOf(structure)
  const root = all[0]!
  const parents = [...new Set(all.slice(1).map(element => parentOf(element.path)))]
  return Object.fromEntries(parents.map(path => {
    const children = all.filter(element => element !== root && parentOf(element.path) === path && element.max !== '0')
    const keys = errorKeys(all.find(element => element.path === path)!)
    const invariants = keys.filter(key => !EVERYWHERE.has(key) || (key === 'ext-1' && name === 'Extension'))
    const elements = children.map(element => [nameOf(element.path), compileElement(element, parents, structure, sources)] as const)
    return [path === root.path ? name : path, {
      ...(path === root.path && structure.kind === 'resource' ? { isResource: true } : {}),
      elements: Object.fromEntries(elements),
      ...(invariants.length === 0 ? {} : { invariants })
    } satisfies TypeDefinition]
  }))
}

function parentOf (path: string): string { return path.slice(0, path.lastIndexOf('.')) }
function nameOf (path: string): string { return path.slice(path.lastIndexOf('.') + 1) }

function errorKeys (element: ElementDefinition): string[] {
  return (element.constraint ?? []).filter(constraint => constraint.severity === 'error').map(constraint => constraint.key!)
}

function compileElement (element: ElementDefinition, parents: readonly string[], structure: StructureDefinition, sources: Sources): Element {
  const types = element.contentReference !== undefined
    ? [element.contentReference.slice(element.contentReference.indexOf('#') + 1)]
    : parents.includes(element.path) ? [element.path] : (element.type ?? []).map(type => typeName(type, element, structure))
  const targets = targetsOf(element.type ?? [], sources)
  // What the type of the element demands of itself stands there.
  const ofType = new Set(types.flatMap(type => rootKeys(type, sources)))
  const { strength, valueSet } = element.binding ?? {}
  const invariants = types[0] === element.path ? [] : errorKeys(element).filter(key => !EVERYWHERE.has(key) && !ofType.has(key))
  return {
    ...((element.min ?? 0) > 0 ? { min: 1 as const } : {}),
    ...(element.max === '*' ? { isList: true as const } : {}),
    types,
    ...(strength === 'required' && valueSet !== undefined ? { codes: withoutVersion(valueSet) } : {}),
    ...(targets === undefined ? {} : { targets }),
    ...(invariants.length === 0 ? {} : { invariants })
  }
}

function rootKeys (type: string, sources: Sources): string[] {
  const structure = sources.structures.get(CORE + type)
  return structure === undefined ? [] : errorKeys(elementsOf(structure)[0]!)
}

function typeName (type: ElementDefinitionType, element: ElementDefinition, structure: StructureDefinition): string {
  if (type.profile?.[0] === `${CORE}SimpleQuantity`) return 'SimpleQuantity'
  if (!type.code.startsWith('http://hl7.org/fhirpath/')) return type.code
  if (structure.kind === 'resource' && element.path === `${structure.type}.id`) return 'id'
  return type.extension?.find(extension => extension.url === FHIR_TYPE)?.valueUrl ?? 'string'
}

/** Resource types that the References of an element may point to; `undefined`: any. */
export function targetsOf (types: readonly ElementDefinitionType[], sources: Sources): string[] | undefined {
  const profiles = types.filter(type => type.code === 'Reference').flatMap(type => type.targetProfile ?? [])
  if (profiles.length === 0 || profiles.includes(`${CORE}Resource`)) return undefined
  return [...new Set(profiles.map(url => sources.structures.get(withoutVersion(url))?.type ?? nameOf(url.replaceAll('/', '.'))))].sort()
}

export function sorted<T> (record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([one], [other]) => one < other ? -1 : 1))
}
