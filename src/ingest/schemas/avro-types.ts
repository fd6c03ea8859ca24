/** An Avro type (parsed JSON) → how its value is passed over or read, for bytes that may be hostile: bounded steps, no recursion, no empty items. */

import type { AvroCursor } from '../decode/avro-cursor.ts'
import { SCHEMA_DEPTH_MAX, SCHEMA_FIELDS_MAX } from './compiled-schema.ts'

export type Step = (cursor: AvroCursor) => void

/** Passes over one value; `bytesMin`: the fewest bytes it takes. */
interface Pass { step: Step, bytesMin: number }

export type Node = Readonly<Record<string, unknown>>

/** What is known while a schema is gone through. */
export interface Names {
  types: Map<string, { node: Node, namespace: string }>
  /** Fields met so far. */
  count: { fields: number }
}

export function newNames (): Names { return { types: new Map(), count: { fields: 0 } } }

/** Thrown for a type that cannot be read here; the message is for the maker of the schema. */
export class TypeProblem extends Error {}

/** A type with its names followed and its wrapping taken off: a primitive by name, a node with `type`, or the branches of a union. */
export type Resolved = { is: 'primitive', name: string, logical: string | undefined } | { is: 'node', node: Node, namespace: string } | { is: 'union', branches: readonly unknown[], namespace: string }

const PRIMITIVES = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])
const NAMED = new Set(['record', 'error', 'enum', 'fixed'])

export function resolveType (type: unknown, namespace: string, names: Names, depth = 0): Resolved {
  if (depth > SCHEMA_DEPTH_MAX) throw new TypeProblem(`nests deeper than ${SCHEMA_DEPTH_MAX}`)
  if (Array.isArray(type)) return { is: 'union', branches: type, namespace }
  if (typeof type === 'string') {
    if (PRIMITIVES.has(type)) return { is: 'primitive', name: type, logical: undefined }
    const known = names.types.get(fullName(type, namespace)) ?? names.types.get(type)
    if (known === undefined) throw new TypeProblem('refers to a type that stands nowhere before it, or to itself')
    return { is: 'node', ...known }
  }
  if (typeof type !== 'object' || type === null) throw new TypeProblem('has no type')
  const node = type as Node
  const kind = node['type']
  if (typeof kind === 'string' && NAMED.has(kind)) {
    const name = nodeName(node, namespace)
    const inner = namespaceOf(name)
    return { is: 'node', node, namespace: inner }
  }
  if (kind === 'array' || kind === 'map') return { is: 'node', node, namespace }
  const resolved = resolveType(kind, namespace, names, depth + 1)
  return resolved.is === 'primitive' && typeof node['logicalType'] === 'string' ? { ...resolved, logical: node['logicalType'] } : resolved
}

export function nodeName (node: Node, namespace: string): string {
  const own = node['namespace']
  return fullName(String(node['name']), typeof own === 'string' ? own : namespace)
}

function fullName (name: string, namespace: string): string { return name.includes('.') || namespace === '' ? name : `${namespace}.${name}` }

/** @throws TypeProblem */
export function passOver (type: unknown, namespace: string, names: Names): Step { return passOf(type, namespace, names, 0).step }

function passOf (type: unknown, namespace: string, names: Names, depth: number): Pass {
  if (depth > SCHEMA_DEPTH_MAX) throw new TypeProblem(`nests deeper than ${SCHEMA_DEPTH_MAX}`)
  const resolved = resolveType(type, namespace, names)
  if (resolved.is === 'primitive') return PRIMITIVE_PASS[resolved.name]!
  if (resolved.is === 'union') return unionPass(resolved.branches.map(branch => passOf(branch, resolved.namespace, names, depth + 1)))
  const { node, namespace: inner } = resolved
  switch (node['type']) {
    case 'enum': return remember(node, namespace, names, PRIMITIVE_PASS['int']!)
    case 'fixed': {
      const size = Number(node['size'])
      return remember(node, namespace, names, { step: cursor => { cursor.fixed(size) }, bytesMin: size })
    }
    case 'array': return blocksPass([passOf(node['items'], inner, names, depth + 1)])
    case 'map': return blocksPass([PRIMITIVE_PASS['string']!, passOf(node['values'], inner, names, depth + 1)])
    default: return remember(node, namespace, names, recordPass(fieldsOf(node, names).map(field => passOf(field['type'], inner, names, depth + 1))))
  }
}

/** A name is known once its type is complete: one that holds itself is not found. */
function remember (node: Node, namespace: string, names: Names, pass: Pass): Pass {
  const name = nodeName(node, namespace)
  names.types.set(name, { node, namespace: namespaceOf(name) })
  return pass
}

/** Fields of a record node, counted. @throws TypeProblem over the limit */
export function fieldsOf (node: Node, names: Names): readonly Node[] {
  const fields = Array.isArray(node['fields']) ? node['fields'] as readonly Node[] : []
  names.count.fields += fields.length
  if (names.count.fields > SCHEMA_FIELDS_MAX) throw new TypeProblem(`has more than ${SCHEMA_FIELDS_MAX} fields, those of records inside it counted wherever they stand`)
  return fields
}

const PRIMITIVE_PASS: Readonly<Record<string, Pass>> = {
  null: { step: () => {}, bytesMin: 0 },
  boolean: { step: cursor => { cursor.fixed(1) }, bytesMin: 1 },
  int: { step: cursor => { cursor.long() }, bytesMin: 1 },
  long: { step: cursor => { cursor.long() }, bytesMin: 1 },
  float: { step: cursor => { cursor.fixed(4) }, bytesMin: 4 },
  double: { step: cursor => { cursor.fixed(8) }, bytesMin: 8 },
  bytes: { step: cursor => { cursor.raw() }, bytesMin: 1 },
  string: { step: cursor => { cursor.raw() }, bytesMin: 1 }
}

function recordPass (passes: readonly Pass[]): Pass {
  return { step: cursor => { for (const { step } of passes) step(cursor) }, bytesMin: passes.reduce((sum, { bytesMin }) => sum + bytesMin, 0) }
}

function unionPass (passes: readonly Pass[]): Pass {
  const step: Step = cursor => {
    const branch = cursor.branch(passes.length)
    if (!cursor.failed) passes[branch]!.step(cursor)
  }
  return { step, bytesMin: 1 + Math.min(...passes.map(({ bytesMin }) => bytesMin)) }
}

function blocksPass (passes: readonly Pass[]): Pass {
  const item = recordPass(passes)
  // Bytes would not bound how many there are.
  if (item.bytesMin === 0) throw new TypeProblem('is a list whose items may have no bytes')
  const step: Step = cursor => {
    for (let count = cursor.blockCount(); count !== 0; count = cursor.blockCount()) {
      for (let left = count; left > 0 && !cursor.failed; left--) item.step(cursor)
    }
  }
  return { step, bytesMin: 1 }
}

/** `''`: it stands in none. */
export function namespaceOf (fullName: string): string { return fullName.slice(0, Math.max(0, fullName.lastIndexOf('.'))) }
