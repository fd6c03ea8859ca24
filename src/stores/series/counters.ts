/** What came in and what became of it, per series and hour of arrival: accepted = stored + duplicate + conflict (law 4). */

import type { Pool } from 'pg'
import type { Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import { rowsOf } from './query.ts'
import { timeParameter } from './sql-values.ts'

export interface Counts { accepted: number, stored: number, duplicate: number, conflict: number }

export interface HourCounts extends Counts { sid: Sid, hour: EpochMs }

/** Ascending by hour, then sid; hours in [from, until). */
export async function countsByHour (pool: Pool, from: EpochMs, until: EpochMs, limit: number): Promise<HourCounts[]> {
  const rows = await rowsOf(pool, `select s.sid, c.hour, c.accepted, c.stored, c.duplicate, c.conflict from series.counts c join series.sid s on s.number = c.series
    where c.hour >= $1 and c.hour < $2 order by c.hour, s.sid limit $3`, [timeParameter(from), timeParameter(until), limit])
  return rows.map(([sid, hour, ...counts]) => ({ sid: sid as Sid, hour: hour as EpochMs, ...countsOf(counts) }))
}

/** Sums over all series, by hour in [from, until), ascending. */
export async function storedByHour (pool: Pool, from: EpochMs, until: EpochMs): Promise<Map<EpochMs, Counts>> {
  const rows = await rowsOf(pool, `select hour, sum(accepted)::bigint, sum(stored)::bigint, sum(duplicate)::bigint, sum(conflict)::bigint
    from series.counts where hour >= $1 and hour < $2 group by hour order by hour`, [timeParameter(from), timeParameter(until)])
  return new Map(rows.map(([hour, ...counts]) => [hour as EpochMs, countsOf(counts)]))
}

/** Sums over all hours, by sid. */
export async function countsBySid (pool: Pool): Promise<Map<Sid, Counts>> {
  const rows = await rowsOf(pool, `select s.sid, sum(c.accepted)::bigint, sum(c.stored)::bigint, sum(c.duplicate)::bigint, sum(c.conflict)::bigint
    from series.counts c join series.sid s on s.number = c.series group by s.sid`)
  return new Map(rows.map(([sid, ...counts]) => [sid as Sid, countsOf(counts)]))
}

/** Those of these series that ever got another value for a reading that stood. */
export async function conflictedSeries (pool: Pool, series: readonly number[]): Promise<ReadonlySet<number>> {
  const rows = await rowsOf(pool, 'select distinct series from series.counts where series = any($1) and conflict > 0', [series])
  return new Set(rows.map(([number]) => number as number))
}

/** Adds up what commits have counted; the sums stay the same. One at a time, others return at once. */
export async function foldCounters (pool: Pool): Promise<void> {
  await rowsOf(pool, 'select series.fold_counters()')
}

function countsOf (fields: readonly unknown[]): Counts {
  const [accepted, stored, duplicate, conflict] = fields as number[]
  return { accepted: accepted!, stored: stored!, duplicate: duplicate!, conflict: conflict! }
}
