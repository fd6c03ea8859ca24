/** Text of a JSON Schema → a schema made ready, or everything that is wrong with it. A part of the language that can be judged; annotations are `x-oxbow-…`. */

import { type Compilation, type CompiledJson, SCHEMA_FIELDS_MAX } from './compiled-schema.ts'
import type { JsonProperty } from './json-property.ts'
import { jsonRead } from './json-reader.ts'
import { deliveryOf, purposeOf, REQUIRED_ROLES, type Role, roleName, TEXT_ROLES, WHOLE_ROLES } from './plan.ts'

const HOW = 'name the channel by "x-oxbow-metric", "x-oxbow-kind" and "x-oxbow-unit", the field of ours by "x-oxbow-field", or say "x-oxbow-ignore": true'

type Node = Readonly<Record<string, unknown>>

/** Words that say nothing about what is valid. */
const REMARKS = new Set(['$schema', '$id', '$comment', 'title', 'description', 'examples', 'default', 'format', 'deprecated', 'readOnly', 'writeOnly'])
const OF_ROOT = new Set(['type', 'properties', 'required', 'additionalProperties'])
const OF_PROPERTY = new Set(['type', 'minimum', 'maximum', 'minLength', 'maxLength', 'items'])
const ONLY_TYPE = new Set(['type'])
const CHANNEL_TEXTS = ['metric', 'kind', 'unit'] as const

class JsonProblem extends Error {}

export function compileJson (text: string): Compilation {
  try {
    const root = objectOf(parse(text), 'the schema')
    assertWords(root, OF_ROOT, 'the schema')
    if (root['type'] !== 'object') return { problems: ['the schema must be of type object'] }
    assertClosed(root, 'the schema')
    return compileRoot(root)
  } catch (error) {
    if (error instanceof JsonProblem) return { problems: [error.message] }
    throw error
  }
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new JsonProblem('the schema is not JSON')
  }
}

function objectOf (value: unknown, what: string): Node {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new JsonProblem(`${what} is no JSON object`)
  return value as Node
}

function assertWords (node: Node, words: ReadonlySet<string>, what: string): void {
  const other = Object.keys(node).find(word => !words.has(word) && !REMARKS.has(word) && !word.startsWith('x-'))
  if (other !== undefined) throw new JsonProblem(`${what} says ${other}, which is not taken here: only ${[...words].join(', ')}, remarks and x-…`)
}

/** A member that the schema does not know is never taken, so it must not say otherwise. */
function assertClosed (node: Node, what: string): void {
  if (node['additionalProperties'] !== false) throw new JsonProblem(`${what} must say "additionalProperties": false: a member that it does not know is not taken`)
}

function compileRoot (root: Node): Compilation {
  const required = new Set(Array.isArray(root['required']) ? root['required'].map(String) : [])
  const nodes = Object.entries(objectOf(root['properties'] ?? {}, 'properties'))
  if (nodes.length > SCHEMA_FIELDS_MAX) return { problems: [`it has more than ${SCHEMA_FIELDS_MAX} properties`] }
  const properties: JsonProperty[] = []
  const problems: string[] = []
  for (const [name, node] of nodes) {
    const property = propertyOf(name, node, required.has(name))
    if (typeof property === 'string') problems.push(`property ${name} ${property}`)
    else properties.push(property)
  }
  for (const name of required) if (!nodes.some(([known]) => known === name)) problems.push(`${name} is required and no property`)
  const { delivery, problems: together } = deliveryOf(properties.map(({ purpose }) => purpose))
  if (problems.length > 0 || together.length > 0) return { problems: [...problems, ...together] }
  const compiled: CompiledJson = { type: 'JSON', delivery, properties, reader: id => ({ type: 'JSON', id, read: jsonRead(properties, id) }) }
  return { compiled }
}

function propertyOf (name: string, value: unknown, isRequired: boolean): JsonProperty | string {
  const node = objectOf(value, `property ${name}`)
  const purpose = purposeOf([name], {
    field: node['x-oxbow-field'], metric: node['x-oxbow-metric'], kind: node['x-oxbow-kind'], unit: node['x-oxbow-unit'], ignore: node['x-oxbow-ignore']
  }, HOW)
  if (typeof purpose === 'string') return purpose
  const unlimited = { minimum: -Infinity, maximum: Infinity, minLength: 0, maxLength: Infinity }
  if (purpose.is === 'ignored') return { name, purpose, isRequired, type: undefined, isNullable: false, source: JSON.stringify(node), ...unlimited }
  assertWords(node, OF_PROPERTY, `property ${name}`)
  const { type, isNullable } = typeOf(node, name)
  const wanted = purpose.is === 'channel' ? 'number' : wantedType(purpose.role)
  if (type !== wanted && !(wanted === 'number' && type === 'integer')) return `must be of type ${wanted}`
  if (purpose.is === 'role' && REQUIRED_ROLES.includes(purpose.role) && (isNullable || !isRequired)) return `(${roleName(purpose.role)}) must be required, and not null`
  if (type === 'array') assertChannelItems(node, name)
  const limit = (word: keyof typeof unlimited) => limitOf(node, name, word, unlimited[word])
  return {
    name, purpose, isRequired, type, isNullable, source: '',
    minimum: limit('minimum'), maximum: limit('maximum'), minLength: limit('minLength'), maxLength: limit('maxLength')
  }
}

function wantedType (role: Role): JsonProperty['type'] {
  return role === 'channels' ? 'array' : TEXT_ROLES.has(role) ? 'string' : WHOLE_ROLES.has(role) ? 'integer' : 'number'
}

function limitOf (node: Node, name: string, word: string, fallback: number): number {
  const value = node[word]
  if (value !== undefined && typeof value !== 'number') throw new JsonProblem(`property ${name} says ${word} and no number`)
  return value ?? fallback
}

function typeOf (node: Node, name: string): { type: JsonProperty['type'], isNullable: boolean } {
  const types = [node['type']].flat()
  const [type, ...more] = types.filter(one => one !== 'null')
  if (more.length > 0 || !['number', 'integer', 'string', 'array'].includes(String(type))) throw new JsonProblem(`property ${name} must be of one type, with null or without: number, integer, string or array`)
  return { type: type as JsonProperty['type'], isNullable: types.includes('null') }
}

function assertChannelItems (node: Node, name: string): void {
  const what = `an item of ${name}`
  const item = objectOf(node['items'], what)
  assertWords(item, OF_ROOT, what)
  assertClosed(item, what)
  const properties = objectOf(item['properties'], what)
  const types = Object.fromEntries(Object.entries(properties).map(([part, value]) => {
    const inner = objectOf(value, what)
    assertWords(inner, ONLY_TYPE, `${part} of ${what}`)
    return [part, inner['type']]
  }))
  const wanted = JSON.stringify({ kind: 'string', metric: 'string', unit: 'string', value: 'number' })
  const isRequired = [...CHANNEL_TEXTS, 'value'].every(part => (item['required'] as unknown[] | undefined)?.includes(part))
  if (JSON.stringify(Object.fromEntries(Object.entries(types).sort())) !== wanted || !isRequired) {
    throw new JsonProblem(`${what} must be an object that requires metric, kind and unit (string) and value (number), and nothing else`)
  }
}
