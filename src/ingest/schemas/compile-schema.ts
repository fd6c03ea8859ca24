/** A schema's text → a schema made ready, or everything that is wrong with it. */

import { compileAvro } from './avro-schema.ts'
import { type Compilation, SCHEMA_BYTES_MAX, type SchemaText, type SchemaType } from './compiled-schema.ts'
import { compileJson } from './json-schema.ts'
import { compileProtobuf } from './protobuf-schema.ts'

export const SCHEMA_TYPES: readonly SchemaType[] = ['AVRO', 'PROTOBUF', 'JSON']

/** Never throws: a text that is no schema, or one whose records are no readings, comes back with all its problems at once. */
export function compileSchema ({ type, text }: SchemaText): Compilation {
  if (Buffer.byteLength(text) > SCHEMA_BYTES_MAX) return { problems: [`the schema is larger than ${SCHEMA_BYTES_MAX} bytes`] }
  switch (type) {
    case 'AVRO': return compileAvro(text)
    case 'PROTOBUF': return compileProtobuf(text)
    case 'JSON': return compileJson(text)
  }
}
