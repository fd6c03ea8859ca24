/** The record of `oxbow.readings.v1` in Avro: a `ReadingBatch` on the bus. Absent channels cost one bit.
 *  Written and read by hand: every reading passes here twice, and a general codec takes an object of its own for each. */

import { ServiceError } from './errors.ts'
import { isSid } from './handle.ts'
import type { Reading, ReadingBatch, Sid } from './reading.ts'
import { createTextMemory, type TextMemory } from './text-memory.ts'
import { epochMs, millivolt, percent } from './units.ts'

/** Registered as subject `oxbow.readings.v1`, version 1. `present` has bit i set when channel i has a value; `values` holds the present ones in channel order. */
export const READINGS_SCHEMA = {
  type: 'record',
  name: 'ReadingBatch',
  namespace: 'oxbow.v1',
  fields: [
    { name: 'sid', type: 'string' },
    { name: 'model', type: 'string' },
    { name: 'schemaId', type: 'int' },
    { name: 'receivedAt', type: 'long' },
    {
      name: 'readings',
      type: {
        type: 'array',
        items: {
          type: 'record',
          name: 'Reading',
          fields: [
            { name: 'takenAt', type: 'long' },
            { name: 'sequence', type: 'long' },
            { name: 'present', type: 'int' },
            { name: 'values', type: { type: 'array', items: 'double' } },
            { name: 'battery', type: 'int', doc: 'mV; -1 is absent' },
            { name: 'quality', type: 'int', doc: 'percent; -1 is absent' },
            { name: 'firmware', type: 'int' },
            { name: 'flags', type: 'int' }
          ]
        }
      }
    }
  ]
} as const

/** Most bytes of a batch without its texts, and of one reading without its values: each number at its longest. */
const BATCH_BYTES_MAX = 5 + 5 + 5 + 10 + 5 + 1
const READING_BYTES_MAX = 10 + 10 + 5 + 5 + 1 + 4 * 5
const VALUE_BYTES = 8
const UTF8_PER_UNIT_MAX = 3

export function encodeReadingBatch (batch: ReadingBatch): Buffer {
  const { sid, model, readings } = batch
  let room = BATCH_BYTES_MAX + (sid.length + model.length) * UTF8_PER_UNIT_MAX
  for (const { values } of readings) room += READING_BYTES_MAX + values.length * VALUE_BYTES
  const bytes = Buffer.allocUnsafe(room)
  let at = putText(bytes, 0, sid)
  at = putText(bytes, at, model)
  at = putLong(bytes, at, batch.schemaId)
  at = putLong(bytes, at, batch.receivedAt)
  if (readings.length > 0) at = putLong(bytes, at, readings.length)
  for (const reading of readings) at = putReading(bytes, at, reading)
  bytes[at++] = 0
  return bytes.subarray(0, at)
}

function putReading (bytes: Buffer, start: number, reading: Reading): number {
  const { values } = reading
  let present = 0
  let count = 0
  for (let channel = 0; channel < values.length; channel++) {
    if (values[channel] === undefined) continue
    present |= 1 << channel
    count++
  }
  let at = putLong(bytes, start, reading.takenAt)
  at = putLong(bytes, at, reading.sequence)
  at = putLong(bytes, at, present)
  if (count > 0) at = putLong(bytes, at, count)
  for (const value of values) if (value !== undefined) at = bytes.writeDoubleLE(value, at)
  bytes[at++] = 0
  at = putLong(bytes, at, reading.battery ?? -1)
  at = putLong(bytes, at, reading.quality ?? -1)
  at = putLong(bytes, at, reading.firmware)
  return putLong(bytes, at, reading.flags)
}

function putText (bytes: Buffer, start: number, text: string): number {
  const at = putLong(bytes, start, Buffer.byteLength(text))
  return at + bytes.write(text, at)
}

