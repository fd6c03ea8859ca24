/** Text of an Avro schema → a schema made ready, or everything that is wrong with it. Annotations are properties of a field: `"oxbow.metric"` … */

import avro from 'avsc'
import { fingerprint } from '../decode/canonical-form.ts'
import type { AvroReader } from '../decode/schemas.ts'
import { avroRead, type PlannedField } from './avro-reader.ts'
import { fieldsOf, namespaceOf, newNames, type Node, nodeName, TypeProblem } from './avro-types.ts'
import type { Compilation } from './compiled-schema.ts'
import { deliveryOf, type Purpose, purposeOf } from './plan.ts'

const HOW = 'name the channel by "oxbow.metric", "oxbow.kind" and "oxbow.unit", the field of ours by "oxbow.field", or say "oxbow.ignore": true'

export function compileAvro (text: string): Compilation {
  const node = parse(text)
  if (node === undefined) return { problems: ['the schema is not JSON'] }
  if (node['type'] !== 'record') return { problems: ['the schema is no record'] }
  const type = typeOf(node)
  if (typeof type === 'string') return { problems: [type] }
  try {
    return compileRecord(node, type)
  } catch (error) {
    if (error instanceof TypeProblem) return { problems: [error.message] }
    throw error
  }
}

function parse (text: string): Node | undefined {
  try {
    const parsed = JSON.parse(text) as unknown
    return typeof parsed === 'object' && parsed !== null ? parsed as Node : {}
  } catch {
    return undefined
  }
}

/** What the library makes of it, which knows the rules of names and defaults; or its complaint. */
function typeOf (node: Node): avro.Type | string {
  try {
    return avro.Type.forSchema(node as unknown as avro.Schema, { wrapUnions: true })
  } catch (error) {
    return `the schema is no Avro schema: ${error instanceof Error ? error.message : 'unknown'}`
  }
}

function compileRecord (node: Node, type: avro.Type): Compilation {
  const fields: PlannedField[] = []
  const problems: string[] = []
  for (const field of fieldsOf(node, newNames())) {
    const name = String(field['name'])
    const purpose = purposeOfField(name, field)
    if (typeof purpose === 'string') problems.push(`field ${name} ${purpose}`)
    else fields.push({ name, type: field['type'], purpose })
  }
  const { delivery, problems: together } = deliveryOf(fields.map(({ purpose }) => purpose))
  if (problems.length > 0 || together.length > 0) return { problems: [...problems, ...together] }
  const name = nodeName(node, '')
  const namespace = namespaceOf(name)
  const reader = (id: number): AvroReader => ({ type: 'AVRO', id, read: avroRead(fields, namespace, id) })
  // What cannot be read is found here, and not at the first record.
  reader(0)
  const form = fingerprint(node)
  return {
    compiled: {
      type: 'AVRO', avro: type, form, meaning: JSON.stringify([form, fields.map(({ purpose }) => purpose)]), delivery, reader
    }
  }
}

function purposeOfField (name: string, field: Node): Purpose | string {
  const aliases = Array.isArray(field['aliases']) ? field['aliases'].map(String) : []
  return purposeOf([name, ...aliases], {
    field: field['oxbow.field'], metric: field['oxbow.metric'], kind: field['oxbow.kind'], unit: field['oxbow.unit'], ignore: field['oxbow.ignore']
  }, HOW)
}
