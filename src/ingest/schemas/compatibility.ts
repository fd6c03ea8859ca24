/** Whether schemas read each other's data, by the mode of their subject. */

import type { CompiledAvro, CompiledSchema } from './compiled-schema.ts'
import { unreadableJson } from './json-compatibility.ts'
import { unreadableProtobuf } from './protobuf-compatibility.ts'

/** As Confluent's registry names them; NONE is not offered. */
export const MODES = ['BACKWARD', 'BACKWARD_TRANSITIVE', 'FORWARD', 'FORWARD_TRANSITIVE', 'FULL', 'FULL_TRANSITIVE'] as const
export type Mode = (typeof MODES)[number]

export const DEFAULT_MODE: Mode = 'BACKWARD'

export interface EarlierVersion { version: number, compiled: CompiledSchema }

/** Why `next` may not follow. @param earlier versions of the subject, ascending; [] when there is none */
export function compatibilityProblems (next: CompiledSchema, earlier: readonly EarlierVersion[], mode: Mode): string[] {
  const against = mode.endsWith('_TRANSITIVE') ? earlier : earlier.slice(-1)
  return against.flatMap(({ version, compiled }) => [
    ...mode.startsWith('FORWARD') ? [] : unreadable(next, compiled).map(problem => `it cannot read data of version ${version}: ${problem}`),
    ...mode.startsWith('BACKWARD') ? [] : unreadable(compiled, next).map(problem => `version ${version} cannot read its data: ${problem}`)
  ])
}

function unreadable (reader: CompiledSchema, writer: CompiledSchema): string[] {
  if (reader.type === 'PROTOBUF' && writer.type === 'PROTOBUF') return unreadableProtobuf(reader.file, writer.file)
  if (reader.type === 'AVRO' && writer.type === 'AVRO') return unreadableAvro(reader, writer)
  if (reader.type === 'JSON' && writer.type === 'JSON') return unreadableJson(reader.properties, writer.properties)
  return [`one is ${reader.type}, the other ${writer.type}`]
}

/** By the resolution of Avro's own rules. */
function unreadableAvro (reader: CompiledAvro, writer: CompiledAvro): string[] {
  try {
    reader.avro.createResolver(writer.avro)
    return []
  } catch (error) {
    return [error instanceof Error ? error.message : 'it cannot be resolved']
  }
}
