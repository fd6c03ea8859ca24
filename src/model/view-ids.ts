/** A row of the ledger → every Observation it shows: kind, name behind `<association>/`, logical id (fhir-modelling.md §4). */

import { type IdentifierKind, instant, viewId, windowName } from './identifier.ts'
import type { EpochMs } from './units.ts'
import type { ViewKind, WindowRevision } from './window.ts'

export interface ViewOf {
  id: string
  kind: ViewKind
  /** Of the sample; only for `single`. */
  takenAt?: EpochMs
  sequence?: number
}

type NamedWindow = Pick<WindowRevision, 'metric' | 'windowStart' | 'sizeMs'>

/** `/<windowStart>/<size>`: the end that the names of all views of a window share. */
export function windowTail (windowStart: EpochMs, sizeMs: number): string { return windowName('', windowStart, sizeMs) }

/** System and value of the identifier of one view. `sample`: of a `single`. */
export function viewName (row: NamedWindow, kind: ViewKind, sample?: { takenAt: EpochMs, sequence: number }): { kind: IdentifierKind, name: string } {
  return nameOf(row.metric, kind, windowTail(row.windowStart, row.sizeMs), sample)
}

type ShownWindow = NamedWindow & Pick<WindowRevision, 'sid' | 'form' | 'statistics' | 'deficit'>

/** Every view of a revision. One without samples keeps the view in which its metric is shown as a rule. */
export function viewsOf (row: ShownWindow): ViewOf[] { return viewsWithTail(row, windowTail(row.windowStart, row.sizeMs)) }

/** {@link viewsOf}, but for the kinds that nobody wants. */
export function viewsOfKinds (row: ShownWindow, isWanted: (kind: ViewKind) => boolean): ViewOf[] {
  return viewsWithTail(row, windowTail(row.windowStart, row.sizeMs), isWanted)
}

/** {@link viewsOf}, for who makes many of one window and has its tail. */
export function viewsWithTail (row: ShownWindow, tail: string, isWanted: (kind: ViewKind) => boolean = () => true): ViewOf[] {
  const view = (kind: ViewKind, sample?: { takenAt: EpochMs, sequence: number }): ViewOf => {
    const named = nameOf(row.metric, kind, tail, sample)
    const id = viewId(named.kind, row.sid, named.name)
    return sample === undefined ? { id, kind } : { id, kind, takenAt: sample.takenAt, sequence: sample.sequence }
  }
  const samples = row.form.form === 'singles' ? row.form.samples : []
  const main = mainKind(row)
  const views = isWanted(main) ? (main === 'single' ? samples.map(sample => view('single', sample)) : [view(main)]) : []
  if (row.statistics !== undefined) for (const kind of ['mean', 'rate'] as const) if (isWanted(kind)) views.push(view(kind))
  if (row.deficit !== undefined && isWanted('deficit')) views.push(view('deficit'))
  return views
}

function nameOf (metric: string, kind: ViewKind, tail: string, sample?: { takenAt: EpochMs, sequence: number }): { kind: IdentifierKind, name: string } {
  switch (kind) {
    case 'sampled': return { kind: 'telemetry-window', name: metric + tail }
    case 'single': return { kind: 'telemetry-numeric', name: sampleName(metric, sample!) }
    case 'panel': return { kind: 'telemetry-panel', name: `panel${tail}` }
    case 'numeric': return { kind: 'telemetry-numeric', name: metric + tail }
    case 'mean':
    case 'rate': return { kind: 'derived-window', name: `${metric}-${kind}${tail}` }
    case 'deficit': return { kind: 'derived-window', name: deficitCode(metric) + tail }
  }
}

/** Tissue pO2 has the code without a metric in its name; two metrics of one device must not share an id. */
function deficitCode (metric: string): string { return metric === 'tissue-po2' ? 'tissue-oxygen-deficit' : `${metric}-deficit` }

function mainKind ({ metric, form }: ShownWindow): ViewKind {
  if (form.form === 'singles') return 'single'
  if (metric === 'panel') return 'panel'
  return form.form === 'last' || metric === 'spo2' || metric === 'battery-voltage' ? 'numeric' : 'sampled'
}

function sampleName (metric: string, { takenAt, sequence }: { takenAt: EpochMs, sequence: number }): string {
  const name = `${metric}/${instant(takenAt)}/PT0S`
  return sequence === 0 ? name : `${name}/${sequence}`
}
