/** What the series store should hold, computed from its rows alone and all at once: every window of every series against its ledger. */

import type { Pool } from 'pg'
import type { DeviceModels } from '../../src/model/device-model.ts'
import type { SidContext } from '../../src/model/identity.ts'
import type { Sid } from '../../src/model/reading.ts'
import { type EpochMs, epochMs } from '../../src/model/units.ts'
import { createSidContexts } from '../../src/stores/linkage/sid-contexts.ts'
import type { LedgerRow } from '../../src/stores/series/ledger-row.ts'
import { createSeriesStore, type SeriesStore } from '../../src/stores/series/series-store.ts'
import { closeWindow } from '../../src/stream/close-window.ts'
import { sameContent } from '../../src/stream/same-content.ts'
import type { RowIn } from '../../src/stream/sink.ts'
import type { OwnerView } from './owner-view.ts'

const SIZE_MS = 60_000
const END = epochMs(Date.UTC(2100, 0, 1))
const ROWS_MAX = 10_000_000

export interface StoredSeries { sid: Sid, series: number, deviceId: string, context: SidContext, rows: readonly RowIn[] }

/** Every series that holds or held readings, or one in `every`, with all its rows; `deviceId`: the device's name in telemetry. */
export async function storedSeries (view: OwnerView, every = 1): Promise<StoredSeries[]> {
  const store = createSeriesStore(view.pool('series'))
  const { rows } = await view.pool('linkage').query<{ sid: Sid, name: string }>(`select m.sid, i.value as name from linkage.sid_map m
    join fhir.identifier i on i.type = 'Device' and i.id = m.device and i.system like '%/identifier/telemetry-device'`)
  const names = new Map(rows.map(({ sid, name }) => [sid, name]))
  const { rows: numbers } = await view.pool('series').query<{ sid: Sid, number: number }>('select sid, number from series.sid where number % $1 = 0 order by number', [every])
  const contexts = await createSidContexts(view.pool('linkage'))(numbers.map(({ sid }) => sid))
  const found: StoredSeries[] = []
  for (const { sid, number } of numbers) {
    const rows = await store.readings(number, epochMs(0), END, ROWS_MAX)
    found.push({ sid, series: number, deviceId: names.get(sid) ?? '', context: contexts.get(sid)!, rows })
  }
  return found
}

/** What has not come to rest: nothing, once nothing waits that goes on by itself, the stream has taken everything there is, and nothing is left to be closed or amended. */
export async function unrest (view: OwnerView): Promise<string[]> {
  const pool = view.pool('series')
  const store = createSeriesStore(pool)
  const ends = [...await view.readingsEnds()]
  const { rows: waiting } = await view.pool('bus').query<{ reason: string, waiting: number }>(
    `select reason, count(*) as waiting from quarantine.item
      where state = 'waiting' and reason in ('linkage-unavailable', 'behind-waiting') group by reason`)
  const points = await store.resumePoints('oxbow.readings.v1')
  const { rows: due } = await pool.query<{ series: number }>('select series from series.amendment_due limit 10')
  const open = await store.openSeries(ends.map(([partition]) => partition))
  return [
    ...waiting.map(({ reason, waiting }) => `${waiting} records wait: ${reason}`),
    ...ends.filter(([partition, end]) => (points.get(partition) ?? 0) < end).map(([partition, end]) => `partition ${partition} is read to ${points.get(partition) ?? 0} of ${end}`),
    ...due.map(({ series }) => `series ${series} is to be amended`),
    ...open.map(({ sid, series }) => `series ${series} of ${sid} is open`)
  ]
}

