/** Revision of a window <-> row of `series.window_revision`. Everything comes back as it was written, numbers and tokens exactly. */

import type { PointProvenance, Provenance, SourceRange } from '../../model/provenance.ts'
import type { Sid } from '../../model/reading.ts'
import { READINGS } from '../../model/streams.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Deficit, ViewKind, WindowForm, WindowRevision, WindowStatistics, WindowStatus } from '../../model/window.ts'
import type { CopyBuffer } from '../../platform/postgres/copy.ts'
import type { LedgerRow } from './ledger-row.ts'
import type { Row } from './query.ts'

const STATUSES: readonly WindowStatus[] = ['final', 'amended', 'corrected', 'entered-in-error']
const FORMS: readonly WindowForm['form'][] = ['empty', 'sampled', 'singles', 'last']
const KINDS: readonly ViewKind[] = ['sampled', 'single', 'panel', 'numeric', 'mean', 'rate', 'deficit']

export function statusCode (status: WindowStatus): number { return STATUSES.indexOf(status) }
export function kindCode (kind: ViewKind): number { return KINDS.indexOf(kind) }
export function kindOf (code: number): ViewKind { return KINDS[code]! }

const COLUMNS = [
  'window_start', 'from_at', 'until_at', 'issued', 'watermark', 'number', 'series', 'size_ms', 'revision', 'flags', 'writer', 'metric', 'status', 'form',
  'grid_start', 'grid_period', 'token_count',
  'sample_count', 'expected_count', 'coverage', 'minimum', 'maximum', 'mean', 'rate_per_minute', 'residual_sd', 'quality',
  'provenance', 'sources', 'data', 'samples', 'deficit'
] as const

export const LEDGER_COLUMNS = COLUMNS.join(', ')
/** Behind it stands the text of the sid. */
export const LEDGER_COLUMNS_OF_R = COLUMNS.map(column => `r.${column}`).join(', ')
const AT = Object.fromEntries(COLUMNS.map((column, place) => [column, place])) as Record<(typeof COLUMNS)[number], number>

/** The numbers that stand for names in a row. */
export interface RowNumbers { metric: number, provenance: readonly number[], writer: number, number: number }

export function encodeRevision (copy: CopyBuffer, row: WindowRevision & { series: number }, numbers: RowNumbers): void {
  copy.row(COLUMNS.length)
  copy.timestamptz(row.windowStart)
  copy.timestamptz(row.from)
  copy.timestamptz(row.until)
  copy.timestamptz(row.issued)
  copy.timestamptz(row.watermark)
  copy.int8(numbers.number)
  copy.int4(row.series)
  copy.int4(row.sizeMs)
  copy.int4(row.revision)
  copy.int4(row.flags)
  copy.int2(numbers.writer)
  copy.int2(numbers.metric)
  copy.int2(statusCode(row.status))
  copy.int2(FORMS.indexOf(row.form.form))
  encodeGrid(copy, row.form)
  encodeStatistics(copy, row.statistics)
  float(copy, row.quality)
  copy.int4Array(numbers.provenance)
  copy.int8Array(flatSources(row.provenance))
  row.form.form === 'sampled' ? copy.text(row.form.data) : copy.null()
  json(copy, samplesOf(row.form))
  json(copy, row.deficit)
}

function encodeGrid (copy: CopyBuffer, form: WindowForm): void {
  if (form.form !== 'sampled') {
    nulls(copy, 3)
    return
  }
  copy.timestamptz(form.gridStart)
  copy.int4(Math.round(form.periodMs * 100))
  copy.int4(form.tokenCount)
}

function encodeStatistics (copy: CopyBuffer, statistics: WindowStatistics | undefined): void {
  if (statistics === undefined) {
    nulls(copy, 8)
    return
  }
  copy.int4(statistics.sampleCount)
  copy.int4(statistics.expectedCount)
  copy.float8(statistics.coverage)
  float(copy, statistics.minimum)
  float(copy, statistics.maximum)
  float(copy, statistics.mean)
  float(copy, statistics.ratePerMinute)
  float(copy, statistics.residualSd)
}

function nulls (copy: CopyBuffer, count: number): void { for (let n = 0; n < count; n++) copy.null() }
function float (copy: CopyBuffer, value: number | undefined): void { value === undefined ? copy.null() : copy.float8(value) }
function json (copy: CopyBuffer, value: unknown): void { value === undefined ? copy.null() : copy.text(JSON.stringify(value)) }

type SinglesJson = [takenAt: number, sequence: number, value: number][]
type LastJson = [takenAt: number, values: [metric: string, value: number][]]

