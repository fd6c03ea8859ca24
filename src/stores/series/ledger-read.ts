/** Ids, keys and searches -> rows of the ledger. A window is shown by its latest revision; earlier ones stay readable by number. */

import type { Pool } from 'pg'
import type { ModelKey, Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import type { LedgerKey, WindowKey } from '../../stream/sink.ts'
import type { Dictionary } from './dictionary.ts'
import { decodeRevision, kindOf, LEDGER_COLUMNS_OF_R, metricNumber, provenanceNumbers } from './ledger-codec.ts'
import type { FoundView, LedgerRow, ViewRow } from './ledger-row.ts'
import { type LedgerQuery, searchLedger } from './ledger-search.ts'
import { type Row, rowsOf } from './query.ts'
import { timeParameter } from './sql-values.ts'

export interface Ledger {
  /** The windows of these Observation ids and their latest revisions; an unknown id is missing. */
  byViewIds (ids: readonly string[]): Promise<FoundView[]>
  byViewId (id: string): Promise<FoundView | undefined>
  /** Revision `revision` of the window of an Observation id. */
  revisionOf (viewId: string, revision: number): Promise<LedgerRow | undefined>
  /** Every revision of a window of a metric, ascending. */
  revisions (key: LedgerKey): Promise<LedgerRow[]>
  /** Every revision of the given windows of metrics; those of one window ascending. */
  revisionsOf (keys: readonly LedgerKey[]): Promise<LedgerRow[]>
  /** Latest revisions of the given windows of metrics, in no order; one without a row is missing. */
  latest (keys: readonly LedgerKey[]): Promise<LedgerRow[]>
  /** Latest revisions of all metrics of the given windows, in no order. */
  latestOfWindows (windows: readonly WindowKey[]): Promise<LedgerRow[]>
  /** Latest revisions that answer the query, in its order. */
  search (query: LedgerQuery): Promise<LedgerRow[]>
  /** Rows of a writer behind a number, ascending without a gap, all revisions. */
  afterNumber (writer: number, number: number, limit: number): Promise<LedgerRow[]>
  /** Every writer and the number of its last row; 0: none yet. */
  writers (): Promise<{ writer: number, lastNumber: number }[]>
}

export function createLedger (pool: Pool, dictionary: Dictionary): Ledger {
  /** Fields of {@link LEDGER_COLUMNS_OF_R}, sid. */
  async function decode (rows: readonly Row[]): Promise<LedgerRow[]> {
    if (rows.length === 0) return []
    await dictionary.loadNumbers(rows.map(metricNumber), rows.flatMap(provenanceNumbers))
    return rows.map(row => decodeRevision(row, dictionary))
  }

  async function byViewIds (ids: readonly string[]): Promise<FoundView[]> {
    const uuids = ids.filter(id => UUID.test(id))
    if (uuids.length === 0) return []
    const rows = await rowsOf(pool, `select ${VIEW_COLUMNS}, s.sid, s.model from series.view v join series.sid s on s.number = v.series where v.id = any($1::uuid[])`, [uuids])
    if (rows.length === 0) return []
    await dictionary.loadNumbers(rows.map(row => row[2] as number), [])
    const views = rows.map(row => ({ view: viewFrom(row, dictionary), sid: row[8] as Sid, model: row[9] as ModelKey }))
    const latestByKey = new Map((await latest(views.map(({ view }) => view))).map(row => [keyOf(row), row]))
    return views.flatMap(found => {
      const row = latestByKey.get(keyOf(found.view))
      return row === undefined ? [] : [{ ...found, latest: row }]
    })
  }

  /** @param pick ORDER BY and LIMIT among the revisions of one window */
  async function ofKeys (keys: readonly LedgerKey[], pick: string): Promise<LedgerRow[]> {
    const metrics = await dictionary.findMetrics(keys.map(({ metric }) => metric))
    const rows: Row[] = []
    for (const group of byMonth(keys.filter(({ metric }) => metrics.has(metric)))) {
      rows.push(...await rowsOf(pool, `select ${LEDGER_COLUMNS_OF_R}, s.sid
        from unnest($1::int[], $2::smallint[], $3::float8[], $4::int[]) k (series, metric, ms, size) join series.sid s on s.number = k.series
        cross join lateral (
          select * from series.window_revision w
           where w.series = k.series and w.metric = k.metric and w.window_start = to_timestamp(k.ms / 1000) and w.size_ms = k.size
             and w.window_start >= $5 and w.window_start <= $6
           ${pick}) r`,
      [group.map(key => key.series), group.map(key => metrics.get(key.metric)!), group.map(key => key.windowStart), group.map(key => key.sizeMs), ...bounds(group)]))
    }
    return decode(rows)
  }

  const latest = (keys: readonly LedgerKey[]): Promise<LedgerRow[]> => ofKeys(keys, 'order by w.revision desc limit 1')

  async function latestOfWindows (windows: readonly WindowKey[]): Promise<LedgerRow[]> {
    const rows: Row[] = []
    for (const group of byMonth(windows)) {
      rows.push(...await rowsOf(pool, `select ${LEDGER_COLUMNS_OF_R}, s.sid
        from unnest($1::int[], $2::float8[], $3::int[]) k (series, ms, size) join series.sid s on s.number = k.series
        cross join series.metric m cross join lateral (
          select * from series.window_revision w
           where w.series = k.series and w.metric = m.number and w.window_start = to_timestamp(k.ms / 1000) and w.size_ms = k.size
             and w.window_start >= $4 and w.window_start <= $5
           order by w.revision desc limit 1) r`,
      [group.map(key => key.series), group.map(key => key.windowStart), group.map(key => key.sizeMs), ...bounds(group)]))
    }
    return decode(rows)
  }

  async function ofKey (key: LedgerKey, condition = '', values: readonly unknown[] = []): Promise<LedgerRow[]> {
    const metric = (await dictionary.findMetrics([key.metric])).get(key.metric)
    if (metric === undefined) return []
    return decode(await rowsOf(pool, `select ${LEDGER_COLUMNS_OF_R}, s.sid from series.window_revision r join series.sid s on s.number = r.series
      where r.series = $1 and r.metric = $2 and r.window_start = $3 and r.size_ms = $4 ${condition} order by r.revision`,
    [key.series, metric, timeParameter(key.windowStart), key.sizeMs, ...values]))
  }

  return {
    byViewIds,
    byViewId: async id => (await byViewIds([id]))[0],
    async revisionOf (viewId, revision) {
      const found = await byViewIds([viewId])
      if (found.length === 0 || !Number.isInteger(revision) || revision < 1 || revision > found[0]!.latest.revision) return undefined
      return (await ofKey(found[0]!.view, 'and r.revision = $5', [revision]))[0]
    },
    revisions: key => ofKey(key),
    // Sorted here: a join may hand the revisions on in any order.
    revisionsOf: async keys => (await ofKeys(keys, '')).sort((one, other) => one.revision - other.revision),
    latest,
    latestOfWindows,
    search: async query => decode(await searchLedger(pool, query, await dictionary.findMetrics(query.metrics))),
    afterNumber: async (writer, number, limit) => decode(await rowsOf(pool, `select ${LEDGER_COLUMNS_OF_R}, s.sid
      from series.window_revision r join series.sid s on s.number = r.series where r.writer = $1 and r.number > $2 order by r.number limit $3`, [writer, number, limit])),
    async writers () {
      const rows = await rowsOf(pool, 'select id, next_number - 1 from series.writer order by id')
      return rows.map(([writer, last]) => ({ writer: writer as number, lastNumber: last as number }))
    }
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const VIEW_COLUMNS = 'v.id, v.series, v.metric, v.window_start, v.size_ms, v.kind, v.taken_at, v.sequence'

function viewFrom (row: Row, dictionary: Pick<Dictionary, 'metricOf'>): ViewRow {
  const [id, series, metric, windowStart, sizeMs, kind, takenAt, sequence] = row
  return {
    id: id as string,
    series: series as number,
    metric: dictionary.metricOf(metric as number),
    windowStart: windowStart as EpochMs,
    sizeMs: sizeMs as number,
    kind: kindOf(kind as number),
    ...(takenAt === null ? {} : { takenAt: takenAt as EpochMs, sequence: sequence as number })
  }
}

function keyOf ({ series, metric, windowStart, sizeMs }: LedgerKey): string { return `${series}/${metric}/${windowStart}/${sizeMs}` }

/** Keys of one month share a partition: with constants around them PostgreSQL plans for that one alone. */
function byMonth<K extends { windowStart: EpochMs }> (keys: readonly K[]): Iterable<readonly K[]> {
  return Map.groupBy(keys, ({ windowStart }) => timeParameter(windowStart).slice(0, 7)).values()
}

function bounds (keys: readonly { windowStart: EpochMs }[]): [string, string] {
  let low = Infinity
  let high = -Infinity
  for (const { windowStart } of keys) {
    if (windowStart < low) low = windowStart
    if (windowStart > high) high = windowStart
  }
  return [timeParameter(low), timeParameter(high)]
}
