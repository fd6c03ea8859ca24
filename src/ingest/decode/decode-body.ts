/** Bytes of a body and its kind → records, what was rejected, or that nothing can be read. */

import { decodeAvro } from './avro.ts'
import { type BodyKind, type ContentLimits, type IncomingBody, inflated } from './content.ts'
import { decodeJson, decodeNdjson } from './json.ts'
import type { DecodedBody, DecodeLimits } from './record.ts'

export type BodyLimits = DecodeLimits & ContentLimits

const DAMAGED: DecodedBody = { unreadable: 'malformed', detail: 'the compressed body is cut short or damaged' }
const EMPTY: DecodedBody = { unreadable: 'malformed', detail: 'the body is empty' }

/** Gives a promise only for a compressed body. @throws ServiceError INPUT_TOO_LARGE, INPUT_ENCODING */
export function decodeBody (body: IncomingBody, kind: BodyKind, limits: BodyLimits): DecodedBody | Promise<DecodedBody> {
  const bytes = inflated(body, limits)
  if (bytes instanceof Promise) return bytes.then(inflatedBytes => inflatedBytes === undefined ? DAMAGED : decodeBytes(inflatedBytes, kind, limits))
  return decodeBytes(bytes, kind, limits)
}

function decodeBytes (bytes: Buffer, kind: BodyKind, limits: BodyLimits): DecodedBody {
  if (bytes.length === 0) return EMPTY
  switch (kind) {
    case 'json': return decodeJson(bytes, limits)
    case 'ndjson': return decodeNdjson(bytes, limits)
    case 'avro': return decodeAvro(bytes, limits, limits.inflatedBytesMax)
  }
}
