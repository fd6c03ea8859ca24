/** The readings of one series that its open windows are made from, packed: a hundred thousand sensors have ten million of them in memory. */

import type { StoredReading } from '../model/reading.ts'
import { type EpochMs, epochMs, millivolt, percent } from '../model/units.ts'

// Columns of a row; the channels follow. NaN: absent.
const TAKEN_AT = 0
const SEQUENCE = 1
const SCHEMA = 2
const PARTITION = 3
const OFFSET = 4
const FIRMWARE = 5
const FLAGS = 6
const BATTERY = 7
const QUALITY = 8
const FIRST_CHANNEL = 9

/** Ascending in (takenAt, sequence), each identity once. What it gives out is a copy. */
export class OpenReadings {
  #rows: Float64Array
  #length = 0
  readonly #width: number

  /** @param readings ascending */
  constructor (channelCount: number, readings: readonly StoredReading[] = []) {
    this.#width = FIRST_CHANNEL + channelCount
    this.#rows = new Float64Array(readings.length * this.#width)
    for (const reading of readings) this.#write(this.#length++, reading)
  }

  get length (): number { return this.#length }

  takenAt (place: number): EpochMs { return epochMs(this.#rows[place * this.#width + TAKEN_AT]!) }

  /** Place of the first reading at or after (takenAt, sequence). */
  lowerBound (takenAt: number, sequence = -Infinity): number {
    let low = 0
    let high = this.#length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#isBefore(middle, takenAt, sequence)) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Place of the reading with this identity; -1: none. */
  find (takenAt: EpochMs, sequence: number): number {
    if (this.#length === 0 || this.#isBefore(this.#length - 1, takenAt, sequence)) return -1
    const place = this.lowerBound(takenAt, sequence)
    return this.#isAt(place, takenAt, sequence) ? place : -1
  }

  /** Takes the place of the reading with the same identity, if there is one. */
  put (reading: StoredReading): void {
    const { takenAt, sequence } = reading
    const isLast = this.#length === 0 || this.#isBefore(this.#length - 1, takenAt, sequence)
    const place = isLast ? this.#length : this.lowerBound(takenAt, sequence)
    if (isLast || !this.#isAt(place, takenAt, sequence)) this.#makeRoom(place)
    this.#write(place, reading)
  }

  at (place: number): StoredReading {
    const rows = this.#rows
    const at = place * this.#width
    const battery = rows[at + BATTERY]!
    const quality = rows[at + QUALITY]!
    const values: (number | undefined)[] = []
    for (let column = FIRST_CHANNEL; column < this.#width; column++) {
      const value = rows[at + column]!
      values.push(Number.isNaN(value) ? undefined : value)
    }
    return {
      takenAt: epochMs(rows[at + TAKEN_AT]!),
      sequence: rows[at + SEQUENCE]!,
      values,
      battery: Number.isNaN(battery) ? undefined : millivolt(battery),
      quality: Number.isNaN(quality) ? undefined : percent(quality),
      firmware: rows[at + FIRMWARE]!,
      flags: rows[at + FLAGS]!,
      schemaId: rows[at + SCHEMA]!,
      partition: rows[at + PARTITION]!,
      offset: rows[at + OFFSET]!
    }
  }

  /** @param until exclusive */
  slice (from: number, until: number): StoredReading[] {
    const readings: StoredReading[] = []
    for (let place = from; place < Math.min(until, this.#length); place++) readings.push(this.at(place))
    return readings
  }

  /** Forgets the first `count` readings. */
  drop (count: number): void {
    this.#rows.copyWithin(0, count * this.#width, this.#length * this.#width)
    this.#length -= count
    if (this.#length < this.#capacity() / 4) this.#resize(this.#length)
  }

  #isBefore (place: number, takenAt: number, sequence: number): boolean {
    const at = place * this.#width
    const there = this.#rows[at + TAKEN_AT]!
    return there < takenAt || (there === takenAt && this.#rows[at + SEQUENCE]! < sequence)
  }

  #isAt (place: number, takenAt: number, sequence: number): boolean {
    const at = place * this.#width
    return this.#rows[at + TAKEN_AT] === takenAt && this.#rows[at + SEQUENCE] === sequence
  }

  #capacity (): number { return this.#rows.length / this.#width }

  #makeRoom (place: number): void {
    if (this.#length === this.#capacity()) this.#resize(this.#length + (this.#length >>> 1) + 1)
    if (place < this.#length) this.#rows.copyWithin((place + 1) * this.#width, place * this.#width, this.#length * this.#width)
    this.#length++
  }

  #resize (capacity: number): void {
    const rows = new Float64Array(capacity * this.#width)
    rows.set(this.#rows.subarray(0, this.#length * this.#width))
    this.#rows = rows
  }

  #write (place: number, { takenAt, sequence, values, battery, quality, firmware, flags, schemaId, partition, offset }: StoredReading): void {
    const rows = this.#rows
    const at = place * this.#width
    rows[at + TAKEN_AT] = takenAt
    rows[at + SEQUENCE] = sequence
    rows[at + SCHEMA] = schemaId
    rows[at + PARTITION] = partition
    rows[at + OFFSET] = offset
    rows[at + FIRMWARE] = firmware
    rows[at + FLAGS] = flags
    rows[at + BATTERY] = battery ?? Number.NaN
    rows[at + QUALITY] = quality ?? Number.NaN
    for (let column = FIRST_CHANNEL; column < this.#width; column++) rows[at + column] = values[column - FIRST_CHANNEL] ?? Number.NaN
  }
}
