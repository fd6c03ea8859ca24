/** The message indexes of Confluent's framing of Protobuf: which message of its file a payload is. Zigzag varints, their count first; `[0]` is one byte 0x00. */

import { ProtobufCursor } from './protobuf-cursor.ts'

/** Deepest nesting of a message type. */
const INDEXES_MAX = 16

export function encodeMessageIndexes (indexes: readonly number[]): Buffer {
  if (indexes.length === 1 && indexes[0] === 0) return Buffer.from([0])
  return Buffer.from([indexes.length, ...indexes].flatMap(zigzagBytes))
}

function zigzagBytes (value: number): number[] {
  const bytes: number[] = []
  for (let rest = value * 2; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest]
    bytes.push((rest % 128) | 0x80)
  }
}

/** `undefined` when they are cut short, or no place of a message. */
export function decodeMessageIndexes (bytes: Buffer, from: number): { indexes: readonly number[], next: number } | undefined {
  const cursor = new ProtobufCursor(bytes, from, bytes.length)
  const count = cursor.zigzag()
  if (cursor.failed || !(count >= 0 && count <= INDEXES_MAX)) return undefined
  if (count === 0) return { indexes: [0], next: cursor.position }
  const indexes = Array.from({ length: count }, () => cursor.zigzag())
  return cursor.failed || !indexes.every(index => index >= 0) ? undefined : { indexes, next: cursor.position }
}
