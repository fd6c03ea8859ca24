/** A question about windows -> SQL that walks the indexes of each (series, metric) in order and stops at the limit. */

import type { Pool } from 'pg'
import type { EpochMs } from '../../model/units.ts'
import type { WindowStatus } from '../../model/window.ts'
import { LEDGER_COLUMNS_OF_R, statusCode } from './ledger-codec.ts'
import type { LedgerRow } from './ledger-row.ts'
import { type Row, rowsOf } from './query.ts'
import { clampTime, timeParameter } from './sql-values.ts'

/** Half-open [from, until); a missing bound is open. */
export interface TimeRange { from?: EpochMs, until?: EpochMs }

/** The place of a row in an order: behind it the next page goes on. */
export interface LedgerCursor {
  /** `windowStart` or `issued`, as the order says. */
  at: EpochMs
  series: number
  metric: string
  windowStart: EpochMs
  sizeMs: number
}

export interface LedgerQuery {
  /** With the range of `windowStart` that may be seen of each. */
  series: readonly ({ number: number } & TimeRange)[]
  /** Absent: every metric. */
  metrics?: readonly string[]
  /** Of `windowStart`. */
  start?: TimeRange
  issued?: TimeRange
  statuses?: readonly WindowStatus[]
  /** Revisions issued later are as if they were not there. */
  asOf?: EpochMs
  order: 'start' | 'issued'
  descending: boolean
  after?: LedgerCursor
  limit: number
}

export function cursorOf (row: LedgerRow, order: LedgerQuery['order']): LedgerCursor {
  const { series, metric, windowStart, sizeMs } = row
  return { at: order === 'start' ? windowStart : row.issued, series, metric, windowStart, sizeMs }
}

/** Rows with the columns of a revision and the sid. Order: (`windowStart` or `issued`, series, number of the metric, windowStart, size). */
export async function searchLedger (pool: Pool, query: LedgerQuery, metricNumbers: ReadonlyMap<string, number>): Promise<readonly Row[]> {
  const metrics = (query.metrics ?? [...metricNumbers.keys()]).flatMap(name => metricNumbers.get(name) ?? [])
  const spans = spansOf(query)
  if (metrics.length === 0 || spans.length === 0 || query.limit < 1) return []
  const values: unknown[] = []
  const value = (given: unknown) => `$${values.push(given)}`
  const scope: Scope = {
    query,
    value,
    direction: query.descending ? 'desc' : 'asc',
    low: value(timeParameter(Math.min(...spans.map(({ from }) => from)))),
    high: value(timeParameter(Math.max(...spans.map(({ until }) => until)))),
    cursorMetric: query.after === undefined ? 0 : metricNumbers.get(query.after.metric) ?? 0
  }
  const limit = value(query.limit)
  const inner = query.order === 'start' ? byStart(scope, limit) : byIssued(scope, limit)
  const order = ORDER[query.order].map(column => `r.${column} ${scope.direction}`).join(', ')
  const text = `select ${LEDGER_COLUMNS_OF_R}, s.sid
    from unnest(${value(spans.map(({ number }) => number))}::int[], ${value(spans.map(({ from }) => from))}::float8[], ${value(spans.map(({ until }) => until))}::float8[]) c (series, from_ms, until_ms)
    join series.sid s on s.number = c.series cross join unnest(${value(metrics)}::smallint[]) m (metric)
    cross join lateral (${inner}) r order by ${order} limit ${limit}`
  return rowsOf(pool, text, values)
}

const ORDER = {
  start: ['window_start', 'series', 'metric', 'size_ms'],
  issued: ['issued', 'series', 'metric', 'window_start', 'size_ms']
} as const

interface Scope {
  query: LedgerQuery
  value: (given: unknown) => string
  direction: 'asc' | 'desc'
  /** Bounds of `window_start` over all series: constants, so that only their partitions are planned for. */
  low: string
  high: string
  cursorMetric: number
}

