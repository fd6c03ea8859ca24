/** A schema made ready: what its records deliver, how they are read, and what it is compared by. */

import type { Type } from 'avsc'
import type { SchemaReader } from '../decode/schemas.ts'
import type { JsonProperty } from './json-property.ts'
import type { Delivery } from './plan.ts'
import type { ProtoFile } from './proto-file.ts'

export type SchemaType = 'AVRO' | 'PROTOBUF' | 'JSON'

/** A schema as it is sent and kept. */
export interface SchemaText { type: SchemaType, text: string }

interface Compiled {
  delivery: Delivery
  /** @param id under which its records are kept */
  reader: (id: number) => SchemaReader
}

export interface CompiledAvro extends Compiled {
  type: 'AVRO'
  /** Fingerprint by which container files name it. */
  form: string
  /** The same for schemas whose records are read alike. */
  meaning: string
  avro: Type
}

export interface CompiledProtobuf extends Compiled {
  type: 'PROTOBUF'
  file: ProtoFile
}

export interface CompiledJson extends Compiled {
  type: 'JSON'
  properties: readonly JsonProperty[]
}

export type CompiledSchema = CompiledAvro | CompiledProtobuf | CompiledJson

export type Compilation = { compiled: CompiledSchema, problems?: undefined } | { problems: readonly string[] }

/** Most bytes of a schema's text. */
export const SCHEMA_BYTES_MAX = 128 * 1024
/** Most fields of a schema, those of records inside it counted wherever they stand. */
export const SCHEMA_FIELDS_MAX = 1_000
/** Deepest nesting of types. */
export const SCHEMA_DEPTH_MAX = 16
