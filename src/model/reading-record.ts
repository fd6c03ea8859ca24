/** The record of `oxbow.readings.v1` in Avro: a `ReadingBatch` on the bus. Absent channels cost one bit. */

import avro from 'avsc'
import type { Reading, ReadingBatch, Sid } from './reading.ts'
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

interface WireReading { takenAt: number, sequence: number, present: number, values: number[], battery: number, quality: number, firmware: number, flags: number }
interface WireBatch { sid: string, model: string, schemaId: number, receivedAt: number, readings: WireReading[] }

const type = avro.Type.forSchema(READINGS_SCHEMA as unknown as avro.Schema, { wrapUnions: false })

export function encodeReadingBatch (batch: ReadingBatch): Buffer {
  return type.toBuffer({
    sid: batch.sid,
    model: batch.model,
    schemaId: batch.schemaId,
    receivedAt: batch.receivedAt,
    readings: batch.readings.map(toWire)
  } satisfies WireBatch)
}

/** @throws when the bytes are not such a record: only our own writer fills the topic, so this is a broken program. */
export function decodeReadingBatch (bytes: Uint8Array): ReadingBatch {
  const wire = type.fromBuffer(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as WireBatch
  return {
    sid: wire.sid as Sid,
    model: wire.model,
    schemaId: wire.schemaId,
    receivedAt: epochMs(wire.receivedAt),
    readings: wire.readings.map(fromWire)
  }
}

function toWire (reading: Reading): WireReading {
  const values: number[] = []
  let present = 0
  for (let channel = 0; channel < reading.values.length; channel++) {
    const value = reading.values[channel]
    if (value === undefined) continue
    present |= 1 << channel
    values.push(value)
  }
  return {
    takenAt: reading.takenAt,
    sequence: reading.sequence,
    present,
    values,
    battery: reading.battery ?? -1,
    quality: reading.quality ?? -1,
    firmware: reading.firmware,
    flags: reading.flags
  }
}

function fromWire (wire: WireReading): Reading {
  const values: (number | undefined)[] = []
  let next = 0
  for (let channel = 0; wire.present >> channel !== 0; channel++) {
    values.push((wire.present >> channel) & 1 ? wire.values[next++] : undefined)
  }
  return {
    takenAt: epochMs(wire.takenAt),
    sequence: wire.sequence,
    values,
    battery: wire.battery < 0 ? undefined : millivolt(wire.battery),
    quality: wire.quality < 0 ? undefined : percent(wire.quality),
    firmware: wire.firmware,
    flags: wire.flags
  }
}
