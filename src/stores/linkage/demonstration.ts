/** Who is in the demonstration ward now: invented patients by the name that their demonstration identifier gives them. */

import { CANONICAL, identifierSystem, instant } from '../../model/identifier.ts'
import type { ModelKey, Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import { MODEL_COLUMN } from './device-identity.ts'
import type { Database } from './resource.ts'

export interface DemonstrationBed {
  name: string
  sid: Sid
  model: ModelKey
  /** The device's name in telemetry. */
  telemetry: string
}

const BEDS_MAX = 24

/** Ascending by name, at most 24. A patient without an identifier of the demonstration's system is never among them. */
export async function demonstrationBeds (db: Database, now: EpochMs): Promise<DemonstrationBed[]> {
  const { rows } = await db.query<DemonstrationBed>(
    `select p.value as name, m.sid, t.value as telemetry, ${MODEL_COLUMN}
     from fhir.identifier p join linkage.subject s on s.patient = p.id join linkage.sid_map m using (subj)
     join fhir.resource d on d.type = 'Device' and d.id = m.device
     join fhir.identifier t on t.type = 'Device' and t.id = m.device and t.system = $2
     where p.type = 'Patient' and p.system = $1 and m.valid @> $3::timestamptz order by p.value, m.sid limit ${BEDS_MAX}`,
    [`${CANONICAL}/identifier/demonstration`, identifierSystem('telemetry-device'), instant(now)])
  return rows
}
