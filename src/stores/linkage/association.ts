/** Association of a device with a patient for a period: takes what a DeviceUseStatement says, keeps subject, sid and its valid period
 *  (privacy.md §4.2). All calls run inside the transaction that writes the resource. */

import { instant } from '../../model/identifier.ts'
import type { Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Database } from './resource.ts'
import { fromRange, intersect, rangeColumns, type Span, subtract, toRange } from './span.ts'

export interface Association {
  /** Logical ids of DeviceUseStatement, Device, Patient. */
  id: string
  device: string
  patient: string
  /** `undefined`: holds nowhere (entered in error). */
  valid: Span | undefined
}

export interface Pseudonyms { drawSid: () => Sid, drawSubject: () => string }

export interface AssociationChange {
  sid: Sid
  device: string
  /** No window was written under its sid yet. */
  isNew: boolean
  gained: readonly Span[]
  lost: readonly Span[]
}

export interface RelabelPiece { span: Span, target?: Sid }

interface SidRow { sid: Sid, lower: number | null, upper: number | null }

/** Waits for other writers of these devices, their metrics and associations, so that of two that do not go together the second sees the first. */
export async function lockDevices (client: Database, devices: readonly string[]): Promise<void> {
  if (devices.length === 0) return
  await client.query(`select from fhir.resource where type = 'Device' and id = any($1) order by id for no key update`, [devices])
}

/** A new association draws a new sid; a known one keeps its sid and takes the new period. Overlap is found by {@link assertNoOverlap}. */
export async function putAssociation (client: Database, association: Association, draw: Pseudonyms): Promise<AssociationChange> {
  const { rows } = await client.query<SidRow>(
    `select sid, ${rangeColumns('valid')} from linkage.sid_map where association = $1 for no key update`, [association.id])
  const known = rows[0]
  if (known === undefined) {
    const sid = draw.drawSid()
    await client.query('insert into linkage.sid_map (sid, device, subj, association, valid) values ($1, $2, $3, $4, $5)',
      [sid, association.device, await subjectOf(client, association.patient, draw), association.id, toRange(association.valid)])
    return { sid, device: association.device, isNew: true, gained: subtract(association.valid, undefined), lost: [] }
  }
  const before = fromRange(known.lower, known.upper)
  await client.query('update linkage.sid_map set valid = $2 where sid = $1', [known.sid, toRange(association.valid)])
  return { sid: known.sid, device: association.device, isNew: false, gained: subtract(association.valid, before), lost: subtract(before, association.valid) }
}

/** Until then a transaction may overlap with itself. @throws the database's 23P01 when two periods of one device overlap */
export async function assertNoOverlap (client: Database): Promise<void> {
  await client.query('set constraints linkage.sid_map_no_overlap immediate')
}

/** Records what becomes of the rows in time that an association lost, and that windows were cut at a bound which has moved; call when all
 *  associations of the transaction are put. Gives the job ids. */
export async function recordRelabelling (client: Database, change: AssociationChange, recordedAt: EpochMs): Promise<number[]> {
  const jobs: number[] = []
  const record = async (span: Span, target: Sid | undefined): Promise<void> => {
    const { rows: [job] } = await client.query<{ id: number }>(
      'insert into linkage.relabel_job (device, sid, span, target, recorded_at) values ($1, $2, $3, $4, $5) returning id',
      [change.device, change.sid, toRange(span), target ?? null, instant(recordedAt)])
    jobs.push(Number(job!.id))
  }
  if (!change.isNew) for (const gained of change.gained) await record(gained, change.sid)
  for (const lost of change.lost) {
    const { rows } = await client.query<SidRow>(
      `select sid, ${rangeColumns('valid')} from linkage.sid_map where device = $1 and sid <> $2 and valid && $3 order by lower(valid)`,
      [change.device, change.sid, toRange(lost)])
    const others = rows.flatMap(row => {
      const valid = fromRange(row.lower, row.upper)
      return valid === undefined ? [] : [{ sid: row.sid, span: valid }]
    })
    for (const { span, target } of planRelabelling(lost, others)) await record(span, target)
  }
  return jobs
}

/** Cuts lost time at the borders of the other associations, ascending; a piece that nobody covers has no target.
 *  @param others ascending, without overlap */
export function planRelabelling (lost: Span, others: readonly { sid: Sid, span: Span }[]): RelabelPiece[] {
  const pieces: RelabelPiece[] = []
  let rest: Span | undefined = lost
  for (const other of others) {
    const common: Span | undefined = rest && intersect(rest, other.span)
    if (rest === undefined || common === undefined) continue
    if (common.from > rest.from) pieces.push({ span: { from: rest.from, until: common.from } })
    pieces.push({ span: common, target: other.sid })
    rest = subtract(rest, { from: rest.from, ...(common.until === undefined ? {} : { until: common.until }) })[0]
  }
  if (rest !== undefined) pieces.push({ span: rest })
  return pieces
}

export async function hasAssociation (db: Database, device: string): Promise<boolean> {
  const { rows } = await db.query('select from linkage.sid_map where device = $1 limit 1', [device])
  return rows.length > 0
}

/** Sids of a device with their valid periods; a withdrawn one has none. */
export async function sidsOfDevice (db: Database, device: string): Promise<{ sid: Sid, valid: Span | undefined }[]> {
  const { rows } = await db.query<SidRow>(`select sid, ${rangeColumns('valid')} from linkage.sid_map where device = $1 order by lower(valid)`, [device])
  return rows.map(row => ({ sid: row.sid, valid: fromRange(row.lower, row.upper) }))
}

/** Logical ids of the devices that the patient ever wore. */
export async function devicesOfPatient (db: Database, patient: string): Promise<string[]> {
  const { rows } = await db.query<{ device: string }>(
    'select distinct device from linkage.sid_map join linkage.subject using (subj) where patient = $1 order by device', [patient])
  return rows.map(row => row.device)
}

async function subjectOf (client: Database, patient: string, draw: Pseudonyms): Promise<string> {
  const { rows: [drawn] } = await client.query<{ subj: string }>(
    'insert into linkage.subject (patient, subj) values ($1, $2) on conflict (patient) do nothing returning subj', [patient, draw.drawSubject()])
  if (drawn !== undefined) return drawn.subj
  const { rows: [known] } = await client.query<{ subj: string }>('select subj from linkage.subject where patient = $1', [patient])
  return known!.subj
}
