/** Parquet bytes -> what two readers that are not ours make of them. */

import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { DuckDBInstance } from '@duckdb/node-api'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import type { DeviceModel } from '../../src/model/device-model.ts'
import type { StoredReading } from '../../src/model/reading.ts'
import { epochMs, millivolt, percent } from '../../src/model/units.ts'
import { temporaryFolder } from './temporary-folder.ts'

export type Cells = Record<string, unknown>

/** Three channels: one that may be calibrated, one that may not, one that nobody sends. */
export const MODEL: DeviceModel = {
  manufacturer: 'Example',
  modelNumber: '1',
  display: 'Example',
  channels: [
    { metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', periodMs: 1000, technicalRange: { low: 0, high: 160 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'optional' },
    { metric: 'spo2', kind: 'spo2', unit: '%', periodMs: 1000, technicalRange: { low: 0, high: 100 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'none' },
    { metric: 'tissue-sto2', kind: 'tissue-sto2', unit: '%', periodMs: 1000, technicalRange: { low: 0, high: 100 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'optional' }
  ],
  batteryRange: { low: 0, high: 6000 }
}

export function readingAt (ms: number, parts: Partial<StoredReading> = {}): StoredReading {
  return {
    takenAt: epochMs(ms), sequence: 0, values: [41.2, 97.5], battery: millivolt(3700), quality: percent(93), firmware: 1, flags: 0, schemaId: 2, partition: 0, offset: 17, ...parts
  }
}

/** As hyparquet reads it. */
export async function rowsByHyparquet (bytes: Uint8Array): Promise<Cells[]> {
  return parquetReadObjects({ file: bufferOf(bytes), compressors: { ZSTD: input => zstdDecompressSync(input) } })
}

export function metadataOf (bytes: Uint8Array) { return parquetMetadata(bufferOf(bytes)) }

/** As DuckDB answers; the file is the table `day`. */
export async function askDuckDb (bytes: Uint8Array, sql: string): Promise<Cells[]> {
  const folder = temporaryFolder('duckdb')
  try {
    const path = join(folder, 'day.parquet')
    await writeFile(path, bytes)
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    await connection.run(`set timezone = 'America/New_York'; create view day as select * from read_parquet('${path}')`)
    const answer = (await connection.runAndReadAll(sql)).getRowObjectsJS() as Cells[]
    connection.closeSync()
    instance.closeSync()
    return answer
  } finally {
    await rm(folder, { recursive: true })
  }
}

function bufferOf (bytes: Uint8Array): ArrayBuffer { return Uint8Array.from(bytes).buffer }
