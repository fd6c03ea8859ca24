/** Which days of which series changed, for whoever keeps files of whole days. What changes rows of a watched day notes it in its own transaction, so
 *  that nothing is missed, whatever process wrote it and whenever it ended. */

import type { Pool, PoolClient } from 'pg'
import type { ModelKey, Sid } from '../../model/reading.ts'
import { DAY_MS, type EpochMs } from '../../model/units.ts'
import { rowsOf } from './query.ts'
import { clampTime, dayOf, dayParameter, numberArray } from './sql-values.ts'

/** Days are counted from 1970-01-01, UTC. */
export interface ChangedDay {
  series: number
  sid: Sid
  model: ModelKey
  day: number
  /** New with every change; 0: not looked at since the day was first watched. */
  number: number
  /** Which rows they are: it rises when retention drops the day, and rows that come afterwards are others than those before. 0: never dropped. */
  life: number
}

/** Changes of this day and of those before are noted from now on; each that was not watched before is noted once. At most seven days that hold readings
 *  are taken at a time: the next call goes on.
 *  Where it would wait for more than 2 s for what is being committed, nothing is done: the next call does it. */
export async function watchDays (pool: Pool, through: number): Promise<void> {
  try {
    await rowsOf(pool, 'select series.watch($1)', [dayParameter(through)])
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === LOCK_TIMEOUT)) throw error
  }
}

/** Days with a number of at most `number` behind `after`, ascending by number, series and day. */
export async function changedDays (pool: Pool, number: number, limit: number, after?: ChangedDay): Promise<ChangedDay[]> {
  const rows = await rowsOf(pool, `select c.series, s.sid, s.model, c.day - date '1970-01-01', c.number, coalesce(d.number, 0)
    from series.changed_day c join series.sid s on s.number = c.series left join series.dropped_day d using (day)
    where c.number <= $1 and (c.number, c.series, c.day) > ($3::bigint, $4::int, $5::date) order by c.number, c.series, c.day limit $2`,
  [number, limit, after?.number ?? -1, after?.series ?? 0, dayParameter(after?.day ?? 0)])
  return rows.map(([series, sid, model, day, changed, life]) =>
    ({ series: series as number, sid: sid as Sid, model: model as ModelKey, day: day as number, number: changed as number, life: life as number }))
}

const LOCK_TIMEOUT = '55P03'

/** Days of these that have changes which are not settled. */
export async function unsettledAmong (pool: Pool, keys: readonly { series: number, day: number }[]): Promise<ReadonlySet<string>> {
  const rows = await rowsOf(pool, `select c.series, c.day - date '1970-01-01' from unnest($1::int[], $2::int[]) u (series, day)
    join series.changed_day c on c.series = u.series and c.day = date '1970-01-01' + u.day`, [keys.map(({ series }) => series), keys.map(({ day }) => day)])
  return new Set(rows.map(([series, day]) => `${series}/${day}`))
}

export interface PendingChanges { count: number, /** 0: none, or none that changed after it was first watched. */ highest: number }

export async function pendingChanges (pool: Pool): Promise<PendingChanges> {
  const [row] = await rowsOf(pool, 'select count(*), coalesce(max(number), 0) from series.changed_day')
  const [count, highest] = row as number[]
  return { count: count!, highest: highest! }
}

/** True while nothing of the day changed since it was given: then what was read meanwhile is one state of it. */
export async function isUnchanged (pool: Pool, { series, day, number, life }: ChangedDay): Promise<boolean> {
  const rows = await rowsOf(pool, `select from series.changed_day where series = $1 and day = $2 and number = $3
    and $4 = coalesce((select number from series.dropped_day where day = $2), 0)`, [series, dayParameter(day), number, life])
  return rows.length > 0
}

/** It has been dealt with; one that changed since stays. */
export async function settleDay (pool: Pool, { series, day, number }: ChangedDay): Promise<void> {
  await rowsOf(pool, 'delete from series.changed_day where series = $1 and day = $2 and number = $3', [series, dayParameter(day), number])
}

/** First in a transaction that notes changes later: whoever begins to watch or drops days has to wait here, and not where one holds rows that the other needs. */
export async function holdWatched (client: PoolClient): Promise<void> {
  await rowsOf(client, 'select series.hold_watched()')
}

/** Inside the transaction that changes the rows. */
export async function markChanged (client: Pool | PoolClient, series: readonly number[], days: Iterable<number>): Promise<void> {
  const pairs = [...new Set(days)].flatMap(day => series.map(one => [one, day] as const))
  await rowsOf(client, 'select series.mark_changed($1, $2)', [pairs.map(([one]) => one), pairs.map(([, day]) => day)])
}

/** As `markChanged`: every day of [since, until) on which one of the series may hold rows. */
export async function markSpanChanged (client: Pool | PoolClient, series: readonly number[], since: EpochMs, until: EpochMs): Promise<void> {
  await rowsOf(client, `select series.mark_changed(array_agg(series), array_agg(day - date '1970-01-01')) from series.day
    where series = any($1::int[]) and day >= $2 and day <= $3 having count(*) > 0`, [series, dayParameter(dayOf(clampTime(since))), dayParameter(dayOf(clampTime(until - 1)))])
}

export interface Watched {
  /** The last watched day as this process knows it; `undefined`: none. */
  through (): Promise<number | undefined>
  /** Another process may have gone on: it is looked up again. */
  forget (): void
}

export function createWatched (pool: Pool): Watched {
  let known: Promise<number | undefined> | undefined
  return {
    through: async () => {
      known ??= lookUp(pool)
      try {
        return await known
      } catch (error) {
        known = undefined
        throw error
      }
    },
    forget: () => { known = undefined }
  }
}

async function lookUp (pool: Pool): Promise<number | undefined> {
  const [row] = await rowsOf(pool, "select through - date '1970-01-01' from series.watched")
  return row?.[0] as number | undefined
}

/** The statement before the rows of a commit: refused with OX002 when `through` is not what stands there by then. */
export function beginRows (through: number | undefined): string {
  return `select series.begin_rows(${through === undefined ? 'null' : `'${dayParameter(through)}'`})`
}

/** The statement behind the rows that were not stored before, some of them of watched days. */
export function noteFresh (fresh: readonly { series: number, takenAt: number }[], through: number): string {
  const pairs = watchedPairs(fresh, through)
  return `select series.mark_changed(${numberArray(pairs.map(([series]) => series))}, ${numberArray(pairs.map(([, day]) => day))})`
}

export function hasWatched (rows: readonly { takenAt: number }[], through: number | undefined): boolean {
  return through !== undefined && rows.some(({ takenAt }) => takenAt < (through + 1) * DAY_MS)
}

function watchedPairs (rows: readonly { series: number, takenAt: number }[], through: number): [number, number][] {
  const end = (through + 1) * DAY_MS
  const pairs = new Map<string, [number, number]>()
  for (const { series, takenAt } of rows) if (takenAt < end) pairs.set(`${series}/${dayOf(takenAt)}`, [series, dayOf(takenAt)])
  return [...pairs.values()]
}

/** `sql` changes readings and ends with `returning`, if need be, `series` and `taken_at`: what it changed on watched days is noted. */
export function notingChanges (sql: string, returned: string): string {
  return `with changed as (${sql} returning ${returned})
    select series.mark_changed(array_agg(series), array_agg(day)) from (
      select distinct series, (taken_at at time zone 'UTC')::date - date '1970-01-01' as day from changed) days having count(*) > 0`
}
