/** The schemas by which records are read, as decoding asks for them. */

import type { AvroCursor } from './avro-cursor.ts'
import type { DecodedRecord } from './record.ts'

/** Reads one record from where the cursor stands, whatever it holds: it is judged afterwards. */
export type AvroRead = (cursor: AvroCursor) => DecodedRecord

/** `id`: under which records are kept; the same schema for ever. */
export interface AvroReader { type: 'AVRO', id: number, read: AvroRead }

/** What one message holds. `record`: `undefined` when the bytes are no message; `fault`: what makes it malformed, as of `faultOf`. */
export type ProtobufRead = (bytes: Buffer, start: number, end: number) => { record: DecodedRecord | undefined, fault: string | undefined }

export interface ProtobufReader {
  type: 'PROTOBUF'
  id: number
  /** Place in its file of the message that is a reading. */
  indexes: readonly number[]
  read: ProtobufRead
}

export type SchemaReader = AvroReader | ProtobufReader

/** What a body says of its schema: an id of the registry in use, or the fingerprint of an Avro schema (`canonical-form.ts`). */
export type SchemaName = { id: number } | { form: string }

export type SchemaAnswer =
  | { reader: SchemaReader, unreadable?: undefined }
  | { unreadable: 'schema-unknown' | 'schema-incompatible' | 'schema-unavailable', detail: string }

export interface Schemas {
  /** At once for what was asked before. */
  named (name: SchemaName): SchemaAnswer | Promise<SchemaAnswer>
  /** By the id under which records are kept. */
  kept (id: number): SchemaAnswer | Promise<SchemaAnswer>
}

export const UNKNOWN_ID: SchemaAnswer = { unreadable: 'schema-unknown', detail: 'the schema id is not registered' }
export const UNKNOWN_FORM: SchemaAnswer = { unreadable: 'schema-unknown', detail: 'the schema of the container file is not registered' }
