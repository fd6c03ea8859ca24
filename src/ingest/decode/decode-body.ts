/** Bytes of a body (or of one message of a topic) and its kind → records, what was rejected, or that nothing can be read. */

import { avroSchemaOf, decodeAvro, decodeAvroRecords } from './avro.ts'
import { type BodyKind, type ContentLimits, type IncomingBody, inflated } from './content.ts'
import { decodeJson, decodeJsonBySchema, decodeNdjson, jsonSchemaOf } from './json.ts'
import { decodeProtobuf, protobufSchemaOf } from './protobuf.ts'
import type { DecodedBody, DecodeLimits } from './record.ts'
import type { SchemaAnswer, SchemaName, SchemaReader, Schemas } from './schemas.ts'

export type BodyLimits = DecodeLimits & ContentLimits

const DAMAGED: DecodedBody = { unreadable: 'malformed', detail: 'the compressed body is cut short or damaged' }
const NO_FRAME: DecodedBody = { unreadable: 'malformed', detail: 'the message does not begin with 0x00 and a 4-byte schema id' }
const FRAME_LENGTH = 5
const KIND_OF: Readonly<Record<SchemaReader['type'], BodyKind>> = { AVRO: 'avro', PROTOBUF: 'protobuf', JSON: 'json' }
const EMPTY: DecodedBody = { unreadable: 'malformed', detail: 'the body is empty' }

/** Gives a promise only for a compressed body, or a schema that must be asked for. @throws ServiceError INPUT_TOO_LARGE, INPUT_ENCODING */
export function decodeBody (body: IncomingBody, kind: BodyKind, limits: BodyLimits, schemas: Schemas): DecodedBody | Promise<DecodedBody> {
  const bytes = inflated(body, limits)
  if (bytes instanceof Promise) return bytes.then(whole => whole === undefined ? DAMAGED : find(whole, kind, limits, schemas, body.schemaId))
  return find(bytes, kind, limits, schemas, body.schemaId)
}

/** @param declared id of the schema where the bytes carry no frame */
function find (bytes: Buffer, kind: BodyKind, limits: BodyLimits, schemas: Schemas, declared: number | undefined): DecodedBody | Promise<DecodedBody> {
  if (bytes.length === 0) return EMPTY
  const name = declared === undefined ? nameIn(bytes, kind) : { id: declared }
  const answer = name === undefined ? undefined : schemas.named(name)
  const finish = (given: SchemaAnswer | undefined) => withNamed(decode(bytes, kind, limits, given, declared !== undefined), declared === undefined ? name : undefined)
  return answer instanceof Promise ? answer.then(finish) : finish(answer)
}

/** @param name as the bytes say it */
function withNamed (decoded: DecodedBody, name: SchemaName | undefined): DecodedBody {
  return decoded.unreadable === undefined || name === undefined || !('id' in name) ? decoded : { ...decoded, namedSchema: name.id }
}

function nameIn (bytes: Buffer, kind: BodyKind): SchemaName | undefined {
  switch (kind) {
    case 'avro': return avroSchemaOf(bytes)
    case 'protobuf':
    case 'protobuf-delimited': return protobufSchemaOf(bytes)
    case 'json':
    case 'ndjson': return jsonSchemaOf(bytes)
    case 'confluent': return bytes.length >= FRAME_LENGTH && bytes[0] === 0 ? { id: bytes.readUInt32BE(1) } : undefined
  }
}

/** @param isBare the bytes carry no frame, and the answer is that for the schema named beside them */
function decode (bytes: Buffer, kind: BodyKind, limits: BodyLimits, answer: SchemaAnswer | undefined, isBare: boolean): DecodedBody {
  switch (kind) {
    case 'json':
    case 'ndjson':
      if (answer !== undefined) return decodeJsonBySchema(bytes, answer, limits, { isLines: kind === 'ndjson', isBare })
      return kind === 'json' ? decodeJson(bytes, limits) : decodeNdjson(bytes, limits)
    case 'avro': return isBare ? decodeAvroRecords(bytes, answer!, limits) : decodeAvro(bytes, answer, limits, limits.inflatedBytesMax)
    case 'protobuf':
    case 'protobuf-delimited': return decodeProtobuf(bytes, answer, limits, { isDelimited: kind === 'protobuf-delimited', isBare })
    case 'confluent': return answer === undefined ? NO_FRAME : answer.unreadable !== undefined ? answer : decode(bytes, KIND_OF[answer.reader.type], limits, answer, isBare)
  }
}
