/** What a runner needs to take up its series where the last commit left them. */

import type { Pool } from 'pg'
import type { ModelKey, Sid, StoredReading } from '../../model/reading.ts'
import { DAY_MS, type EpochMs } from '../../model/units.ts'
import type { SeriesState } from '../../stream/sink.ts'
import { rowsOf } from './query.ts'
import { readingsBefore, readingsOnDay } from './readings.ts'
import { clampTime, dayOf, timeParameter } from './sql-values.ts'

/** As of `Sink.own`. */
export async function own (pool: Pool, topic: string, partitions: readonly number[], token: string | undefined): Promise<string> {
  const [row] = await rowsOf(pool, 'select series.own($1, $2, $3)', [topic, partitions, token])
  return row![0] as string
}

/** Next offset wanted, by partition; a partition without one begins at 0. */
export async function resumePoints (pool: Pool, topic: string): Promise<Map<number, number>> {
  const rows = await rowsOf(pool, 'select partition, next_offset from series.resume_point where topic = $1', [topic])
  return new Map(rows.map(([partition, next]) => [partition as number, next as number]))
}

interface Draft { series: number, progress: Map<number, EpochMs>, rows: StoredReading[], truncated: boolean, highest?: EpochMs }

/** Rows from the earliest closed-through on; of a series in which nothing was closed, all. @param rowsMax most rows of one series */
export async function states (pool: Pool, series: readonly number[], rowsMax: number): Promise<Map<number, SeriesState>> {
  const drafts = new Map<number, Draft>(series.map(number => [number, { series: number, progress: new Map(), rows: [], truncated: false }]))
  for (const [number, size, through] of await rowsOf(pool, 'select series, size_ms, closed_through from series.progress where series = any($1::int[])', [series])) {
    drafts.get(number as number)!.progress.set(size as number, through as EpochMs)
  }
  const days = await daysOfSeries(pool, series)
  await openRows(pool, drafts, days, rowsMax)
  await findHighest(pool, drafts, days)
  return drafts
}

function openFrom (draft: Draft): number { return Math.min(...draft.progress.values(), Infinity) === Infinity ? -Infinity : Math.min(...draft.progress.values()) }

async function openRows (pool: Pool, drafts: ReadonlyMap<number, Draft>, days: ReadonlyMap<number, readonly number[]>, rowsMax: number): Promise<void> {
  const byDay = Map.groupBy([...drafts.values()].flatMap(draft => (days.get(draft.series) ?? [])
    .filter(day => (day + 1) * DAY_MS > openFrom(draft)).map(day => ({ day, draft }))), ({ day }) => day)
  for (const day of [...byDay.keys()].sort((a, b) => a - b)) {
    const wanted = byDay.get(day)!.map(({ draft }) => draft).filter(draft => !draft.truncated)
    if (wanted.length === 0) continue
    const rows = await readingsOnDay(pool, day, wanted.map(draft => ({ series: draft.series, from: openFrom(draft) })), rowsMax + 1)
    for (const { series, ...row } of rows) {
      const draft = drafts.get(series)!
      if (draft.rows.length < rowsMax) draft.rows.push(row)
      else draft.truncated = true
    }
  }
}

async function findHighest (pool: Pool, drafts: ReadonlyMap<number, Draft>, days: ReadonlyMap<number, readonly number[]>): Promise<void> {
  const unknown: { draft: Draft, day: number }[] = []
  for (const draft of drafts.values()) {
    const last = draft.rows.at(-1)
    if (last !== undefined && !draft.truncated) draft.highest = last.takenAt
    else if (days.has(draft.series)) unknown.push({ draft, day: days.get(draft.series)!.at(-1)! })
  }
  for (const [day, group] of Map.groupBy(unknown, ({ day }) => day)) {
    const rows = await readingsOnDay(pool, day, group.map(({ draft }) => ({ series: draft.series, from: -Infinity })), 1, 'desc')
    for (const row of rows) drafts.get(row.series)!.highest = row.takenAt
  }
  // A day may be noted and hold no row of the series any more, once its rows were moved.
  for (const { draft, day } of unknown.filter(({ draft }) => draft.highest === undefined)) {
    const [row] = await readingsBefore(pool, draft.series, (day * DAY_MS) as EpochMs, 1)
    if (row !== undefined) draft.highest = row.takenAt
  }
}

/** Ascending. */
async function daysOfSeries (pool: Pool, series: readonly number[]): Promise<Map<number, number[]>> {
  const rows = await rowsOf(pool, "select series, array_agg(day - date '1970-01-01' order by day) from series.day where series = any($1::int[]) group by series", [series])
  return new Map(rows.map(([number, days]) => [number as number, days as number[]]))
}

/** Series of these partitions that hold rows at or behind their progress. */
export async function openSeries (pool: Pool, partitions: readonly number[]): Promise<{ series: number, sid: Sid, model: ModelKey }[]> {
  const rows = await rowsOf(pool, `select s.number, s.sid, s.model, p.through, d.last - date '1970-01-01' from series.sid s
    join lateral (select max(day) as last from series.day where series = s.number) d on d.last is not null
    left join lateral (select min(closed_through) as through from series.progress where series = s.number) p on true
    where s.bus_partition = any($1::smallint[])
      and (p.through is null or d.last >= (p.through at time zone 'UTC')::date) order by s.number`, [partitions])
  const candidates = rows.map(([series, sid, model, through, day]) =>
    ({ series: series as number, sid: sid as Sid, model: model as ModelKey, through: through as EpochMs | null, day: day as number }))
  const open = new Set(candidates.filter(({ through, day }) => through === null || day > dayOf(through)).map(({ series }) => series))
  const unsure = candidates.filter(({ series }) => !open.has(series))
  for (const [day, group] of Map.groupBy(unsure, ({ day }) => day)) {
    for (const series of await withRowsFrom(pool, day, group.map(({ series, through }) => ({ series, from: through! })))) open.add(series)
  }
  return candidates.filter(({ series }) => open.has(series)).map(({ series, sid, model }) => ({ series, sid, model }))
}

async function withRowsFrom (pool: Pool, day: number, wanted: readonly { series: number, from: EpochMs }[]): Promise<number[]> {
  const rows = await rowsOf(pool, `select s.series from unnest($1::int[], $2::float8[]) s (series, ms) cross join lateral (
      select from series.reading where series = s.series and taken_at >= to_timestamp(s.ms / 1000) and taken_at >= $3 and taken_at < $4 limit 1) r`,
  [wanted.map(({ series }) => series), wanted.map(({ from }) => clampTime(from)), timeParameter(day * DAY_MS), timeParameter((day + 1) * DAY_MS)])
  return rows.map(([series]) => series as number)
}
