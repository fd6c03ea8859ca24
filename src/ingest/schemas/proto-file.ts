/** What of a .proto file decides how messages are read and compared; made from its text (`proto-text.ts`) or its descriptor (`proto-descriptor.ts`). */

export interface ProtoField {
  name: string
  number: number
  /** A scalar by its name, or the full name of a message or enum. */
  type: string
  typeKind: 'scalar' | 'message' | 'enum'
  label: 'singular' | 'repeated' | 'required'
  /** Absent can be told from a zero. */
  hasPresence: boolean
  isMap: boolean
  /** Name of the oneof it stands in; one that only makes a field optional does not count. */
  oneof: string | undefined
  /** Value of the field option `oxbow`. */
  annotation: string | undefined
}

export interface ProtoMessage {
  /** With package and the messages around it. */
  name: string
  /** Its place in the file, as Confluent's framing counts it. */
  indexes: readonly number[]
  fields: readonly ProtoField[]
}

export interface ProtoFile {
  packageName: string
  /** Those inside others too. */
  messages: readonly ProtoMessage[]
}

/** Thrown for a file that is not taken; the message is for its maker. */
export class ProtoProblem extends Error {}

export const SCALARS: ReadonlySet<string> = new Set([
  'double', 'float', 'int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64', 'fixed32', 'fixed64', 'sfixed32', 'sfixed64', 'bool', 'string', 'bytes'
])

/** What defines the options of fields is the one file that may be imported. */
const DESCRIPTOR_FILE = 'google/protobuf/descriptor.proto'

/** @throws ProtoProblem */
export function assertImports (imports: readonly string[]): void {
  const other = imports.find(path => path !== DESCRIPTOR_FILE)
  if (other !== undefined) throw new ProtoProblem(`it imports ${other}: write what is imported into the schema itself (only ${DESCRIPTOR_FILE} may be imported)`)
}

/** @throws ProtoProblem */
export function assertSyntax (syntax: string): asserts syntax is 'proto2' | 'proto3' {
  if (syntax !== 'proto2' && syntax !== 'proto3') throw new ProtoProblem('its syntax must be proto2 or proto3')
}
