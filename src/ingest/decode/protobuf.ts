/** Protobuf bodies → records: 0x00, 4-byte schema id, message indexes, then one message to the end, or many, each behind its length as a varint. A cut keeps those before it. */

import { ServiceError } from '../../model/errors.ts'
import { decodeMessageIndexes } from './message-index.ts'
import { ProtobufCursor } from './protobuf-cursor.ts'
import type { DecodedBody, DecodedRecord, DecodeLimits, RejectedRecord } from './record.ts'
import { rejectionOf } from './record-fault.ts'
import type { ProtobufReader, SchemaAnswer, SchemaName } from './schemas.ts'

const FRAME_LENGTH = 5

const NO_FORM: DecodedBody = { unreadable: 'malformed', detail: 'the body is not 0x00, a 4-byte schema id, message indexes and a message' }
const NO_READING: DecodedBody = { unreadable: 'malformed', detail: 'the message indexes do not name the message of the schema that is a reading' }
const OTHER_TYPE: DecodedBody = { unreadable: 'malformed', detail: 'the schema of this id is not one of Protobuf' }

/** `undefined` when the body says nothing that can be read. */
export function protobufSchemaOf (body: Buffer): SchemaName | undefined {
  return body.length > FRAME_LENGTH && body[0] === 0 ? { id: body.readUInt32BE(1) } : undefined
}

export interface ProtobufForm {
  /** Each message behind its length. */
  isDelimited: boolean
  /** No frame: the answer is for the schema named beside the bytes. */
  isBare: boolean
}

/** @param answer to `protobufSchemaOf`. @throws ServiceError INPUT_TOO_LARGE over a limit */
export function decodeProtobuf (body: Buffer, answer: SchemaAnswer | undefined, limits: DecodeLimits, { isDelimited, isBare }: ProtobufForm): DecodedBody {
  if (answer === undefined) return NO_FORM
  if (answer.unreadable !== undefined) return answer
  const { reader } = answer
  if (reader.type !== 'PROTOBUF') return OTHER_TYPE
  if (isBare) return readMessages(body, 0, reader, limits, isDelimited)
  const head = decodeMessageIndexes(body, FRAME_LENGTH)
  if (head === undefined) return NO_FORM
  if (head.indexes.join() !== reader.indexes.join()) return NO_READING
  return readMessages(body, head.next, reader, limits, isDelimited)
}

function readMessages (bytes: Buffer, from: number, reader: ProtobufReader, limits: DecodeLimits, isDelimited: boolean): DecodedBody {
  const records: DecodedRecord[] = []
  const rejected: RejectedRecord[] = []
  const reject = (index: number, start: number, end: number) => {
    rejected.push({ index, source: bytes, start, end, content: 'protobuf', schemaId: reader.id, reason: 'malformed', field: undefined, deviceId: undefined, takenAt: undefined })
  }
  const read = (index: number, start: number, end: number) => {
    const { record, fault } = reader.read(bytes, start, end)
    if (record === undefined) return reject(index, start, end)
    record.index = index
    const found = end - start > limits.recordBytesMax ? 'record-too-large' : fault
    if (found === undefined) records.push(record)
    else rejected.push(rejectionOf(record, found))
  }
  if (!isDelimited) {
    read(0, from, bytes.length)
    return { records, rejected }
  }
  const cursor = new ProtobufCursor(bytes, from, bytes.length)
  for (let index = 0; cursor.position < bytes.length; index++) {
    if (index >= limits.recordsMax) throw new ServiceError('incorrect', 'INPUT_TOO_LARGE', `a body holds at most ${limits.recordsMax} records: send several requests`)
    const start = cursor.position
    const length = cursor.length()
    if (cursor.failed) reject(index, start, bytes.length)
    else read(index, cursor.position, cursor.position + length)
    cursor.position += length
  }
  return { records, rejected }
}

/** One message as it was cut from its body; for re-submission. */
export function decodeProtobufRecord (bytes: Buffer, answer: SchemaAnswer, limits: DecodeLimits): DecodedBody {
  return decodeProtobuf(bytes, answer, limits, { isDelimited: false, isBare: true })
}
