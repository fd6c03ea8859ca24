/** One Observation of a ledger row: its id, kind, and its sample where it is one reading. */

import type { IdentifierKind } from '../../model/identifier.ts'
import type { EpochMs } from '../../model/units.ts'
import { type ViewOf, viewName } from '../../model/view-ids.ts'
import type { ViewKind, WindowRevision } from '../../model/window.ts'

/** Identifier system of each kind. */
export const IDENTIFIER_KIND: Readonly<Record<ViewKind, IdentifierKind>> = {
  sampled: 'telemetry-window', single: 'telemetry-numeric', panel: 'telemetry-panel', numeric: 'telemetry-numeric',
  mean: 'derived-window', rate: 'derived-window', deficit: 'derived-window'
}

export type ViewName = ReturnType<typeof viewName>

export interface View {
  /** Logical id of the Observation. */
  id: string
  kind: ViewKind
  /** The revision that wrote this version of the Observation. */
  row: WindowRevision
  /** Of `single`; without a value where it was withdrawn. */
  sample?: { takenAt: EpochMs, sequence: number, value?: number }
  /** The revision no longer shows this Observation (§2.3 rule 5): it ends here as entered-in-error. */
  isWithdrawn?: boolean
  /** Of `panel`: metric of the SpO2 row of the same window; absent: it has none. */
  member?: string
  /** What a derived value was made from; absent: the raw window of the row itself. */
  source?: { sizeMs: number, digest: string }
}

export function nameOfView (view: Pick<View, 'row' | 'kind' | 'sample'>): ViewName { return viewName(view.row, view.kind, view.sample) }

/** The view as the revision shows it. @param named one of `viewsOf(row)` */
export function shownView ({ id, kind, takenAt, sequence }: ViewOf, row: WindowRevision): View {
  if (kind !== 'single') return { id, kind, row }
  const value = row.form.form === 'singles' ? row.form.samples.find(sample => sample.takenAt === takenAt && sample.sequence === sequence)?.value : undefined
  const sample = { takenAt: takenAt!, sequence: sequence!, ...(value === undefined ? {} : { value }) }
  return { id, kind, row, sample }
}

/** The view as entered-in-error from this revision on. */
export function endedView ({ id, kind, takenAt, sequence }: ViewOf, row: WindowRevision): View {
  const base = { id, kind, row, isWithdrawn: true }
  return kind === 'single' ? { ...base, sample: { takenAt: takenAt!, sequence: sequence! } } : base
}
