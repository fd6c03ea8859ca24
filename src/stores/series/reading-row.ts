/** Reading <-> row of `series.reading`. */

import { CHANNELS_MAX } from '../../model/reading.ts'
import type { EpochMs, Millivolt, Percent } from '../../model/units.ts'
import type { CopyBuffer } from '../../platform/postgres/copy.ts'
import type { RowIn } from '../../stream/sink.ts'
import type { Row } from './query.ts'

export const READING_COLUMNS = 'series, schema_id, taken_at, sequence, src_offset, firmware, flags, partition, quality, battery, v0, v1, v2, v3, v4, v5, v6, v7'
const FIRST_VALUE = 10
const FIELDS = FIRST_VALUE + CHANNELS_MAX

export function encodeReading (copy: CopyBuffer, row: RowIn): void {
  copy.row(FIELDS)
  copy.int4(row.series)
  copy.int4(row.schemaId)
  copy.timestamptz(row.takenAt)
  copy.int8(row.sequence)
  copy.int8(row.offset)
  copy.int4(row.firmware)
  copy.int4(row.flags)
  copy.int2(row.partition)
  row.quality === undefined ? copy.null() : copy.int2(row.quality)
  row.battery === undefined ? copy.null() : copy.int4(row.battery)
  encodeValues(copy, row.values)
}

/** {@link CHANNELS_MAX} columns, v0 on; those without a value are null. */
export function encodeValues (copy: CopyBuffer, values: RowIn['values']): void {
  for (let channel = 0; channel < CHANNELS_MAX; channel++) {
    const value = values[channel]
    value === undefined ? copy.null() : copy.float8(value)
  }
}

/** @param fields {@link READING_COLUMNS} */
export function decodeReading (fields: Row): RowIn {
  return {
    series: fields[0] as number,
    schemaId: fields[1] as number,
    takenAt: fields[2] as EpochMs,
    sequence: fields[3] as number,
    offset: fields[4] as number,
    firmware: fields[5] as number,
    flags: fields[6] as number,
    partition: fields[7] as number,
    quality: (fields[8] as Percent | null) ?? undefined,
    battery: (fields[9] as Millivolt | null) ?? undefined,
    values: decodeValues(fields, FIRST_VALUE)
  }
}

/** As far as there are values. @param first place of v0 */
export function decodeValues (fields: Row, first: number): (number | undefined)[] {
  let count = CHANNELS_MAX
  while (count > 0 && fields[first + count - 1] === null) count--
  const values: (number | undefined)[] = []
  for (let channel = 0; channel < count; channel++) values.push((fields[first + channel] as number | null) ?? undefined)
  return values
}
