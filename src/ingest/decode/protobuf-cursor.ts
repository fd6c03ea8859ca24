/** Reads Protobuf's binary encoding from bytes that may be cut short or hostile: never past the end. */

import { isUtf8 } from 'node:buffer'

const TWO_32 = 2 ** 32

/** Once `failed`, every further read gives a neutral value; the caller looks once, behind the message. */
export class ProtobufCursor {
  readonly bytes: Buffer
  end: number
  position: number
  failed = false
  /** Halves of the last varint, without sign. */
  #low = 0
  #high = 0

  constructor (bytes: Buffer, position: number, end: number) {
    this.bytes = bytes
    this.position = position
    this.end = end
  }

  /** A varint of up to 64 bits into the halves. */
  #varint (): void {
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.end) break
      const byte = this.bytes[this.position++]!
      const bits = byte & 0x7f
      if (shift < 28) low += bits * 2 ** shift
      else if (shift === 28) {
        low += (bits & 0x0f) * 2 ** 28
        high += bits >>> 4
      } else high += bits * 2 ** (shift - 32)
      if (byte >= 0x80) continue
      this.#low = low
      // Of the tenth byte only the lowest bit counts.
      this.#high = high % TWO_32
      return
    }
    this.fail()
  }

  /** A tag, a length, an enum: what is above 2^53 is not exact, and fits nothing. */
  unsigned (): number {
    this.#varint()
    return this.failed ? 0 : this.#high * TWO_32 + this.#low
  }

  /** uint32 and uint64. NaN when it does not fit 2^53 exactly. */
  wholeUnsigned (): number { return exact(this.unsigned()) }

  /** int32 and int64, in two's complement. NaN when it does not fit 2^53 exactly. */
  whole (): number {
    this.#varint()
    return this.failed ? 0 : this.#signed(this.#low, this.#high)
  }

  /** sint32 and sint64. NaN when it does not fit 2^53 exactly. */
  zigzag (): number {
    this.#varint()
    if (this.failed) return 0
    // The lowest bit is the sign; the rest, inverted if it is set, is the number.
    const isNegative = (this.#low & 1) === 1
    const low = ((this.#low >>> 1) | ((this.#high & 1) << 31)) >>> 0
    const high = this.#high >>> 1
    return isNegative ? exact(-(high * TWO_32 + low) - 1) : exact(high * TWO_32 + low)
  }

  fixed32 (): number { return this.#has(4) ? this.bytes.readUInt32LE(this.position - 4) : 0 }
  sfixed32 (): number { return this.#has(4) ? this.bytes.readInt32LE(this.position - 4) : 0 }
  fixed64 (): number { return this.#has(8) ? exact(this.bytes.readUInt32LE(this.position - 4) * TWO_32 + this.bytes.readUInt32LE(this.position - 8)) : 0 }
  sfixed64 (): number { return this.#has(8) ? this.#signed(this.bytes.readUInt32LE(this.position - 8), this.bytes.readUInt32LE(this.position - 4)) : 0 }
  float (): number { return this.#has(4) ? this.bytes.readFloatLE(this.position - 4) : 0 }
  double (): number { return this.#has(8) ? this.bytes.readDoubleLE(this.position - 8) : 0 }

  /** `undefined` when it is longer than `lengthMax` bytes or not UTF-8. */
  text (lengthMax: number): string | undefined {
    const length = this.length()
    const start = this.position
    this.position = start + length
    if (this.failed || length > lengthMax) return undefined
    const text = this.bytes.toString('utf8', start, start + length)
    return text.includes('\ufffd') && !isUtf8(this.bytes.subarray(start, start + length)) ? undefined : text
  }

  /** Of the bytes that follow. */
  length (): number {
    const length = this.unsigned()
    if (length <= this.end - this.position) return length
    this.fail()
    return 0
  }

  skip (wireType: number): void {
    switch (wireType) {
      case 0: this.#varint(); break
      case 1: this.#has(8); break
      case 2: {
        const length = this.length()
        this.position += length
        break
      }
      case 5: this.#has(4); break
      // Groups are of the time before proto3, and never in what is read here.
      default: this.fail()
    }
  }

  fail (): void {
    this.failed = true
    this.position = this.end
  }

  /** Steps over so many bytes, if there are. */
  #has (count: number): boolean {
    if (this.position + count > this.end) {
      this.fail()
      return false
    }
    this.position += count
    return true
  }

  #signed (low: number, high: number): number { return exact((high | 0) * TWO_32 + low) }
}

function exact (value: number): number { return Number.isSafeInteger(value) ? value : Number.NaN }