function spansOf ({ series, start, order, after, descending }: LedgerQuery): { number: number, from: number, until: number }[] {
  // The cursor's own start belongs to the span: other rows stand at the same time.
  const fromCursor = order === 'start' && after !== undefined && !descending ? after.at : -Infinity
  const untilCursor = order === 'start' && after !== undefined && descending ? after.at + 1 : Infinity
  return series.map(one => ({
    number: one.number,
    from: clampTime(Math.max(one.from ?? -Infinity, start?.from ?? -Infinity, fromCursor)),
    until: clampTime(Math.min(one.until ?? Infinity, start?.until ?? Infinity, untilCursor))
  })).filter(({ from, until }) => from < until)
}

/** The index is walked by start; of each window the highest revision comes first or last and is picked. */
function byStart (scope: Scope, limit: string): string {
  const { query, value, direction, low, high } = scope
  return `select * from (
      select distinct on (w.window_start, w.size_ms) w.* from series.window_revision w
       where w.series = c.series and w.metric = m.metric and w.window_start >= to_timestamp(c.from_ms / 1000) and w.window_start < to_timestamp(c.until_ms / 1000)
         and w.window_start >= ${low} and w.window_start <= ${high} ${query.asOf === undefined ? '' : `and w.issued <= ${value(timeParameter(query.asOf))}`}
       order by w.window_start ${direction}, w.size_ms ${direction}, w.revision desc) latest
    where true ${conditions(scope, 'latest')} order by latest.window_start ${direction}, latest.size_ms ${direction} limit ${limit}`
}

/** The index is walked by time of issue; a row with a later revision is passed over. The ranges of the single series stand there as
 *  differences, which no index serves: the planner knows nothing of them and would rather sort all windows of the series. */
function byIssued (scope: Scope, limit: string): string {
  const { query, value, direction, low, high } = scope
  const asOf = query.asOf === undefined ? undefined : value(timeParameter(query.asOf))
  const seen = (table: string) => `${table}.window_start >= ${low} and ${table}.window_start <= ${high} ${asOf === undefined ? '' : `and ${table}.issued <= ${asOf}`}`
  return `select w.* from series.window_revision w
    where w.series = c.series and w.metric = m.metric and ${seen('w')} ${conditions(scope, 'w')}
      and w.window_start - to_timestamp(c.from_ms / 1000) >= interval '0' and w.window_start - to_timestamp(c.until_ms / 1000) < interval '0'
      and w.revision = (select max(n.revision) from series.window_revision n where n.series = w.series and n.metric = w.metric
        and n.window_start = w.window_start and n.size_ms = w.size_ms and ${seen('n')})
    order by w.issued ${direction}, w.window_start ${direction}, w.size_ms ${direction} limit ${limit}`
}


function conditions (scope: Scope, table: string): string {
  const { query, value } = scope
  const found: string[] = []
  if (query.statuses !== undefined) found.push(`${table}.status = any(${value(query.statuses.map(statusCode))}::smallint[])`)
  if (query.issued?.from !== undefined) found.push(`${table}.issued >= ${value(timeParameter(query.issued.from))}`)
  if (query.issued?.until !== undefined) found.push(`${table}.issued < ${value(timeParameter(query.issued.until))}`)
  if (query.after !== undefined) found.push(behind(scope, table, query.after))
  return found.map(condition => `and ${condition}`).join(' ')
}

function behind ({ query, value, cursorMetric }: Scope, table: string, after: LedgerCursor): string {
  const columns = ORDER[query.order].map(column => `${table}.${column}`).join(', ')
  const start = query.order === 'issued' ? `${value(timeParameter(after.windowStart))}::timestamptz, ` : ''
  const place = `${value(timeParameter(after.at))}::timestamptz, ${value(after.series)}::int, ${value(cursorMetric)}::smallint, ${start}${value(after.sizeMs)}::int`
  return `(${columns}) ${query.descending ? '<' : '>'} (${place})`
}
