/** A FileDescriptorProto, as clients that know no text of a .proto file register it → what of it decides how messages are read. */

import { fromBinary } from '@bufbuild/protobuf'
import {
  type DescriptorProto, type FieldDescriptorProto, FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type, type FileDescriptorProto, FileDescriptorProtoSchema
} from '@bufbuild/protobuf/wkt'
import { ProtobufCursor } from '../decode/protobuf-cursor.ts'
import { assertImports, assertSyntax, type ProtoField, type ProtoFile, type ProtoMessage, ProtoProblem } from './proto-file.ts'

const SCALAR_NAMES: Readonly<Partial<Record<Type, string>>> = {
  [Type.DOUBLE]: 'double', [Type.FLOAT]: 'float', [Type.INT32]: 'int32', [Type.INT64]: 'int64', [Type.UINT32]: 'uint32', [Type.UINT64]: 'uint64',
  [Type.SINT32]: 'sint32', [Type.SINT64]: 'sint64', [Type.FIXED32]: 'fixed32', [Type.FIXED64]: 'fixed64', [Type.SFIXED32]: 'sfixed32',
  [Type.SFIXED64]: 'sfixed64', [Type.BOOL]: 'bool', [Type.STRING]: 'string', [Type.BYTES]: 'bytes'
}

interface Found { syntax: 'proto2' | 'proto3', option: number | undefined, messages: ProtoMessage[] }

/** @throws ProtoProblem */
export function readProtoDescriptor (bytes: Uint8Array): ProtoFile {
  const file = parse(bytes)
  assertImports(file.dependency)
  const syntax = file.syntax === '' ? 'proto2' : file.syntax
  assertSyntax(syntax)
  const option = file.extension.find(({ name, extendee }) => name === 'oxbow' && extendee === '.google.protobuf.FieldOptions')?.number
  const found: Found = { syntax, option, messages: [] }
  collect(file.messageType, file.package, [], found)
  return { packageName: file.package, messages: found.messages }
}

function parse (bytes: Uint8Array): FileDescriptorProto {
  try {
    return fromBinary(FileDescriptorProtoSchema, bytes)
  } catch {
    throw new ProtoProblem('it is neither the text of a .proto file nor a FileDescriptorProto in base64')
  }
}

function collect (types: readonly DescriptorProto[], inside: string, path: readonly number[], found: Found): void {
  // Entries of maps are types of their own here, which framing does not count.
  const own = types.filter(type => type.options?.mapEntry !== true)
  for (const [place, type] of own.entries()) {
    const name = inside === '' ? type.name : `${inside}.${type.name}`
    const maps = new Set(type.nestedType.filter(nested => nested.options?.mapEntry === true).map(nested => `.${name}.${nested.name}`))
    found.messages.push({ name, indexes: [...path, place], fields: type.field.map(field => fieldOf(field, type, maps, found)) })
    collect(type.nestedType, name, [...path, place], found)
  }
}

function fieldOf (field: FieldDescriptorProto, type: DescriptorProto, maps: ReadonlySet<string>, { syntax, option }: Found): ProtoField {
  const scalar = SCALAR_NAMES[field.type]
  const isMap = maps.has(field.typeName)
  // What is not sent has its default from the prototype, and 0 is a place.
  const oneof = Object.hasOwn(field, 'oneofIndex') && !field.proto3Optional ? type.oneofDecl[field.oneofIndex]?.name : undefined
  const typeKind = scalar !== undefined ? 'scalar' : field.type === Type.ENUM ? 'enum' : 'message'
  return {
    name: field.name, number: field.number, type: isMap ? 'map' : scalar ?? field.typeName.replace(/^\./, ''), typeKind,
    label: field.label === Label.REQUIRED ? 'required' : field.label === Label.REPEATED ? 'repeated' : 'singular',
    hasPresence: syntax === 'proto2' || field.proto3Optional || oneof !== undefined || typeKind === 'message',
    isMap, oneof, annotation: annotationOf(field, option)
  }
}

/** An option that the library does not know stays as its bytes: length and text. */
function annotationOf ({ options }: FieldDescriptorProto, option: number | undefined): string | undefined {
  const bytes = options?.$unknown?.find(({ no }) => no === option)?.data
  if (bytes === undefined) return undefined
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return new ProtobufCursor(buffer, 0, buffer.length).text(buffer.length)
}
