/** Ledger rows -> what is sent of them to one destination: parts by person, and the rows that nobody can be sent for. */

import type { Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import type { WindowRevision } from '../../model/window.ts'
import { bundleNaming, messageNaming, type Naming, patientEntry, type PatientName, serverNaming } from '../views/naming.ts'
import { findFrame, type FrameTools } from '../views/observation-frame.ts'
import { renderObservation } from '../views/observation-view.ts'
import type { ViewContext } from '../views/view-context.ts'
import type { View } from '../views/view-name.ts'
import { buildBundle, type BundlePart, packParts, partsOf } from './bundle.ts'
import type { DeadLetter, Skipped } from './delivery-store.ts'
import type { Destination, OutgoingBundle } from './destination.ts'
import { buildMessage } from './message.ts'

/** A row of the ledger with what it wrote. */
export interface NumberedRow { number: number, row: WindowRevision, views: readonly View[] }

export interface Parcel { number: number, place: number, part: BundlePart, patient: PatientName, naming: Naming, context: ViewContext }

export interface Sorted {
  /** By person, in order of the ledger. */
  parcels: readonly Parcel[]
  skipped: Skipped[]
  dead: DeadLetter[]
}

export interface Recipient {
  form: Destination['form']
  entriesMax: number
  contexts: ReadonlyMap<Sid, ViewContext>
  /** The patient's identifier for this receiver; a patient without one is missing. */
  patients: ReadonlyMap<string, PatientName>
  /** Revisions that the receiver has already. */
  delivered: ReadonlyMap<string, number>
}

/** Each row ends in exactly one of: parcels, skipped, dead, or nothing left to send because the receiver has it. */
export function sortRows (rows: readonly NumberedRow[], recipient: Recipient, tools: FrameTools): Sorted {
  const bySid = new Map<Sid, Parcel[]>()
  const skipped: Skipped[] = []
  const dead: DeadLetter[] = []
  const namings = new Map<Sid, Naming>()
  for (const { number, row, views } of rows) {
    const context = recipient.contexts.get(row.sid)
    if (context === undefined) {
      skipped.push({ number, reason: 'association-gone' })
      continue
    }
    const patient = recipient.patients.get(context.patient)
    if (patient === undefined) {
      dead.push({ number, part: 0, ids: views.map(view => view.id), revision: row.revision, reason: 'patient-identifier-missing' })
      continue
    }
    const naming = namings.get(row.sid) ?? (recipient.form === 'message' ? messageNaming : bundleNaming)(context, patient)
    namings.set(row.sid, naming)
    const fresh = views.filter(view => findFrame(view, naming, tools) !== undefined && (recipient.delivered.get(view.id) ?? 0) < row.revision)
    if (fresh.length === 0) continue
    const parcels = partsOf(fresh, recipient.entriesMax).map((part, place) => ({ number, place, part, patient, naming, context }))
    bySid.set(row.sid, [...bySid.get(row.sid) ?? [], ...parcels])
  }
  return { parcels: [...bySid.values()].flat(), skipped, dead }
}

/** Parcels that fit one Bundle: of one person, as many as the limit allows. */
export function bundlesOf (parcels: readonly Parcel[], entriesMax: number): Parcel[][] {
  const byPerson = new Map<Sid, Parcel[]>()
  for (const parcel of parcels) {
    byPerson.set(parcel.context.sid, [...byPerson.get(parcel.context.sid) ?? [], parcel])
  }
  return [...byPerson.values()].flatMap(own => packParts(own, entriesMax))
}

/** @param writer number of the writer whose rows these are; with the first row and place it names the Bundle. */
export function toBundle (parcels: readonly Parcel[], writer: number, form: Destination['form'], tools: FrameTools): OutgoingBundle {
  const first = parcels[0]!
  const timestamp = Math.max(...parcels.flatMap(({ part }) => part.views.map(view => view.row.issued))) as EpochMs
  const parts = parcels.map(({ part }) => part)
  return {
    name: `${writer}-${String(first.number).padStart(12, '0')}-${first.place}`,
    text: form === 'message' ? buildMessage(parts, first.patient, first.naming, tools, { timestamp }) : buildBundle(parts, first.naming, tools, { timestamp }),
    key: patientEntry(first.patient),
    observations: () => {
      const naming = serverNaming(first.context)
      return parcels.flatMap(({ part }) => part.views.map(view => renderObservation(view, naming, tools)))
    }
  }
}

/** The Observation by which the receiver is asked whether a part arrived. */
export function witness ({ part }: Parcel): View { return part.views[0]! }
