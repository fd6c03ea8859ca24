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
  const { values } = row
  for (let channel = 0; channel < CHANNELS_MAX; channel++) {
    const value = values[channel]
    value === undefined ? copy.null() : copy.float8(value)
  }
}

/** @param fields {@link READING_COLUMNS} */
export function decodeReading (fields: Row): RowIn {
  let count = CHANNELS_MAX
  while (count > 0 && fields[FIRST_VALUE + count - 1] === null) count--
  const values: (number | undefined)[] = []
  for (let channel = 0; channel < count; channel++) values.push((fields[FIRST_VALUE + channel] as number | null) ?? undefined)
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
    values
  }
}
