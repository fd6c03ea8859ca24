/** A body as it came → its kind and its bytes without compression, within limits that are checked while it grows. */

import { promisify } from 'node:util'
import { gunzip, zstdDecompress } from 'node:zlib'
import { ServiceError } from '../../model/errors.ts'

export interface IncomingBody {
  bytes: Buffer
  /** `Content-Type` as sent; '' when there was none. */
  contentType: string
  /** `Content-Encoding` as sent; '' when there was none. */
  contentEncoding: string
  /** Id of the schema, named beside the bytes, which then carry no frame; absent: they say it themselves, or need none. */
  schemaId?: number | undefined
}

/** `protobuf-delimited`: many messages, each behind its length. `confluent`: one message of a topic in Confluent's wire format, whose schema says what it is. */
export type BodyKind = 'json' | 'ndjson' | 'avro' | 'protobuf' | 'protobuf-delimited' | 'confluent'

export interface ContentLimits {
  /** Bytes as sent. */
  bodyBytesMax: number
  /** Bytes after decompression. */
  inflatedBytesMax: number
}

export const CONTENT_LIMITS: ContentLimits = { bodyBytesMax: 10 * 1024 * 1024, inflatedBytesMax: 64 * 1024 * 1024 }

/** How each is sent. */
export const CONTENT_TYPES: Readonly<Record<BodyKind, string>> = {
  json: 'application/json', ndjson: 'application/x-ndjson', avro: 'application/avro', protobuf: 'application/x-protobuf', 'protobuf-delimited': 'application/x-protobuf; encoding=delimited',
  confluent: 'application/x-confluent'
}
const KINDS: ReadonlyMap<string, BodyKind> = new Map([
  ...(['json', 'ndjson', 'avro', 'protobuf', 'confluent'] as const).map(kind => [CONTENT_TYPES[kind], kind] as const), ['application/protobuf', 'protobuf']
])

const inflateGzip = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip)
const inflateZstd = promisify<Buffer, { maxOutputLength: number }, Buffer>(zstdDecompress)

/** @throws ServiceError INPUT_TYPE for any other type, or a charset that is not UTF-8 */
export function bodyKind (contentType: string): BodyKind {
  const [type = '', ...parameters] = contentType.split(';')
  const kind = KINDS.get(type.trim().toLowerCase())
  const charset = parameters.map(parameter => parameter.trim().toLowerCase()).find(parameter => parameter.startsWith('charset='))
  if (kind === undefined || !(charset === undefined || /^charset="?utf-?8"?$/.test(charset))) {
    throw new ServiceError('unsupported', 'INPUT_TYPE', 'telemetry is application/json, application/x-ndjson (UTF-8), application/avro, application/x-protobuf or application/x-confluent')
  }
  return kind === 'protobuf' && parameters.some(parameter => /^encoding="?delimited"?$/.test(parameter.trim().toLowerCase())) ? 'protobuf-delimited' : kind
}

/** `undefined` when the compressed bytes are cut short or damaged; the body itself, without waiting, when it is not compressed.
 *  @throws ServiceError INPUT_ENCODING, INPUT_TOO_LARGE */
export function inflated (body: IncomingBody, limits: ContentLimits): Buffer | Promise<Buffer | undefined> {
  if (body.bytes.length > limits.bodyBytesMax) throw tooLarge('the body is larger than ingest.bodyMax')
  switch (body.contentEncoding.trim().toLowerCase()) {
    case '':
    case 'identity': return body.bytes
    case 'gzip':
    case 'x-gzip': return inflate(inflateGzip, body.bytes, limits)
    case 'zstd': return inflate(inflateZstd, body.bytes, limits)
    default: throw new ServiceError('unsupported', 'INPUT_ENCODING', 'a body is compressed with gzip or zstd, once, or not at all')
  }
}

async function inflate (unpack: typeof inflateGzip, bytes: Buffer, limits: ContentLimits): Promise<Buffer | undefined> {
  try {
    return await unpack(bytes, { maxOutputLength: limits.inflatedBytesMax })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge('the body is larger than ingest.inflatedMax when decompressed')
    return undefined
  }
}

export function tooLarge (what: string): ServiceError { return new ServiceError('incorrect', 'INPUT_TOO_LARGE', `${what}: send several requests`) }
