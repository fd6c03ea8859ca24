/** Avro schema (parsed JSON) → Parsing Canonical Form and its SHA-256 (Avro 1.12 specification, "Parsing Canonical Form for Schemas"). */

import { hash } from 'node:crypto'

const PRIMITIVES = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])
const DEPTH_MAX = 32

/** @throws TypeError when it is no schema */
export function canonicalForm (schema: unknown): string { return canonical(schema, '', 0) }

/** Hex SHA-256 of the canonical form. @throws TypeError when it is no schema */
export function fingerprint (schema: unknown): string { return hash('sha256', canonicalForm(schema), 'hex') }

function canonical (schema: unknown, namespace: string, depth: number): string {
  if (depth > DEPTH_MAX) throw new TypeError('schema nests too deep')
  if (typeof schema === 'string') return JSON.stringify(PRIMITIVES.has(schema) ? schema : fullName(schema, namespace))
  if (Array.isArray(schema)) return `[${schema.map(branch => canonical(branch, namespace, depth + 1)).join(',')}]`
  if (typeof schema !== 'object' || schema === null) throw new TypeError('not a schema')
  const s = schema as Record<string, unknown>
  const type = s['type']
  switch (type) {
    case 'record':
    case 'error': {
      const name = nameOf(s, namespace)
      const inner = name.slice(0, Math.max(0, name.lastIndexOf('.')))
      const fields = listOf(s['fields']).map(field => {
        if (typeof field !== 'object' || field === null) throw new TypeError('not a field')
        const f = field as Record<string, unknown>
        return `{"name":${JSON.stringify(textOf(f['name']))},"type":${canonical(f['type'], inner, depth + 1)}}`
      })
      return `{"name":${JSON.stringify(name)},"type":"${type}","fields":[${fields.join(',')}]}`
    }
    case 'enum': return `{"name":${JSON.stringify(nameOf(s, namespace))},"type":"enum","symbols":${JSON.stringify(listOf(s['symbols']).map(textOf))}}`
    case 'fixed': return `{"name":${JSON.stringify(nameOf(s, namespace))},"type":"fixed","size":${Number(s['size'])}}`
    case 'array': return `{"type":"array","items":${canonical(s['items'], namespace, depth + 1)}}`
    case 'map': return `{"type":"map","values":${canonical(s['values'], namespace, depth + 1)}}`
    default: return canonical(type, namespace, depth + 1)
  }
}

function nameOf (schema: Record<string, unknown>, namespace: string): string {
  const own = schema['namespace']
  return fullName(textOf(schema['name']), own === undefined ? namespace : textOf(own))
}

function fullName (name: string, namespace: string): string { return name.includes('.') || namespace === '' ? name : `${namespace}.${name}` }

function textOf (value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('not a name')
  return value
}

function listOf (value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('not a list')
  return value
}
