/** Calibrations as recorded: append only, numbered in the order of recording; in force at a time is the highest number that covers it. */

import type { Calibration, CalibrationKind } from '../../model/calibration.ts'
import { instant } from '../../model/identifier.ts'
import type { Sid } from '../../model/reading.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import type { Database } from './resource.ts'
import { fromRange, rangeColumns, type Span, toRange } from './span.ts'

export interface NewCalibration {
  metricId: string
  metricVersion: number
  device: string
  metric: string
  version: string
  kind: CalibrationKind
  coefficients: Readonly<Record<string, number>>
  effective: Span
  state: Calibration['state']
  /** What a later version of the resource must still say. */
  normalText: string
  recordedAt: EpochMs
}

export interface RecordedCalibration extends Calibration {
  device: string
  /** Text of the version as recorded: may hold a serial number, so it never leaves for the series store. */
  version: string
  metricId: string
  metricVersion: number
}

interface Row {
  number: number
  device: string
  metric: string
  version: string
  metric_id: string
  metric_version: number
  kind: CalibrationKind
  coefficients: Record<string, number>
  state: Calibration['state']
  lower: number
  upper: number | null
}

/** Normal texts of what a DeviceMetric has recorded, by version, in order of recording. */
export async function recordedTexts (db: Database, metricId: string): Promise<Map<string, string>> {
  const { rows } = await db.query<{ version: string, record: string }>(
    'select version, record from linkage.calibration where metric_id = $1 order by number', [metricId])
  return new Map(rows.map(row => [row.version, row.record]))
}

/** Gives the number. */
export async function recordCalibration (client: Database, next: NewCalibration): Promise<number> {
  const { rows } = await client.query<{ number: number }>(
    `insert into linkage.calibration (metric_id, metric_version, device, metric, version, kind, coefficients, effective, state, record, recorded_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning number`,
    [next.metricId, next.metricVersion, next.device, next.metric, next.version, next.kind, JSON.stringify(next.coefficients),
      toRange(next.effective), next.state, next.normalText, instant(next.recordedAt)])
  return Number(rows[0]!.number)
}

/** Calibrations of the devices, ascending by number. */
export async function calibrationsOf (db: Database, devices: readonly string[]): Promise<RecordedCalibration[]> {
  const { rows } = await db.query<Row>(
    `select number, device, metric, version, metric_id, metric_version, kind, coefficients, state, ${rangeColumns('effective')}
     from linkage.calibration where device = any($1) order by number`, [devices])
  return rows.map(row => {
    const effective = fromRange(row.lower, row.upper)!
    return {
      number: Number(row.number),
      device: row.device,
      metric: row.metric,
      version: row.version,
      metricId: row.metric_id,
      metricVersion: row.metric_version,
      kind: row.kind,
      coefficients: row.coefficients,
      state: row.state,
      ...effective
    }
  })
}

export interface RecalibrationJob {
  id: number
  /** Number of the calibration. */
  calibration: number
  sids: readonly Sid[]
  metric: string
  /** From the calibration's begin on, without an end: behind its end values are marked as stale. */
  span: Span
  progress: Readonly<Record<string, unknown>>
}

/** A device's clock, and so its closed windows, may be this far ahead (DESIGN.md §7). */
const AHEAD_MS = 5 * 60_000

/** Records that windows already computed need the new calibration; `undefined` when none can be, or no sid was worn then. */
export async function recordRecalibration (client: Database, number: number, next: NewCalibration): Promise<number | undefined> {
  if (next.effective.from > next.recordedAt + AHEAD_MS) return undefined
  const { rows } = await client.query<{ id: number }>(
    `insert into linkage.recalibration_job (calibration, sids, metric, span, recorded_at)
     select $1, array_agg(sid order by sid), $2, $3, $4 from linkage.sid_map where device = $5 and valid && $3
     having count(*) > 0 returning id`,
    [number, next.metric, toRange({ from: next.effective.from }), instant(next.recordedAt), next.device])
  return rows[0] === undefined ? undefined : Number(rows[0].id)
}

/** In the order of recording. */
export async function openRecalibrations (db: Database, limit: number): Promise<RecalibrationJob[]> {
  const { rows } = await db.query<{ id: number, calibration: number, sids: Sid[], metric: string, progress: Record<string, unknown>, lower: number, upper: number | null }>(
    `select id, calibration, sids, metric, progress, ${rangeColumns('span')} from linkage.recalibration_job where state = 'open' order by id limit $1`, [limit])
  return rows.map(row => ({
    id: Number(row.id), calibration: Number(row.calibration), sids: row.sids, metric: row.metric, progress: row.progress, span: fromRange(row.lower, row.upper)!
  }))
}

export async function finishRecalibration (db: Database, id: number, now: EpochMs): Promise<void> {
  await db.query(`update linkage.recalibration_job set state = 'done', done_at = $2 where id = $1 and state = 'open'`, [id, instant(now)])
}

/** Texts of calibration versions by number, for provenance in FHIR. */
export function calibrationTexts (calibrations: readonly RecordedCalibration[]): Map<number, string> {
  return new Map(calibrations.map(one => [one.number, one.version]))
}

/** Without what the series store may not know. */
export function plainCalibration (one: RecordedCalibration): Calibration {
  return {
    number: one.number,
    metric: one.metric,
    kind: one.kind,
    coefficients: one.coefficients,
    from: epochMs(one.from),
    ...(one.until === undefined ? {} : { until: one.until }),
    state: one.state
  }
}
