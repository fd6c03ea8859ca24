/** Readings read again from the archive beside the rows that stand: gathered, given out by identity, and rows put right. */

import type { Pool, PoolClient } from 'pg'
import { CHANNELS_MAX, type Reading } from '../../model/reading.ts'
import { DAY_MS, type EpochMs, type Millivolt, type Percent } from '../../model/units.ts'
import { createCopyBuffer } from '../../platform/postgres/copy.ts'
import { withClient } from '../../platform/postgres/pool.ts'
import { sendBatch } from '../../platform/postgres/send-batch.ts'
import type { RowKey } from '../../stream/sink.ts'
import { holdWatched, notingChanges } from './changed-days.ts'
import { codeOfCause } from './commit-parts.ts'
import { givingWay } from './giving-way.ts'
import { ANY_NUMBER_DECOMPRESSED, type Row, rowsOf } from './query.ts'
import { decodeValues, encodeValues } from './reading-row.ts'
import { type ReprocessJob, saveStatement } from './reprocess-job.ts'
import { dayOf, timeParameter } from './sql-values.ts'

/** A reading as the rules of today read its bytes. */
export interface Original extends Reading { series: number, schemaId: number, receivedAt: EpochMs }

const COLUMNS = 'series, taken_at, sequence, schema_id, received_at, firmware, flags, quality, battery, v0, v1, v2, v3, v4, v5, v6, v7'
const FIRST_VALUE = 9

/** In their order, in one transaction with how far the job is. */
export async function gatherOriginals (pool: Pool, originals: readonly Original[], job: ReprocessJob, now: EpochMs): Promise<void> {
  const copy = createCopyBuffer()
  for (const one of originals) {
    copy.row(FIRST_VALUE + CHANNELS_MAX)
    copy.int4(one.series)
    copy.timestamptz(one.takenAt)
    copy.int8(one.sequence)
    copy.int4(one.schemaId)
    copy.timestamptz(one.receivedAt)
    copy.int4(one.firmware)
    copy.int4(one.flags)
    one.quality === undefined ? copy.null() : copy.int2(one.quality)
    one.battery === undefined ? copy.null() : copy.int4(one.battery)
    encodeValues(copy, one.values)
  }
  const gathered = { copy: `copy series.reprocess_original (${COLUMNS}) from stdin (format binary)`, bytes: copy.bytes() }
  await withClient(pool, client => sendBatch(client, [...(originals.length > 0 ? [gathered] : []), saveStatement(job, now)]))
}

/** Of the identities behind `after`, about as many originals as `limit`: ascending, those of one identity together and in the order of the archive. None: the end. */
export async function originalsAfter (pool: Pool, after: RowKey | undefined, limit: number): Promise<Original[][]> {
  const { series, takenAt, sequence } = after ?? { series: -1, takenAt: Number.NEGATIVE_INFINITY, sequence: -1 }
  const rows = await rowsOf(pool, `select ${COLUMNS} from series.reprocess_original where (series, taken_at, sequence) > ($1, $2::timestamptz, $3::bigint)
    order by series, taken_at, sequence, arrival limit $4`, [series, timeParameter(takenAt), sequence, limit])
  const groups: Original[][] = []
  for (const one of rows.map(decode)) {
    const last = groups.at(-1)
    const before = last?.[0]
    if (before !== undefined && before.series === one.series && before.takenAt === one.takenAt && before.sequence === one.sequence) last!.push(one)
    else groups.push([one])
  }
  if (rows.length < limit) return groups
  // The last one may go on.
  return groups.length > 1 ? groups.slice(0, -1) : originalsAfter(pool, after, limit * 2)
}

function decode (row: Row): Original {
  return {
    series: row[0] as number, takenAt: row[1] as EpochMs, sequence: row[2] as number, schemaId: row[3] as number, receivedAt: row[4] as EpochMs,
    firmware: row[5] as number, flags: row[6] as number, quality: (row[7] as Percent | null) ?? undefined, battery: (row[8] as Millivolt | null) ?? undefined,
    values: decodeValues(row, FIRST_VALUE)
  }
}

/** How many readings of the span stand there. @param series absent: of all */
export async function countReadings (pool: Pool, from: EpochMs, to: EpochMs, series: readonly number[] | undefined): Promise<number> {
  const [row] = await rowsOf(pool, 'select count(*) from series.reading where taken_at >= $1 and taken_at < $2 and ($3::int[] is null or series = any($3))',
    [timeParameter(from), timeParameter(to), series])
  return row![0] as number
}

/** A row as it is to stand; what is absent here is left as it is there. */
export type CorrectedRow = RowKey & Pick<Reading, 'values' | 'battery' | 'quality' | 'flags'>

export interface CorrectedRows {
  rows: readonly CorrectedRow[]
  /** Window sizes in use: windows of these that hold the rows, and those that depend on them, are marked in the same transaction. */
  sizesMs: readonly number[]
  lookback: number
}

export async function correctReadings (pool: Pool, { rows, sizesMs, lookback }: CorrectedRows): Promise<void> {
  await givingWay(pool, async client => {
    await holdWatched(client)
    await rowsOf(client, ANY_NUMBER_DECOMPRESSED)
    for (const [day, group] of Map.groupBy(rows, ({ takenAt }) => dayOf(takenAt))) await correctDay(client, day, group)
    for (const [series, group] of Map.groupBy(rows, row => row.series)) {
      await rowsOf(client, `select series.mark_windows($1, $2, $3, coalesce((select bus_partition from series.sid where number = $1), 0)::int, ${codeOfCause('reprocessed')}, $4, $5)`,
        [series, sizesMs, group.map(({ takenAt }) => timeParameter(takenAt)), timeParameter(0), lookback])
    }
  })
}

async function correctDay (client: PoolClient, day: number, rows: readonly CorrectedRow[]): Promise<void> {
  const channels = Array.from({ length: CHANNELS_MAX }, (_, channel) => channel)
  await rowsOf(client, notingChanges(`update series.reading r set flags = u.flags, quality = coalesce(u.quality, r.quality), battery = coalesce(u.battery, r.battery),
      ${channels.map(channel => `v${channel} = coalesce(u.v${channel}, r.v${channel})`).join(', ')}
    from unnest($1::int[], $2::float8[], $3::bigint[], $4::int[], $5::smallint[], $6::int[], ${channels.map(channel => `$${channel + 9}::float8[]`).join(', ')})
      u (series, ms, sequence, flags, quality, battery, ${channels.map(channel => `v${channel}`).join(', ')})
    where r.series = u.series and r.taken_at = to_timestamp(u.ms / 1000) and r.sequence = u.sequence and r.taken_at >= $7 and r.taken_at < $8`, 'r.series, r.taken_at'),
  [rows.map(row => row.series), rows.map(row => row.takenAt), rows.map(row => row.sequence), rows.map(row => row.flags), rows.map(row => row.quality ?? null),
    rows.map(row => row.battery ?? null), timeParameter(day * DAY_MS), timeParameter((day + 1) * DAY_MS), ...channels.map(channel => rows.map(row => row.values[channel] ?? null))])
}
