/** What decoding gives: records with their fields and original bytes, or why there is none. Device and patient ids end in `identify.ts`. */

import type { ReasonCode } from '../../model/reason.ts'
import type { EpochMs } from '../../model/units.ts'

/** How the bytes of one record are to be read again. */
export type ContentKind = 'json' | 'avro' | 'protobuf'

/** One element of `channels` (schema v2). `value` is NaN when what was sent is no number. */
export interface SentChannel { metric: string, kind: string, unit: string, value: number }

/** Where a record's original bytes stand in its body: `source[start, end)`. */
export interface RecordBytes { source: Buffer, start: number, end: number }

export interface DecodedRecord extends RecordBytes {
  /** Place in the body, from 0. */
  index: number
  content: ContentKind
  schemaId: number
  deviceId: string
  patientId: string | undefined
  takenAt: EpochMs
  /** 0 when the device has no counter. */
  sequence: number
  /** Channels that say what they are; `undefined` in v1. */
  channels: readonly SentChannel[] | undefined
  /** The two values whose channel the device model states; `undefined` when not sent, NaN when no number. */
  spo2: number | undefined
  tissueO2: number | undefined
  /** NaN when what was sent is no number. */
  battery: number | undefined
  quality: number | undefined
  firmware: string | undefined
}

/** A record that cannot be read in its schema. Device and time are given where they could be read. */
export interface RejectedRecord extends RecordBytes {
  index: number
  content: ContentKind
  /** 0: not known. */
  schemaId: number
  reason: ReasonCode
  /** Name in our schema of the field at fault; never text from the device. */
  field: string | undefined
  deviceId: string | undefined
  takenAt: EpochMs | undefined
}

/** `unreadable`: nothing in the body could be read, with the reason and a sentence without any of its text. `namedSchema`: the id that its bytes name. */
export type DecodedBody =
  | { unreadable?: undefined, records: readonly DecodedRecord[], rejected: readonly RejectedRecord[] }
  | { unreadable: ReasonCode, detail: string, namedSchema?: number | undefined }

export interface DecodeLimits {
  /** Most records in one body; more: INPUT_TOO_LARGE. */
  recordsMax: number
  /** Most bytes of one record; more: `record-too-large`. */
  recordBytesMax: number
  /** Deepest nesting of JSON; deeper: unreadable (array) or malformed (NDJSON line). */
  depthMax: number
}

export const DECODE_LIMITS: DecodeLimits = { recordsMax: 10_000, recordBytesMax: 64 * 1024, depthMax: 16 }

export const TEXT_MAX = { deviceId: 128, patientId: 128, firmware: 64, channels: 32, channelText: 64 } as const

/** Identifiers: 1 to `max` characters, no control character, no lone surrogate. */
export function isIdentifierText (text: unknown, max: number): text is string {
  if (typeof text !== 'string' || text.length === 0 || text.length > max) return false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code === 0x7f) return false
    if (code >= 0xd800 && code < 0xe000) return text.isWellFormed()
  }
  return true
}

/** Firmware versions: up to 64 printable ASCII characters; empty means not said. */
export function isFirmwareText (text: unknown): text is string {
  if (typeof text !== 'string' || text.length > TEXT_MAX.firmware) return false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code > 0x7e) return false
  }
  return true
}
