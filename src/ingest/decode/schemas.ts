/** The schemas by which records are read, as decoding asks for them. */

import type { ReasonCode } from '../../model/reason.ts'
import type { AvroCursor } from './avro-cursor.ts'
import type { DecodedRecord, RecordBytes, RejectedRecord } from './record.ts'

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

/** What an object holds, before it has a place; or why it is none, and what is known of it all the same. */
export type JsonFields = Omit<DecodedRecord, keyof RecordBytes | 'index' | 'content'>
export type JsonKnown = Pick<RejectedRecord, 'schemaId' | 'deviceId' | 'takenAt'>
export type JsonReading = { reason: undefined, fields: JsonFields } | { reason: ReasonCode, field: string | undefined, known?: JsonKnown }

/** @param members of all objects in it as they were sent: more than the parsed value has means that a key stands there twice */
export type JsonRead = (value: unknown, members: number) => JsonReading

export interface JsonReader { type: 'JSON', id: number, read: JsonRead }

export type SchemaReader = AvroReader | ProtobufReader | JsonReader

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

/** Ids are what PostgreSQL's int holds. */
export const SCHEMA_ID_MAX = 2 ** 31 - 1

/** The id that a header names; 0, which no schema has, for a text that is none. */
export function schemaIdIn (header: string): number {
  const id = /^[0-9]{1,10}$/.test(header) ? Number(header) : 0
  return id > SCHEMA_ID_MAX ? 0 : id
}
