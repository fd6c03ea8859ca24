/** Text or descriptor of a Protobuf schema → a schema made ready, or everything that is wrong with it. Annotations are the field option `oxbow`. */

import type { Compilation } from './compiled-schema.ts'
import { SCHEMA_FIELDS_MAX } from './compiled-schema.ts'
import { type Annotations, deliveryOf, type Purpose, purposeOf } from './plan.ts'
import { readProtoDescriptor } from './proto-descriptor.ts'
import { type ProtoField, type ProtoFile, type ProtoMessage, ProtoProblem } from './proto-file.ts'
import { parseProtoText } from './proto-text.ts'
import { type PlannedField, protobufRead } from './protobuf-reader.ts'

const HOW = 'give it the option (oxbow) = "metric=… kind=… unit=…", "field=…" or "ignore"'
const BASE64 = /^[A-Za-z0-9+/\s]+={0,2}\s*$/

/** The text of a .proto file has a semicolon or a brace. */
export function isDescriptor (text: string): boolean { return BASE64.test(text) }

export function compileProtobuf (text: string): Compilation {
  try {
    return compileFile(isDescriptor(text) ? readProtoDescriptor(Buffer.from(text, 'base64')) : parseProtoText(text))
  } catch (error) {
    if (error instanceof ProtoProblem) return { problems: [error.message] }
    throw error
  }
}

function compileFile (file: ProtoFile): Compilation {
  if (file.messages.reduce((sum, { fields }) => sum + fields.length, 0) > SCHEMA_FIELDS_MAX) return { problems: [`it has more than ${SCHEMA_FIELDS_MAX} fields`] }
  const planned = file.messages.map(message => ({ message, fields: message.fields.map(planField) }))
  const readings = planned.filter(({ fields }) => fields.some(({ purpose }) => typeof purpose === 'object' && purpose.is === 'role' && purpose.role === 'deviceId'))
  const [reading, ...more] = readings
  if (reading === undefined || more.length > 0) return { problems: [`exactly one message must be a reading, one with a field deviceId (or device_id); here are ${readings.length}`] }
  if (isInsideMap(file, reading.message)) return { problems: [`${reading.message.name} stands inside a message with a map, where clients count message indexes in different ways: put it at the top of the file`] }
  return compileReading(file, reading.message, reading.fields)
}

/** A map makes a type of its own beside the nested ones, which some clients count. */
function isInsideMap ({ messages }: ProtoFile, { indexes }: ProtoMessage): boolean {
  const outer = messages.filter(message => message.indexes.length < indexes.length && message.indexes.every((index, depth) => index === indexes[depth]))
  return outer.some(({ fields }) => fields.some(({ isMap }) => isMap))
}

interface Planned { field: ProtoField, purpose: Purpose | string }

function planField (field: ProtoField): Planned { return { field, purpose: purposeOf([field.name], annotationsOf(field.annotation), HOW) } }

function annotationsOf (annotation: string | undefined): Annotations {
  if (annotation === undefined) return {}
  if (annotation.trim() === 'ignore') return { ignore: true }
  const pairs = annotation.trim().split(/\s+/).map(part => [part.slice(0, Math.max(0, part.indexOf('='))), part.slice(part.indexOf('=') + 1)] as const)
  const known = pairs.every(([name]) => ['field', 'metric', 'kind', 'unit'].includes(name))
  // What is misspelled names no field of ours, and is refused as such.
  return known ? Object.fromEntries(pairs) : { field: annotation }
}

function compileReading (file: ProtoFile, message: ProtoMessage, planned: readonly Planned[]): Compilation {
  const problems = planned.flatMap(({ field, purpose }) => typeof purpose === 'string' ? [`field ${field.name} ${purpose}`] : [])
  const fields = planned.flatMap(({ field, purpose }): PlannedField[] => typeof purpose === 'string' ? [] : [{ field, purpose }])
  const { delivery, problems: together } = deliveryOf(fields.map(({ purpose }) => purpose))
  if (problems.length > 0 || together.length > 0) return { problems: [...problems, ...together] }
  const read = (id: number) => protobufRead(fields, file, id)
  // What cannot be read is found here, and not at the first message.
  read(0)
  return { compiled: { type: 'PROTOBUF', delivery, file, reader: id => ({ type: 'PROTOBUF', id, indexes: message.indexes, read: read(id) }) } }
}
