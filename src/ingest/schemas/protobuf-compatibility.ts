/** Whether messages written by one version of a .proto file can be read by another: by field numbers, as Confluent's registry judges it, and stricter where it leaves a doubt. */

import type { ProtoField, ProtoFile } from './proto-file.ts'

/** Types of one group have one form on the wire and hold each other's values. */
const GROUPS: Readonly<Record<string, string>> = {
  int32: 'varint', uint32: 'varint', int64: 'varint', uint64: 'varint', bool: 'varint', sint32: 'zigzag', sint64: 'zigzag', string: 'bytes', bytes: 'bytes',
  fixed32: 'fixed32', sfixed32: 'fixed32', fixed64: 'fixed64', sfixed64: 'fixed64'
}

/** [] when it can. */
export function unreadableProtobuf (reader: ProtoFile, writer: ProtoFile): string[] {
  if (reader.packageName !== writer.packageName) return ['the package is another']
  return writer.messages.flatMap(written => {
    const read = reader.messages.find(({ name }) => name === written.name)
    if (read === undefined) return [`message ${written.name} is gone`]
    const known = new Map(read.fields.map(field => [field.number, field]))
    const sent = new Set(written.fields.map(({ number }) => number))
    const numbers = new Map(read.fields.map(({ name, number }) => [name, number]))
    return [
      ...written.fields.flatMap(field => changes(field, known.get(field.number)).map(change => `${written.name}, field ${field.number}: ${change}`)),
      ...written.fields.filter(({ name, number }) => (numbers.get(name) ?? number) !== number).map(({ name }) => `${written.name}: field ${name} has another number`),
      ...read.fields.filter(field => field.label === 'required' && !sent.has(field.number)).map(field => `${written.name}, field ${field.number}: it is required, and never sent`)
    ]
  })
}

/** @param read the same number in the reader's message */
function changes (written: ProtoField, read: ProtoField | undefined): string[] {
  if (read === undefined) {
    if (written.label === 'required') return ['it was required, and is gone']
    return written.oneof === undefined ? [] : ['it stood in a oneof, and is gone']
  }
  return [
    ...groupOf(written) === groupOf(read) ? [] : [`its type was ${written.type} and is ${read.type}`],
    ...written.label === read.label ? [] : [`it was ${written.label} and is ${read.label}`],
    ...written.oneof === read.oneof ? [] : ['it went into a oneof, or out of one']
  ]
}

function groupOf ({ type, typeKind, isMap }: ProtoField): string {
  if (isMap) return 'map'
  return typeKind === 'message' ? `message ${type}` : typeKind === 'enum' ? 'varint' : GROUPS[type] ?? type
}
