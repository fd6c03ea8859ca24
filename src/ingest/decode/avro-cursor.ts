/** Reads Avro's binary encoding from bytes that may be cut short or hostile: never past the end, never more work than there are bytes. */

import { isUtf8 } from 'node:buffer'

/** Once `failed`, every further read gives a neutral value; the caller looks once, behind the record. */
export class AvroCursor {
  readonly bytes: Buffer
  readonly end: number
  position: number
  failed = false
  /** Texts read before at the same place of a record: devices repeat their names. */
  readonly #texts: string[] = []
  readonly #textStarts: number[] = []
  readonly #textLengths: number[] = []

  constructor (bytes: Buffer, position = 0) {
    this.bytes = bytes
    this.position = position
    this.end = bytes.length
  }

  /** int and long. NaN when it does not fit 2^53 exactly. */
  long (): number {
    const { bytes, end } = this
    let value = 0
    let at = this.position
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= end) return this.#fail()
      const byte = bytes[at++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.position = at
        return (value >>> 1) ^ -(value & 1)
      }
    }
    // Above 28 bits in floating point: exact up to 2^53, and what is larger is refused.
    let wide = value
    let factor = 2 ** 28
    for (let count = 4; count < 10; count++) {
      if (at >= end) return this.#fail()
      const byte = bytes[at++]!
      wide += (byte & 0x7f) * factor
      factor *= 128
      if (byte >= 0x80) continue
      this.position = at
      if (wide > Number.MAX_SAFE_INTEGER) return this.#exactLong(wide, at)
      return wide % 2 === 0 ? wide / 2 : -(wide + 1) / 2
    }
    return this.#fail()
  }

  /** Zigzag doubles the number, so that 2^52 to 2^53 need more than a double holds. */
  #exactLong (wide: number, next: number): number {
    if (wide > 2 ** 54) return Number.NaN
    let exact = 0n
    let start = next - 1
    while (start > 0 && next - start < 10 && this.bytes[start - 1]! >= 0x80) start--
    for (let at = next - 1; at >= start; at--) exact = (exact << 7n) | BigInt(this.bytes[at]! & 0x7f)
    const value = (exact >> 1n) ^ -(exact & 1n)
    return value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : Number.NaN
  }

  double (): number {
    const at = this.position
    if (at + 8 > this.end) return this.#fail()
    this.position = at + 8
    return this.bytes.readDoubleLE(at)
  }

  float (): number {
    const at = this.position
    if (at + 4 > this.end) return this.#fail()
    this.position = at + 4
    return this.bytes.readFloatLE(at)
  }

  /** `slot`: place of the text in its record. `undefined` when it is longer than `lengthMax` bytes or not UTF-8. */
  text (slot: number, lengthMax: number): string | undefined {
    const length = this.#length()
    const start = this.position
    if (this.failed) return undefined
    this.position = start + length
    if (length > lengthMax) return undefined
    if (this.#textLengths[slot] === length && this.#isSame(this.#textStarts[slot]!, start, length)) return this.#texts[slot]
    const text = this.bytes.toString('utf8', start, start + length)
    if (text.includes('\ufffd') && !isUtf8(this.bytes.subarray(start, start + length))) return undefined
    this.#texts[slot] = text
    this.#textStarts[slot] = start
    this.#textLengths[slot] = length
    return text
  }

  raw (): Buffer {
    const length = this.#length()
    const start = this.position
    if (this.failed) return this.bytes.subarray(0, 0)
    this.position = start + length
    return this.bytes.subarray(start, start + length)
  }

  fixed (length: number): Buffer {
    const start = this.position
    if (start + length > this.end) {
      this.#fail()
      return this.bytes.subarray(0, 0)
    }
    this.position = start + length
    return this.bytes.subarray(start, start + length)
  }

  /** Items of the next block of an array or map; 0 ends it. An item has at least one byte, so no block has more than are left. */
  blockCount (): number {
    const count = this.long()
    if (count < 0) this.long()
    const items = Math.abs(count)
    return items <= this.end - this.position ? items : this.#fail()
  }

  /** Whether a union of null and one type holds the type. */
  isPresent (): boolean {
    const branch = this.long()
    if (branch !== 0 && branch !== 1) this.#fail()
    return branch === 1 && !this.failed
  }

  /** Which of `count` branches a union holds. */
  branch (count: number): number {
    const branch = this.long()
    return branch >= 0 && branch < count ? branch : this.#fail()
  }

  #length (): number {
    const length = this.long()
    return length >= 0 && length <= this.end - this.position ? length : this.#fail()
  }

  #isSame (a: number, b: number, length: number): boolean {
    const { bytes } = this
    for (let i = 0; i < length; i++) {
      if (bytes[a + i] !== bytes[b + i]) return false
    }
    return true
  }

  #fail (): number {
    this.failed = true
    this.position = this.end
    return 0
  }
}
