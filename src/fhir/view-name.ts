/** View of a ledger row -> its business identifier behind `<association>/`, and its logical id (fhir-modelling.md §4). */

import { type IdentifierKind, instant, viewId, windowName } from '../model/identifier.ts'
import type { EpochMs } from '../model/units.ts'
import type { ViewKind, WindowRevision } from '../model/window.ts'

export interface Sample { takenAt: EpochMs, sequence: number, value: number }

/** One Observation of a ledger row. */
export interface View {
  kind: ViewKind
  row: WindowRevision
  /** Of `single`; its value is absent where it was withdrawn. */
  sample?: Omit<Sample, 'value'> & { value?: number }
  /** The row went on in the other form (§2.3 rule 5): this Observation ends here as entered-in-error. */
  isWithdrawn?: boolean
  /** Of `panel`: metric of the SpO2 row of the same window; absent: it has none. */
  member?: string
  /** What a derived value was made from; absent: the raw window of the row itself. */
  source?: { sizeMs: number, digest: string }
}

export interface ViewName { kind: IdentifierKind, name: string }

export function viewName (view: Pick<View, 'kind' | 'sample'> & { row: Pick<WindowRevision, 'metric' | 'windowStart' | 'sizeMs'> }): ViewName {
  const { metric, windowStart, sizeMs } = view.row
  switch (view.kind) {
    case 'sampled': return { kind: 'telemetry-window', name: windowName(metric, windowStart, sizeMs) }
    case 'single': return { kind: 'telemetry-numeric', name: sampleName(metric, view.sample!) }
    case 'panel': return { kind: 'telemetry-panel', name: windowName('panel', windowStart, sizeMs) }
    case 'numeric': return { kind: 'telemetry-numeric', name: windowName(metric, windowStart, sizeMs) }
    case 'mean': return { kind: 'derived-window', name: windowName(`${metric}-mean`, windowStart, sizeMs) }
    case 'rate': return { kind: 'derived-window', name: windowName(`${metric}-rate`, windowStart, sizeMs) }
    case 'deficit': return { kind: 'derived-window', name: windowName('tissue-oxygen-deficit', windowStart, sizeMs) }
  }
}

/** Logical id of the Observation. */
export function idOfView (view: View): string {
  const { kind, name } = viewName(view)
  return viewId(kind, view.row.sid, name)
}

function sampleName (metric: string, sample: Pick<Sample, 'takenAt' | 'sequence'>): string {
  const name = `${metric}/${instant(sample.takenAt)}/PT0S`
  return sample.sequence === 0 ? name : `${name}/${sample.sequence}`
}
