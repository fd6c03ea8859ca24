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

/** System and value of the identifier of one view. `sample`: of a `single`. */
export function viewName (row: NamedWindow, kind: ViewKind, sample?: { takenAt: EpochMs, sequence: number }): { kind: IdentifierKind, name: string } {
  const { metric, windowStart, sizeMs } = row
  switch (kind) {
    case 'sampled': return { kind: 'telemetry-window', name: windowName(metric, windowStart, sizeMs) }
    case 'single': return { kind: 'telemetry-numeric', name: sampleName(metric, sample!) }
    case 'panel': return { kind: 'telemetry-panel', name: windowName('panel', windowStart, sizeMs) }
    case 'numeric': return { kind: 'telemetry-numeric', name: windowName(metric, windowStart, sizeMs) }
    case 'mean':
    case 'rate': return { kind: 'derived-window', name: windowName(`${metric}-${kind}`, windowStart, sizeMs) }
    case 'deficit': return { kind: 'derived-window', name: windowName(deficitCode(metric), windowStart, sizeMs) }
  }
}

/** Every view of a revision. One without samples keeps the view in which its metric is shown as a rule. */
export function viewsOf (row: Pick<WindowRevision, 'sid' | 'form' | 'statistics' | 'deficit'> & NamedWindow): ViewOf[] {
  const views = row.form.form === 'singles' ? row.form.samples.map(sample => single(row, sample)) : [view(row, mainKind(row))]
  if (row.statistics !== undefined) views.push(view(row, 'mean'), view(row, 'rate'))
  if (row.deficit !== undefined) views.push(view(row, 'deficit'))
  return views
}

/** Tissue pO2 has the code without a metric in its name; two metrics of one device must not share an id. */
function deficitCode (metric: string): string { return metric === 'tissue-po2' ? 'tissue-oxygen-deficit' : `${metric}-deficit` }

function mainKind ({ metric, form }: Pick<WindowRevision, 'metric' | 'form'>): ViewKind {
  if (metric === 'panel') return 'panel'
  return form.form === 'last' || metric === 'spo2' || metric === 'battery-voltage' ? 'numeric' : 'sampled'
}

function view (row: NamedWindow & Pick<WindowRevision, 'sid'>, kind: ViewKind): ViewOf {
  const named = viewName(row, kind)
  return { id: viewId(named.kind, row.sid, named.name), kind }
}

function single (row: NamedWindow & Pick<WindowRevision, 'sid'>, { takenAt, sequence }: { takenAt: EpochMs, sequence: number }): ViewOf {
  const named = viewName(row, 'single', { takenAt, sequence })
  return { id: viewId(named.kind, row.sid, named.name), kind: 'single', takenAt, sequence }
}

function sampleName (metric: string, { takenAt, sequence }: { takenAt: EpochMs, sequence: number }): string {
  const name = `${metric}/${instant(takenAt)}/PT0S`
  return sequence === 0 ? name : `${name}/${sequence}`
}
