/** Patient, Device or DeviceMetric → the sids behind it, withdrawn ones included; and what stands around a sid. */

import { identifierSystem } from '../../model/identifier.ts'
import type { ModelKey, Sid } from '../../model/reading.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import { calibrationsOf, type RecordedCalibration } from './calibration.ts'
import { MODEL_COLUMN } from './device-identity.ts'
import type { Database } from './resource.ts'
import { fromRange, rangeColumns, type Span } from './span.ts'

/** Logical ids around a sid. */
export interface SidPlace {
  sid: Sid
  association: string
  patient: string
  device: string
  /** Absent: withdrawn. */
  valid?: Span
}

export interface MetricPlace { id: string, device: string, metric: string }

export interface VersionText { id: string, version: number, recordedAt: EpochMs, text: string }

/** Everything that views of the sids show of their device, by Device. */
export interface DeviceFacts {
  model: ModelKey
  /** Current. */
  text: string
  /** All recorded, ascending. */
  versions: readonly VersionText[]
  /** All recorded versions of its DeviceMetrics, ascending by (id, version). */
  metricVersions: readonly VersionText[]
  calibrations: readonly RecordedCalibration[]
}

const PLACE = `select m.sid, m.association, s.patient, m.device, ${rangeColumns('m.valid')} from linkage.sid_map m join linkage.subject s using (subj)`

interface PlaceRow { sid: Sid, association: string, patient: string, device: string, lower: number | null, upper: number | null }

/** A sid that does not exist is missing. */
export async function placesOf (db: Database, sids: readonly Sid[]): Promise<SidPlace[]> { return places(db, 'm.sid', sids) }
export async function placesOfPatients (db: Database, ids: readonly string[]): Promise<SidPlace[]> { return places(db, 's.patient', ids) }
export async function placesOfDevices (db: Database, ids: readonly string[]): Promise<SidPlace[]> { return places(db, 'm.device', ids) }
export async function placesOfAssociations (db: Database, ids: readonly string[]): Promise<SidPlace[]> { return places(db, 'm.association', ids) }

/** Every sid there is. */
export async function allSids (db: Database): Promise<Sid[]> {
  const { rows } = await db.query<{ sid: Sid }>('select sid from linkage.sid_map')
  return rows.map(row => row.sid)
}

/** A DeviceMetric that names no channel of its Device is missing. */
export async function metricPlaces (db: Database, ids: readonly string[]): Promise<MetricPlace[]> {
  const { rows } = await db.query<MetricPlace>(
    `select f.id, f.target_id as device, substr(i.value, length(t.value) + 2) as metric
     from fhir.reference f
     join fhir.identifier i on i.type = f.type and i.id = f.id and i.system = $2
     join fhir.identifier t on t.type = 'Device' and t.id = f.target_id and t.system = $3
     where f.type = 'DeviceMetric' and f.element = 'source' and f.id = any($1) and starts_with(i.value, t.value || '/')`,
    [ids, identifierSystem('device-metric'), identifierSystem('telemetry-device')])
  return rows
}

export async function deviceFacts (db: Database, devices: readonly string[]): Promise<Map<string, DeviceFacts>> {
  const current = await db.query<{ id: string, model: string, text: string }>(
    `select d.id, d.content::text as text, ${MODEL_COLUMN} from fhir.resource d where d.type = 'Device' and d.id = any($1)`, [devices])
  const versions = await versionTexts(db,
    `select h.*, h.id as device from fhir.history h where h.type = 'Device' and h.id = any($1)`, devices)
  const metricVersions = await versionTexts(db,
    `select h.*, f.target_id as device from fhir.reference f join fhir.history h on h.type = f.type and h.id = f.id
     where f.type = 'DeviceMetric' and f.element = 'source' and f.target_type = 'Device' and f.target_id = any($1)`, devices)
  const calibrations = Map.groupBy(await calibrationsOf(db, devices), ({ device }) => device)
  return new Map(current.rows.map(({ id, model, text }) => [id, {
    model, text, versions: versions.get(id) ?? [], metricVersions: metricVersions.get(id) ?? [], calibrations: calibrations.get(id) ?? []
  }]))
}

/** All recorded versions of each Patient, ascending. */
export async function patientVersions (db: Database, ids: readonly string[]): Promise<Map<string, VersionText[]>> {
  return versionTexts(db, `select h.*, h.id as device from fhir.history h where h.type = 'Patient' and h.id = any($1)`, ids)
}

async function places (db: Database, column: string, ids: readonly string[]): Promise<SidPlace[]> {
  const { rows } = await db.query<PlaceRow>(`${PLACE} where ${column} = any($1) order by m.sid`, [ids])
  return rows.map(row => {
    const valid = fromRange(row.lower, row.upper)
    return { sid: row.sid, association: row.association, patient: row.patient, device: row.device, ...(valid === undefined ? {} : { valid }) }
  })
}

/** @param sql gives rows of the history and, as `device`, the id they belong to */
async function versionTexts (db: Database, sql: string, ids: readonly string[]): Promise<Map<string, VersionText[]>> {
  const { rows } = await db.query<{ device: string, id: string, version: number, at: number, text: string }>(
    `select device, id, version, (extract(epoch from last_updated) * 1000)::float8 as at, content::text as text from (${sql}) h order by id, version`, [ids])
  const found = new Map<string, VersionText[]>()
  for (const { device, id, version, at, text } of rows) {
    const known = found.get(device)
    const one = { id, version, recordedAt: epochMs(at), text }
    if (known === undefined) found.set(device, [one])
    else known.push(one)
  }
  return found
}
