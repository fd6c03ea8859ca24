/** A commit -> the statements and COPY data of one transaction. Parts with nothing to do are left out. */

import { escapeLiteral } from 'pg'
import { FLAG } from '../../model/reading.ts'
import type { AmendmentCause, WindowRevision } from '../../model/window.ts'
import { viewsWithTail, windowTail } from '../../model/view-ids.ts'
import { DAY_MS, HOUR_MS } from '../../model/units.ts'
import { type CopyBuffer, createCopyBuffer } from '../../platform/postgres/copy.ts'
import type { BatchPart } from '../../platform/postgres/send-batch.ts'
import type { Fill, SeriesCommit } from '../../stream/sink.ts'
import { beginRows, hasWatched, noteFresh, notingChanges } from './changed-days.ts'
import type { Dictionary } from './dictionary.ts'
import { encodeRevision, kindCode, LEDGER_COLUMNS } from './ledger-codec.ts'
import { ANY_NUMBER_DECOMPRESSED } from './query.ts'
import { encodeReading, READING_COLUMNS } from './reading-row.ts'
import { clampTime, dayOf, numberArray, textArray, timeParameter } from './sql-values.ts'

/** Rising strength: of two marks of one window the stronger cause counts. */
const CAUSES: readonly AmendmentCause[] = ['late', 'association', 'reprocessed', 'recalibrated', 'withdrawn']

export function causeOf (code: number): AmendmentCause { return CAUSES[code]! }
export function codeOfCause (cause: AmendmentCause): number { return CAUSES.indexOf(cause) }

/** Serve one writer for life: their memory is kept. */
export interface CommitBuffers { fresh: CopyBuffer, late: CopyBuffer, ledger: CopyBuffer, views: CopyBuffer, laterViews: CopyBuffer, counts: CopyBuffer }

export function createCommitBuffers (): CommitBuffers {
  return { fresh: createCopyBuffer(), late: createCopyBuffer(), ledger: createCopyBuffer(), views: createCopyBuffer(), laterViews: createCopyBuffer(), counts: createCopyBuffer(4096) }
}

const VIEW_COLUMNS = 'id, window_start, series, size_ms, metric, kind, taken_at, sequence'
const BINARY = 'from stdin (format binary)'

/** Makes the staging tables of a session. */
export const STAGING = `create temp table if not exists late_reading (like series.reading) on commit delete rows;
create temp table if not exists later_view (like series.view) on commit delete rows`

export function needsStaging (commit: SeriesCommit): boolean {
  return commit.late.length > 0 || commit.revisions.some(mayHaveViews)
}

/** Ids that may stand there: of an earlier revision, or of a single reading that a window of another size had already. */
function mayHaveViews ({ revision, form }: WindowRevision): boolean { return revision > 1 || form.form === 'singles' }

export interface PartsOptions {
  buffers: CommitBuffers
  dictionary: Dictionary
  /** Number of the first ledger row. */
  firstNumber: number
  /** Series and days to note. */
  days: ReadonlyMap<number, ReadonlySet<number>>
  /** As `Partitions.drops` says. */
  drops: number | undefined
  /** The last watched day, as this writer knows it. */
  watched: number | undefined
  /** The oldest day of fresh rows. */
  oldestFresh: number
}

export function commitParts (commit: SeriesCommit, options: PartsOptions): BatchPart[] {
  const parts = [
    ...onHypertable(options.drops, rowParts(commit, options)),
    ...ledgerParts(commit, options),
    ...countParts(commit, options.buffers.counts),
    ...stateParts(commit)
  ]
  return parts.length === 0 ? [] : [...ownerParts(commit), ...parts]
}

/** First of all: whoever takes the partitions over waits for the end of this commit, or it writes nothing. */
function ownerParts ({ owner }: SeriesCommit): BatchPart[] {
  if (owner === undefined || owner.partitions.length === 0) return []
  return [`select series.assert_owner(${escapeLiteral(owner.topic)}, ${numberArray([...owner.partitions])}, ${escapeLiteral(owner.token)})`]
}