/** What is wrong with the windows of a series: nothing, when its ledger says what its rows say. At most ten findings. */
export async function wrongWindows (view: OwnerView, { series, sid, context, rows }: StoredSeries, models: DeviceModels): Promise<string[]> {
  const model = models.get(context.model)!
  const store = createSeriesStore(view.pool('series'))
  const problems: string[] = []
  const starts = await windowStarts(view.pool('series'), series, rows)
  const ledger = await latestRows(store, series, starts)
  for (const windowStart of starts) {
    const drafts = closeWindow({
      model, context, sizeMs: SIZE_MS, windowStart, readings: aroundWindow(rows, windowStart), channels: [...model.channels.keys()], deficits: {}, withPanel: true
    })
    const latest = new Map(ledger.get(windowStart)?.map(row => [row.metric, row]))
    for (const draft of drafts) {
      const row = latest.get(draft.metric)
      latest.delete(draft.metric)
      const name = `${sid} ${draft.metric} ${new Date(windowStart).toISOString()}`
      if (row === undefined) problems.push(`${name}: not in the ledger`)
      else if (!sameContent(draft, row)) problems.push(`${name}: ${JSON.stringify(draft)} expected, ${JSON.stringify(row)} found`)
    }
    for (const row of latest.values()) {
      if (row.status !== 'entered-in-error') problems.push(`${sid} ${row.metric} ${new Date(windowStart).toISOString()}: holds no reading and is not withdrawn`)
    }
    if (problems.length >= 10) break
  }
  return problems
}

/** Windows that hold a reading, and those that stand in the ledger. */
async function windowStarts (pool: Pool, series: number, rows: readonly RowIn[]): Promise<EpochMs[]> {
  const starts = new Set(rows.map(({ takenAt }) => Math.floor(takenAt / SIZE_MS) * SIZE_MS))
  const { rows: written } = await pool.query<{ start: Date }>('select distinct window_start as start from series.window_revision where series = $1', [series])
  for (const { start } of written) starts.add(start.getTime())
  return [...starts].sort((a, b) => a - b).map(epochMs)
}

async function latestRows (store: SeriesStore, series: number, starts: readonly EpochMs[]): Promise<Map<number, LedgerRow[]>> {
  const found: LedgerRow[] = []
  for (let from = 0; from < starts.length; from += 500) {
    found.push(...await store.ledger.latestOfWindows(starts.slice(from, from + 500).map(windowStart => ({ series, windowStart, sizeMs: SIZE_MS }))))
  }
  return Map.groupBy(found, row => row.windowStart as number)
}

/** Two hours around the window: more than any operator looks back or ahead. */
function aroundWindow (rows: readonly RowIn[], windowStart: number): readonly RowIn[] {
  return rows.slice(positionOf(rows, windowStart - 3_600_000), positionOf(rows, windowStart + 3_600_000))
}

function positionOf (rows: readonly RowIn[], time: number): number {
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (rows[middle]!.takenAt < time) low = middle + 1
    else high = middle
  }
  return low
}

/** Law 4 in the series store, over all series: accepted = stored + duplicate + conflict, stored = rows there are. */
export async function seriesSums (view: OwnerView): Promise<{ accepted: number, stored: number, duplicate: number, conflict: number, rows: number }> {
  const { rows: [counts] } = await view.pool('series').query<{ accepted: number, stored: number, duplicate: number, conflict: number }>(
    `select coalesce(sum(accepted), 0)::bigint as accepted, coalesce(sum(stored), 0)::bigint as stored,
            coalesce(sum(duplicate), 0)::bigint as duplicate, coalesce(sum(conflict), 0)::bigint as conflict from series.counts`)
  const { rows: [there] } = await view.pool('series').query<{ count: number }>('select count(*) from series.reading')
  return { ...counts!, rows: there!.count }
}

/** Gaps in the numbers of ledger rows of a writer, and in the revisions of a window: both count from 1 without one. */
export async function ledgerGaps (view: OwnerView): Promise<string[]> {
  const { rows: writers } = await view.pool('series').query<{ writer: number, last: number, count: number, next: number }>(
    `select w.id as writer, w.next_number as next, coalesce(max(r.number), 0)::bigint as last, count(r.number) as count
       from series.writer w left join series.window_revision r on r.writer = w.id group by w.id, w.next_number`)
  const { rows: windows } = await view.pool('series').query<{ series: number }>(
    'select series from series.window_revision group by series, metric, window_start, size_ms having max(revision) <> count(*) or min(revision) <> 1')
  return [
    ...writers.filter(({ last, count, next }) => last !== count || next !== last + 1).map(({ writer, last, count, next }) => `writer ${writer}: ${count} rows up to ${last}, next ${next}`),
    ...windows.map(({ series }) => `a window of series ${series} lacks a revision`)
  ]
}
