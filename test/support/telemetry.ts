/** Telemetry bodies for tests, in every format the door takes. */

import avro from 'avsc'
import { TISSUE_OXYGEN_V1, TISSUE_OXYGEN_V2 } from '../../src/ingest/decode/fixed-schemas.ts'

export interface SentV1 {
  deviceId: string
  patientId: string | null
  timestamp_utc: number
  spo2: number
  local_tissue_o2: number
  battery_mv: number
  firmware_version: string
  signal_quality: number
}

export interface SentV2 {
  deviceId: string
  patientId: string | null
  timestamp_utc: number
  sequence: number | null
  channels: { metric: string, kind: string, unit: string, value: number }[]
  battery_mv: number | null
  firmware_version: string | null
  signal_quality: number | null
}

export const TAKEN_AT = Date.UTC(2026, 2, 1, 12)

export const V1_TYPE = avro.Type.forSchema(TISSUE_OXYGEN_V1 as unknown as avro.Schema, { wrapUnions: false })
export const V2_TYPE = avro.Type.forSchema(TISSUE_OXYGEN_V2 as unknown as avro.Schema, { wrapUnions: false })

export function sentV1 (change: Partial<SentV1> = {}): SentV1 {
  return {
    deviceId: 'device-1', patientId: null, timestamp_utc: TAKEN_AT, spo2: 97.5, local_tissue_o2: 38.2, battery_mv: 3700, firmware_version: '2.4.1',
    signal_quality: 92, ...change
  }
}

export function sentV2 (change: Partial<SentV2> = {}): SentV2 {
  return {
    deviceId: 'device-1', patientId: null, timestamp_utc: TAKEN_AT, sequence: 7,
    channels: [{ metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', value: 38.2 }, { metric: 'spo2', kind: 'spo2', unit: '%', value: 97.5 }],
    battery_mv: 3700, firmware_version: '2.4.1', signal_quality: 92, ...change
  }
}

export function json (value: unknown): Buffer { return Buffer.from(JSON.stringify(value)) }

export function ndjson (values: readonly unknown[]): Buffer { return Buffer.from(values.map(value => `${JSON.stringify(value)}\n`).join('')) }

/** 0x00, schema id, records back to back. */
export function framed (schemaId: number, records: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(schemaId, 1)
  return Buffer.concat([head, ...records])
}

export function framedV1 (records: readonly SentV1[]): Buffer { return framed(1, records.map(record => V1_TYPE.toBuffer(record))) }
export function framedV2 (records: readonly SentV2[]): Buffer { return framed(2, records.map(record => V2_TYPE.toBuffer(record))) }

/** An object container file, written by the library the devices use. */
export async function container (schema: object, records: readonly unknown[], codec: 'null' | 'deflate' = 'null'): Promise<Buffer> {
  const encoder = new avro.streams.BlockEncoder(avro.Type.forSchema(schema as avro.Schema, { wrapUnions: false }), { codec })
  const chunks: Buffer[] = []
  const done = new Promise<void>((resolve, reject) => {
    encoder.on('data', (chunk: Buffer) => { chunks.push(chunk) })
    encoder.on('end', () => resolve())
    encoder.on('error', reject)
  })
  for (const record of records) encoder.write(record)
  encoder.end()
  await done
  return Buffer.concat(chunks)
}
