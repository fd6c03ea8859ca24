/** Questions about stored readings. Each looks only into the days on which the series may hold rows. */

import type { Pool } from 'pg'
import { DAY_MS, type EpochMs, epochMs } from '../../model/units.ts'
import type { RowIn, RowKey } from '../../stream/sink.ts'
import { rowsOf } from './query.ts'
import { decodeReading, READING_COLUMNS } from './reading-row.ts'
import { clampTime, dayOf, dayParameter, timeParameter } from './sql-values.ts'

/** Up to this span the rows are asked for at once, without asking for the days first. */
const SPAN_AT_ONCE_MS = 2 * DAY_MS
const COLUMNS_OF_R = READING_COLUMNS.split(', ').map(column => `r.${column}`).join(', ')

/** Rows of [from, until), ascending in (takenAt, sequence), at most `limit`. */
export async function readings (pool: Pool, series: number, from: EpochMs, until: EpochMs, limit: number): Promise<RowIn[]> {
  if (until <= from) return []
  if (until - from <= SPAN_AT_ONCE_MS) return span(pool, series, from, until, limit, 'asc')
  const rows: RowIn[] = []
  for (const day of await daysOf(pool, series, from, until, 'asc')) {
    if (rows.length >= limit) break
    rows.push(...await span(pool, series, Math.max(from, day * DAY_MS), Math.min(until, (day + 1) * DAY_MS), limit - rows.length, 'asc'))
  }
  return rows
}

/** The newest `count` rows before `time`, ascending. */
export async function readingsBefore (pool: Pool, series: number, time: EpochMs, count: number): Promise<RowIn[]> {
  const rows = await span(pool, series, time - SPAN_AT_ONCE_MS, time, count, 'desc')
  if (rows.length < count) {
    const before = epochMs(time - SPAN_AT_ONCE_MS)
    for (const day of await daysOf(pool, series, epochMs(-Infinity), before, 'desc')) {
      if (rows.length >= count) break
      rows.push(...await span(pool, series, day * DAY_MS, Math.min(before, (day + 1) * DAY_MS), count - rows.length, 'desc'))
    }
  }
  return rows.reverse()
}

/** Stored rows among the given keys, in no order. */
export async function existing (pool: Pool, keys: readonly RowKey[]): Promise<RowIn[]> {
  const rows: RowIn[] = []
  for (const [day, group] of Map.groupBy(keys, ({ takenAt }) => dayOf(takenAt))) {
    const found = await rowsOf(pool, `select ${COLUMNS_OF_R} from unnest($1::int[], $2::float8[], $3::bigint[]) k (series, ms, sequence)
      join series.reading r on r.series = k.series and r.taken_at = to_timestamp(k.ms / 1000) and r.sequence = k.sequence
      where r.taken_at >= $4 and r.taken_at < $5`,
    [group.map(key => key.series), group.map(key => key.takenAt), group.map(key => key.sequence), ...dayBounds(day)])
    for (const row of found) rows.push(decodeReading(row))
  }
  return rows
}

/** Rows of several series on one day from a time on, at most `limit` of each, ascending by series, then (takenAt, sequence). */
export async function readingsOnDay (pool: Pool, day: number, wanted: readonly { series: number, from: number }[], limit: number, order: 'asc' | 'desc' = 'asc'): Promise<RowIn[]> {
  const rows = await rowsOf(pool, `select ${COLUMNS_OF_R} from unnest($1::int[], $2::float8[]) s (series, ms) cross join lateral (
      select ${READING_COLUMNS} from series.reading
       where series = s.series and taken_at >= to_timestamp(s.ms / 1000) and taken_at >= $3 and taken_at < $4
       order by taken_at ${order}, sequence ${order} limit $5) r
    order by r.series, r.taken_at, r.sequence`,
  [wanted.map(({ series }) => series), wanted.map(({ from }) => clampTime(from)), ...dayBounds(day), limit])
  return rows.map(decodeReading)
}

/** All rows of a day, ascending in (takenAt, sequence), at most `rowsMax` at a time. Each page is of its own moment. */
export async function * readingsByPage (pool: Pool, series: number, day: number, rowsMax: number): AsyncGenerator<RowIn[]> {
  const [from, until] = dayBounds(day)
  for (let last: readonly [string, number] = [timeParameter(day * DAY_MS - 1), 0]; ;) {
    const rows = await rowsOf(pool, `select ${READING_COLUMNS} from series.reading where series = $1 and taken_at >= $2 and taken_at < $3 and (taken_at, sequence) > ($4, $5)
      order by taken_at, sequence limit $6`, [series, from, until, ...last, rowsMax])
    if (rows.length > 0) yield rows.map(decodeReading)
    if (rows.length < rowsMax) return
    const { takenAt, sequence } = decodeReading(rows.at(-1)!)
    last = [timeParameter(takenAt), sequence]
  }
}

async function span (pool: Pool, series: number, from: number, until: number, limit: number, order: 'asc' | 'desc'): Promise<RowIn[]> {
  const rows = await rowsOf(pool, `select ${READING_COLUMNS} from series.reading where series = $1 and taken_at >= $2 and taken_at < $3
    order by taken_at ${order}, sequence ${order} limit $4`, [series, timeParameter(from), timeParameter(until), limit])
  return rows.map(decodeReading)
}

/** Days on which the series may hold rows of [from, until). */
async function daysOf (pool: Pool, series: number, from: number, until: number, order: 'asc' | 'desc'): Promise<number[]> {
  const rows = await rowsOf(pool, `select day - date '1970-01-01' from series.day where series = $1 and day >= $2 and day <= $3 order by day ${order}`,
    [series, dayParameter(dayOf(clampTime(from))), dayParameter(dayOf(clampTime(until)))])
  return rows.map(([day]) => day as number)
}

function dayBounds (day: number): [string, string] { return [timeParameter(day * DAY_MS), timeParameter((day + 1) * DAY_MS)] }