/** Late rows may meet compressed ones, as many as they are. The check comes behind the rows: retention waits for those, and they for it. */
function onHypertable (drops: number | undefined, parts: readonly BatchPart[]): readonly BatchPart[] {
  if (drops === undefined || parts.length === 0) return parts
  return [ANY_NUMBER_DECOMPRESSED, ...parts, `select series.assert_drops(${Number(drops)})`]
}

/** What changed on watched days is noted behind the rows, as by whoever moves or removes some: rows are locked first, notes last. */
function rowParts (commit: SeriesCommit, options: PartsOptions): BatchPart[] {
  const { watched, oldestFresh } = options
  const parts = [...readingParts(commit, options), ...fillParts(commit.fills, watched)]
  if (parts.length === 0) return []
  const notes = watched !== undefined && oldestFresh <= watched ? [noteFresh(commit.fresh, watched)] : []
  return [beginRows(watched), ...parts, ...notes]
}

function readingParts ({ fresh, late }: SeriesCommit, { buffers, days, watched }: PartsOptions): BatchPart[] {
  const parts: BatchPart[] = []
  const pairs = [...days].flatMap(([series, noted]) => [...noted].map(day => [series, day] as const))
  if (pairs.length > 0) parts.push(`select series.note_days(${numberArray(pairs.map(([series]) => series))}, ${numberArray(pairs.map(([, day]) => day))})`)
  if (fresh.length > 0) {
    buffers.fresh.reset()
    for (const row of fresh) encodeReading(buffers.fresh, row)
    parts.push({ copy: `copy series.reading (${READING_COLUMNS}) ${BINARY}`, bytes: buffers.fresh.bytes() })
  }
  if (late.length > 0) {
    buffers.late.reset()
    for (const row of late) encodeReading(buffers.late, row)
    parts.push({ copy: `copy pg_temp.late_reading (${READING_COLUMNS}) ${BINARY}`, bytes: buffers.late.bytes() })
    const insert = `insert into series.reading (${READING_COLUMNS}) select ${READING_COLUMNS} from pg_temp.late_reading on conflict do nothing`
    parts.push(hasWatched(late, watched) ? notingChanges(insert, 'series, taken_at') : insert)
  }
  return parts
}

/** One statement per day and field: with the day as a constant only its partition is looked at. */
function fillParts (fills: readonly Fill[], watched: number | undefined): BatchPart[] {
  const groups = Map.groupBy(fills, ({ takenAt, field }) => `${dayOf(takenAt)}/${field}`)
  return [...groups.values()].map(group => {
    const { takenAt, field } = group[0]!
    const start = dayOf(takenAt) * DAY_MS
    const column = typeof field === 'number' ? `v${field}` : field
    const known = field === 'quality' ? `, flags = r.flags & ~${FLAG['quality-unknown']}` : ''
    const update = `update series.reading r set ${column} = u.value${known}
      from unnest(${numberArray(group.map(fill => fill.series))}::int[], ${numberArray(group.map(fill => fill.takenAt))}::float8[],
        ${numberArray(group.map(fill => fill.sequence))}::bigint[], ${numberArray(group.map(fill => fill.value))}::float8[]) u (series, ms, sequence, value)
      where r.series = u.series and r.taken_at = to_timestamp(u.ms / 1000) and r.sequence = u.sequence and r.${column} is null
        and r.taken_at >= '${timeParameter(start)}' and r.taken_at < '${timeParameter(start + DAY_MS)}'`
    return hasWatched(group, watched) ? notingChanges(update, 'r.series, r.taken_at') : update
  })
}

