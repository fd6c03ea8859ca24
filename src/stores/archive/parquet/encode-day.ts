/** Readings of one series and one UTC day, page by page -> the bytes of a Parquet file. A page is a row group, so that one page at a time is in memory. */

import { constants, zstdCompressSync } from 'node:zlib'
import { ByteWriter, type KeyValue, ParquetWriter } from 'hyparquet-writer'
import type { Calibration } from '../../../model/calibration.ts'
import { type DeviceModel, modelKey } from '../../../model/device-model.ts'
import { FLAG, type Sid, type StoredReading } from '../../../model/reading.ts'
import { READINGS } from '../../../model/streams.ts'
import { assertObjectBytes } from '../../../platform/objects/object-store.ts'
import { ENVELOPE_BYTES } from '../../../security/envelope.ts'
import { type Column, columnsOf } from './columns.ts'

/** What a file says of itself, beside its columns. */
export interface DayFacts {
  sid: Sid
  model: DeviceModel
  calibrations: readonly Calibration[]
  /** Days since 1970-01-01, UTC. */
  day: number
  version: number
  /** Number of the change that the file holds the state of. */
  change: number
  /** Version and commit of the Oxbow that writes it. */
  pipelineVersion: string
}

export interface DayEncoder {
  /** Ascending in (takenAt, sequence), across pages too; at most {@link PAGE_ROWS}. @throws ServiceError OBJECT_TOO_LARGE once sealed bytes would be too many */
  add (page: readonly StoredReading[]): void
  readonly rows: number
  /** The whole file; nothing can be added any more. @throws ServiceError OBJECT_TOO_LARGE */
  finish (): Uint8Array
}

/** Rows of a row group: to encode one takes about as long as a request at the door may well wait. */
export const PAGE_ROWS = 4_096
/** Of names and meaning of columns and key-value pairs; raised when a reader must tell old from new. */
const LAYOUT = '1'
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 3 } }

export function createDayEncoder (facts: DayFacts): DayEncoder {
  const columns = columnsOf(facts.model, facts.calibrations)
  const buffer = new ByteWriter()
  const writer = new ParquetWriter({
    writer: buffer,
    schema: [{ name: 'reading', num_children: columns.length }, ...columns.map(({ element }) => element)],
    codec: 'ZSTD',
    compressors: { ZSTD: bytes => zstdCompressSync(bytes, ZSTD) },
    createdBy: `oxbow version ${facts.pipelineVersion}`
  })
  let rows = 0
  const assertSize = () => { assertObjectBytes(buffer.offset + ENVELOPE_BYTES) }
  return {
    get rows () { return rows },
    add (page) {
      if (page.length === 0) return
      // Nothing waits on a buffer in memory, so it is done on return.
      void writer.write({ columnData: columns.map(column => ({ name: column.element.name, ...cellsOf(column, page) })), rowGroupSize: page.length })
      rows += page.length
      assertSize()
    },
    finish () {
      writer.kvMetadata = keyValues(facts, columns, rows)
      void writer.finish()
      assertSize()
      return buffer.getBytes()
    }
  }
}

/** Times, counters and offsets rise: their differences are small. */
function cellsOf ({ element, of }: Column, page: readonly StoredReading[]) {
  if (element.type === 'INT64') return { data: BigInt64Array.from(page, reading => BigInt(of(reading)!)), encoding: 'DELTA_BINARY_PACKED' as const }
  if (element.repetition_type === 'REQUIRED') return { data: Int32Array.from(page, reading => of(reading)!) }
  return { data: page.map(of) }
}

function keyValues (facts: DayFacts, columns: readonly Column[], rows: number): KeyValue[] {
  const pairs: Record<string, string> = {
    'oxbow.layout': LAYOUT,
    'oxbow.sid': facts.sid,
    'oxbow.model': modelKey(facts.model),
    'oxbow.day': new Date(facts.day * 86_400_000).toISOString().slice(0, 10),
    'oxbow.time_zone': 'UTC',
    'oxbow.version': String(facts.version),
    'oxbow.change': String(facts.change),
    'oxbow.rows': String(rows),
    'oxbow.pipeline_version': facts.pipelineVersion,
    'oxbow.source_topic': READINGS,
    'oxbow.units': JSON.stringify(Object.fromEntries(columns.flatMap(({ element, unit }) => unit === undefined ? [] : [[element.name, unit]]))),
    'oxbow.flags': JSON.stringify(FLAG)
  }
  return Object.entries(pairs).map(([key, value]) => ({ key, value }))
}
