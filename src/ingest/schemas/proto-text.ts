/** Text of a .proto file → what of it decides how messages are read. The parser is that of protobufjs; nothing else of it is used. */

import protobuf from 'protobufjs'
import { assertImports, assertSyntax, type ProtoField, type ProtoFile, type ProtoMessage, ProtoProblem, SCALARS } from './proto-file.ts'

type Types = ReadonlyMap<string, 'message' | 'enum'>
interface Found { types: Types, syntax: 'proto2' | 'proto3' }

/** `oxbow`, or in a package: `acme.v1.oxbow`. */
const ANNOTATION = /^\((?:[\w.]*\.)?oxbow\)$/

/** @throws ProtoProblem */
export function parseProtoText (text: string): ProtoFile {
  const { root, packageName, imports } = parse(text)
  assertImports(imports)
  const top = packageName === '' ? root : root.lookup(packageName)
  if (!(top instanceof protobuf.Namespace)) throw new ProtoProblem('it holds nothing')
  const types = new Map<string, 'message' | 'enum'>()
  collectTypes(top, packageName, types)
  const messages: ProtoMessage[] = []
  collectMessages(top, packageName, [], { types, syntax: syntaxOf(text) }, messages)
  return { packageName, messages }
}

function parse (text: string): { root: protobuf.Root, packageName: string, imports: readonly string[] } {
  try {
    const { root, package: packageName, imports, weakImports } = protobuf.parse(text, new protobuf.Root(), { keepCase: true })
    return { root, packageName: packageName ?? '', imports: [...imports ?? [], ...weakImports ?? []] }
  } catch (error) {
    throw new ProtoProblem(`it is no .proto file: ${error instanceof Error ? error.message : 'unknown'}`)
  }
}

const COMMENTS = /^(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/

/** It stands first, if it stands there. @throws ProtoProblem */
function syntaxOf (text: string): 'proto2' | 'proto3' {
  const [, word, value] = /^(syntax|edition)\s*=\s*["']([^"']*)["']/.exec(text.replace(COMMENTS, '')) ?? []
  const syntax = word === 'edition' ? 'edition' : value ?? 'proto2'
  assertSyntax(syntax)
  return syntax
}

const named = (name: string, inside: string) => inside === '' ? name : `${inside}.${name}`

function collectTypes (namespace: protobuf.NamespaceBase, inside: string, types: Map<string, 'message' | 'enum'>): void {
  for (const one of namespace.nestedArray) {
    const name = named(one.name, inside)
    if (one instanceof protobuf.Type) {
      types.set(name, 'message')
      collectTypes(one, name, types)
    } else if (one instanceof protobuf.Enum) {
      types.set(name, 'enum')
    }
  }
}

function collectMessages (namespace: protobuf.NamespaceBase, inside: string, path: readonly number[], found: Found, messages: ProtoMessage[]): void {
  const own = namespace.nestedArray.filter(one => one instanceof protobuf.Type)
  for (const [place, type] of own.entries()) {
    const name = named(type.name, inside)
    const indexes = [...path, place]
    messages.push({ name, indexes, fields: type.fieldsArray.map(field => fieldOf(field, name, found)) })
    collectMessages(type, name, indexes, found, messages)
  }
}

function fieldOf (field: protobuf.Field, inside: string, { types, syntax }: Found): ProtoField {
  const options = field.options ?? {}
  const isOptional = options['proto3_optional'] === true
  const type = field.map ? 'map' : SCALARS.has(field.type) ? field.type : resolveName(field.type, inside, types)
  const typeKind = field.map ? 'message' : SCALARS.has(field.type) ? 'scalar' : types.get(type) ?? 'message'
  const oneof = isOptional ? undefined : field.partOf?.name
  const annotation = Object.entries(options).find(([name]) => ANNOTATION.test(name))?.[1] as unknown
  return {
    name: field.name, number: field.id, type, typeKind,
    label: field.required ? 'required' : field.repeated || field.map ? 'repeated' : 'singular',
    hasPresence: syntax === 'proto2' || isOptional || oneof !== undefined || typeKind === 'message',
    isMap: field.map, oneof,
    annotation: annotation === undefined ? undefined : String(annotation)
  }
}

/** From the innermost message outwards. @throws ProtoProblem */
function resolveName (name: string, inside: string, types: Types): string {
  if (name.startsWith('.')) {
    if (types.has(name.slice(1))) return name.slice(1)
  } else {
    for (let scope = inside; ; scope = scope.slice(0, Math.max(0, scope.lastIndexOf('.')))) {
      if (types.has(named(name, scope))) return named(name, scope)
      if (scope === '') break
    }
  }
  throw new ProtoProblem(`it names a type ${name}, which it does not define`)
}