function ledgerParts (commit: SeriesCommit, { buffers, dictionary, firstNumber }: PartsOptions): BatchPart[] {
  const { revisions, writer } = commit
  if (revisions.length === 0) return []
  const metrics = dictionary.metricNumbers
  const { ledger, views, laterViews } = buffers
  ledger.reset()
  views.reset()
  laterViews.reset()
  let number = firstNumber
  let tail = ''
  let last: SeriesCommit['revisions'][number] | undefined
  for (const row of revisions) {
    const metric = metrics.get(row.metric)!
    if (last === undefined || row.windowStart !== last.windowStart || row.sizeMs !== last.sizeMs) tail = windowTail(row.windowStart, row.sizeMs)
    last = row
    encodeRevision(ledger, row, { metric, provenance: row.provenance.map(value => dictionary.numberOf(value)), writer, number: number++ })
    encodeViews(mayHaveViews(row) ? laterViews : views, row, metric, tail)
  }
  const parts: BatchPart[] = [
    `select series.take_numbers(${Number(writer)}, ${Number(firstNumber)}, ${revisions.length})`,
    { copy: `copy series.window_revision (${LEDGER_COLUMNS}) ${BINARY}`, bytes: ledger.bytes() }
  ]
  if (views.rowCount > 0) parts.push({ copy: `copy series.view (${VIEW_COLUMNS}) ${BINARY}`, bytes: views.bytes() })
  if (laterViews.rowCount > 0) {
    parts.push({ copy: `copy pg_temp.later_view (${VIEW_COLUMNS}) ${BINARY}`, bytes: laterViews.bytes() })
    parts.push(`insert into series.view (${VIEW_COLUMNS}) select ${VIEW_COLUMNS} from pg_temp.later_view on conflict do nothing`)
  }
  return parts
}

function encodeViews (copy: CopyBuffer, row: SeriesCommit['revisions'][number], metric: number, tail: string): void {
  for (const view of viewsWithTail(row, tail)) {
    copy.row(8)
    copy.uuid(view.id)
    copy.timestamptz(row.windowStart)
    copy.int4(row.series)
    copy.int4(row.sizeMs)
    copy.int2(metric)
    copy.int2(kindCode(view.kind))
    view.takenAt === undefined ? copy.null() : copy.timestamptz(view.takenAt)
    view.sequence === undefined ? copy.null() : copy.int8(view.sequence)
  }
}

/** One row for all of them: to touch a row per series would cost as much as the readings themselves. */
function countParts ({ counters }: SeriesCommit, copy: CopyBuffer): BatchPart[] {
  if (counters.length === 0) return []
  copy.reset()
  copy.row(6)
  copy.int4Array(counters.map(({ series }) => series))
  copy.int4Array(counters.map(({ hour }) => Math.floor(hour / HOUR_MS)))
  copy.int4Array(counters.map(({ accepted }) => accepted))
  copy.int4Array(counters.map(({ stored }) => stored))
  copy.int4Array(counters.map(({ duplicate }) => duplicate))
  copy.int4Array(counters.map(({ conflict }) => conflict))
  return [{ copy: `copy series.counter_delta (series, hour, accepted, stored, duplicate, conflict) ${BINARY}`, bytes: copy.bytes() }]
}

function stateParts ({ closed, settled, due, resume }: SeriesCommit): BatchPart[] {
  const parts: BatchPart[] = []
  const column = <T>(rows: readonly T[], of: (row: T) => number) => numberArray(rows.map(of))
  if (closed.length > 0) {
    parts.push(`select series.close_windows(${column(closed, row => row.series)}, ${column(closed, row => row.sizeMs)}, ${column(closed, row => clampTime(row.through))})`)
  }
  if (settled.length > 0) {
    parts.push(`select series.settle(${column(settled, row => row.series)}, ${column(settled, row => row.sizeMs)}, ${column(settled, row => row.windowStart)}, ${column(settled, row => row.asOf)})`)
  }
  if (due.length > 0) {
    parts.push(`select series.mark_due(${column(due, row => row.series)}, ${column(due, row => row.sizeMs)}, ${column(due, row => row.windowStart)}, ` +
      `${column(due, row => row.partition)}, ${column(due, row => codeOfCause(row.cause))}, ${column(due, row => row.notBefore)})`)
  }
  const wide = due.filter(({ lookback }) => lookback !== undefined)
  if (wide.length > 0) {
    parts.push(`select series.mark_neighbours(${column(wide, row => row.series)}, ${column(wide, row => row.sizeMs)}, ${column(wide, row => row.windowStart)}, ` +
      `${column(wide, row => row.partition)}, ${codeOfCause('late')}, ${column(wide, row => row.notBefore)}, ${column(wide, row => row.lookback!)})`)
  }
  if (resume.length > 0) {
    parts.push(`select series.resume_at(${textArray(resume.map(point => point.topic))}, ${column(resume, point => point.partition)}, ${column(resume, point => point.firstOffset)}, ${column(resume, point => point.nextOffset)})`)
  }
  return parts
}
