/** Bytes of a text that comes again and again → the same string each time, instead of a new one for every record. */

import { fnv1a } from './fnv1a.ts'

/** The UTF-8 text of `length` bytes from `at` on. @throws what the `read` of the memory throws */
export type TextMemory = (bytes: Uint8Array, at: number, length: number) => string

/** @param slots a power of two: as many texts are kept at most, one takes the place of another that falls on its slot · @param read the text of bytes not seen before */
export function createTextMemory (slots: number, read: (bytes: Uint8Array) => string = textOf): TextMemory {
  const known: (string | undefined)[] = Array.from({ length: slots })
  return (bytes, at, length) => {
    const slot = hashOf(bytes, at, length) & (slots - 1)
    const there = known[slot]
    if (there !== undefined && isAt(there, bytes, at, length)) return there
    const text = read(bytes.subarray(at, at + length))
    known[slot] = text
    return text
  }
}

/** Both halves of it count. */
function hashOf (bytes: Uint8Array, at: number, length: number): number {
  const hash = fnv1a(bytes, at, length)
  return hash ^ (hash >>> 16)
}

/** Of ASCII alone: any other text is read anew. */
function isAt (text: string, bytes: Uint8Array, at: number, length: number): boolean {
  if (text.length !== length) return false
  for (let index = 0; index < length; index++) {
    const byte = bytes[at + index]!
    if (byte > 0x7f || byte !== text.charCodeAt(index)) return false
  }
  return true
}

function textOf (bytes: Uint8Array): string { return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') }
