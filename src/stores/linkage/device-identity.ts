/** Names in telemetry → devices with their models and association periods, in one look-up for many. */

import type { ModelKey, Sid } from '../../model/reading.ts'
import type { BlindIndexEntry } from './device-name.ts'
import type { Database } from './resource.ts'
import { fromRange, rangeColumns, type Span } from './span.ts'

export interface IdentityPeriod {
  sid: Sid
  valid: Span
  /** The patient's logical id, and identifiers of the systems asked for. */
  patientNames: ReadonlySet<string>
}

export interface DeviceIdentity {
  device: string
  model: ModelKey
  /** Latest first; withdrawn ones are not here. */
  periods: readonly IdentityPeriod[]
}

/** `Device.manufacturer/modelNumber` as in SQL; `''` when the Device does not say, which no registry knows. */
export const MODEL_COLUMN = `coalesce((d.content ->> 'manufacturer') || '/' || (d.content ->> 'modelNumber'), '') as model`

/** By the index of the name; a name of no device is missing. */
export async function identitiesOf (db: Database, names: readonly BlindIndexEntry[], patientSystems: readonly string[]): Promise<Map<BlindIndexEntry, DeviceIdentity>> {
  const { rows: devices } = await db.query<{ place: number, device: string, model: string }>(
    `select w.place::int, b.device, ${MODEL_COLUMN}
     from unnest($1::smallint[], $2::bytea[]) with ordinality as w (ver, bi, place)
     join linkage.blind_index b on b.ver = w.ver and b.bi = w.bi
     join fhir.resource d on d.type = 'Device' and d.id = b.device`,
    [names.map(({ ver }) => ver), names.map(({ bi }) => Buffer.from(bi))])
  const periods = devices.length === 0 ? new Map<string, IdentityPeriod[]>() : await periodsOf(db, devices.map(({ device }) => device), patientSystems)
  return new Map(devices.map(({ place, device, model }) => [names[place - 1]!, { device, model, periods: periods.get(device) ?? [] }]))
}

async function periodsOf (db: Database, devices: readonly string[], patientSystems: readonly string[]): Promise<Map<string, IdentityPeriod[]>> {
  const { rows } = await db.query<{ device: string, sid: Sid, patient: string, names: string[] | null, lower: number, upper: number | null }>(
    `select m.device, m.sid, s.patient, ${rangeColumns('m.valid')}, (
       select array_agg(i.value) from fhir.identifier i where i.type = 'Patient' and i.id = s.patient and i.system = any($2)) as names
     from linkage.sid_map m join linkage.subject s using (subj)
     where m.device = any($1) and not isempty(m.valid) order by lower(m.valid) desc`,
    [devices, patientSystems])
  const found = new Map<string, IdentityPeriod[]>()
  for (const row of rows) {
    const period = { sid: row.sid, valid: fromRange(row.lower, row.upper)!, patientNames: new Set([row.patient, ...(row.names ?? [])]) }
    const known = found.get(row.device)
    if (known === undefined) found.set(row.device, [period])
    else known.push(period)
  }
  return found
}