function samplesOf (form: WindowForm): SinglesJson | LastJson | undefined {
  if (form.form === 'singles') return form.samples.map(({ takenAt, sequence, value }) => [takenAt, sequence, value])
  if (form.form === 'last') return [form.takenAt, form.values.map(({ metric, value }) => [metric, value])]
  return undefined
}

/** (place in `provenance`, partition, first offset, last offset) repeating. */
function flatSources (provenance: readonly PointProvenance[]): number[] {
  const flat: number[] = []
  for (const [place, point] of provenance.entries()) {
    for (const source of point.sources) {
      if (source.topic !== READINGS) throw new RangeError('a window has one source topic')
      flat.push(place, source.partition, source.firstOffset, source.lastOffset)
    }
  }
  return flat
}

/** @param fields {@link LEDGER_COLUMNS}, sid */
export function decodeRevision (fields: Row, names: { metricOf (number: number): string, provenanceOf (number: number): Provenance }): LedgerRow {
  const deficit = fields[AT.deficit] as Deficit | null
  const quality = fields[AT.quality] as number | null
  const statistics = statisticsOf(fields)
  return {
    series: fields[AT.series] as number,
    sid: fields[COLUMNS.length] as Sid,
    metric: names.metricOf(fields[AT.metric] as number),
    windowStart: fields[AT.window_start] as EpochMs,
    sizeMs: fields[AT.size_ms] as number,
    from: fields[AT.from_at] as EpochMs,
    until: fields[AT.until_at] as EpochMs,
    revision: fields[AT.revision] as number,
    status: STATUSES[fields[AT.status] as number]!,
    issued: fields[AT.issued] as EpochMs,
    watermark: fields[AT.watermark] as EpochMs,
    form: formOf(fields),
    flags: fields[AT.flags] as number,
    provenance: provenanceOf(fields, names.provenanceOf),
    writer: fields[AT.writer] as number,
    number: fields[AT.number] as number,
    ...(statistics === undefined ? {} : { statistics }),
    ...(deficit === null ? {} : { deficit }),
    ...(quality === null ? {} : { quality })
  }
}

/** Number of `series.metric` that the row names. */
export function metricNumber (fields: Row): number { return fields[AT.metric] as number }

/** Numbers of `series.provenance` that the row names. */
export function provenanceNumbers (fields: Row): readonly number[] { return fields[AT.provenance] as number[] }

function formOf (fields: Row): WindowForm {
  const form = FORMS[fields[AT.form] as number]!
  switch (form) {
    case 'empty': return { form }
    case 'sampled': return {
      form,
      gridStart: fields[AT.grid_start] as EpochMs,
      periodMs: (fields[AT.grid_period] as number) / 100,
      tokenCount: fields[AT.token_count] as number,
      data: fields[AT.data] as string
    }
    case 'singles': return { form, samples: (fields[AT.samples] as SinglesJson).map(([takenAt, sequence, value]) => ({ takenAt: takenAt as EpochMs, sequence, value })) }
    case 'last': {
      const [takenAt, values] = fields[AT.samples] as LastJson
      return { form, takenAt: takenAt as EpochMs, values: values.map(([metric, value]) => ({ metric, value })) }
    }
  }
}

function statisticsOf (fields: Row): WindowStatistics | undefined {
  const sampleCount = fields[AT.sample_count] as number | null
  if (sampleCount === null) return undefined
  const statistics: WindowStatistics = { sampleCount, expectedCount: fields[AT.expected_count] as number, coverage: fields[AT.coverage] as number }
  const put = (name: 'minimum' | 'maximum' | 'mean' | 'ratePerMinute' | 'residualSd', place: number) => {
    const value = fields[place] as number | null
    if (value !== null) statistics[name] = value
  }
  put('minimum', AT.minimum)
  put('maximum', AT.maximum)
  put('mean', AT.mean)
  put('ratePerMinute', AT.rate_per_minute)
  put('residualSd', AT.residual_sd)
  return statistics
}

function provenanceOf (fields: Row, of: (number: number) => Provenance): PointProvenance[] {
  const sources = fields[AT.sources] as number[]
  return provenanceNumbers(fields).map((number, place) => {
    const own: SourceRange[] = []
    for (let at = 0; at < sources.length; at += 4) {
      if (sources[at] === place) own.push({ topic: READINGS, partition: sources[at + 1]!, firstOffset: sources[at + 2]!, lastOffset: sources[at + 3]! })
    }
    return { ...of(number), sources: own }
  })
}