/** Zigzag, seven bits a byte, the least first. Safe integers below 2^52. */
function putLong (bytes: Buffer, start: number, value: number): number {
  let at = start
  let rest = value < 0 ? -2 * value - 1 : 2 * value
  while (rest > 0x7fff_ffff) {
    bytes[at++] = (rest % 128) | 0x80
    rest = Math.floor(rest / 128)
  }
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

/** @throws ServiceError fault when the bytes are not such a record, or its sid is none (prefix, length, case, check symbol): only our own writer fills the topic, so this is a broken program. */
export function decodeReadingBatch (bytes: Uint8Array): ReadingBatch {
  const cursor: Cursor = { bytes: bufferOf(bytes), at: 0 }
  const sid = takeText(cursor, sids) as Sid
  const model = takeText(cursor, models)
  const schemaId = takeLong(cursor)
  const receivedAt = epochMs(takeLong(cursor))
  const readings: Reading[] = []
  for (let left = takeCount(cursor); left > 0; left = takeCount(cursor)) {
    for (; left > 0; left--) readings.push(takeReading(cursor))
  }
  if (cursor.at !== bytes.length) throw damaged()
  return { sid, model, schemaId, receivedAt, readings }
}

/** How many readings a record holds, without reading them; 1 for one that is damaged. */
export function countReadings (bytes: Uint8Array): number {
  const cursor: Cursor = { bytes: bufferOf(bytes), at: 0 }
  try {
    passText(cursor)
    passText(cursor)
    takeLong(cursor)
    takeLong(cursor)
    return Math.max(1, takeCount(cursor))
  } catch {
    return 1
  }
}

interface Cursor { bytes: Buffer, at: number }

/** As a bus gives them they are one; a view of another kind would cost as much as the reading. */
function bufferOf (bytes: Uint8Array): Buffer { return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) }

function takeReading (cursor: Cursor): Reading {
  const takenAt = takeLong(cursor)
  const sequence = takeLong(cursor)
  const present = takeLong(cursor)
  let count = 0
  for (let bits = present; bits !== 0; bits &= bits - 1) count++
  if (takeCount(cursor) !== count) throw damaged()
  const values: (number | undefined)[] = []
  for (let channel = 0; present >> channel !== 0; channel++) {
    if (((present >> channel) & 1) === 0) { values.push(undefined); continue }
    values.push(cursor.bytes.readDoubleLE(cursor.at))
    cursor.at += VALUE_BYTES
  }
  if (count > 0 && takeCount(cursor) !== 0) throw damaged()
  const battery = takeLong(cursor)
  const quality = takeLong(cursor)
  return {
    takenAt: epochMs(takenAt), sequence, values, battery: battery < 0 ? undefined : millivolt(battery), quality: quality < 0 ? undefined : percent(quality),
    firmware: takeLong(cursor), flags: takeLong(cursor)
  }
}

function takeText (cursor: Cursor, memory: TextMemory): string {
  const length = takeCount(cursor)
  const text = memory(cursor.bytes, cursor.at, length)
  cursor.at += length
  return text
}

/** Those that a process has to do with, about. */
const SIDS_REMEMBERED = 1 << 15
const MODELS_REMEMBERED = 1 << 8
const sids = createTextMemory(SIDS_REMEMBERED, bytes => {
  const text = Buffer.from(bytes).toString('latin1')
  if (!isSid(text)) throw damaged()
  return text
})
const models = createTextMemory(MODELS_REMEMBERED)

function passText (cursor: Cursor): void {
  const length = takeCount(cursor)
  cursor.at += length
}

/** Of items or bytes that follow: never more than bytes are left, and never negative as our writer writes it. */
function takeCount (cursor: Cursor): number {
  const count = takeLong(cursor)
  if (count < 0 || count > cursor.bytes.length - cursor.at) throw damaged()
  return count
}

function takeLong (cursor: Cursor): number {
  const { bytes } = cursor
  let zigzag = 0
  let weight = 1
  let byte = 0x80
  while (byte > 0x7f) {
    if (cursor.at >= bytes.length || weight > WEIGHT_MAX) throw damaged()
    byte = bytes[cursor.at++]!
    zigzag += (byte & 0x7f) * weight
    weight *= 128
  }
  return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
}

/** Of the eighth byte: with it the number is still a safe integer. */
const WEIGHT_MAX = 2 ** 49

function damaged (): ServiceError { return new ServiceError('fault', 'INTERNAL', 'a record of the readings topic is damaged') }
