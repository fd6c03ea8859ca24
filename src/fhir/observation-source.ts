/** What a derived value was made from: `derivedFrom` of a view (fhir-modelling.md §2.1 'Derived' and 'Many sources'). */

import { identifierSystem, instant, isoDuration } from '../model/identifier.ts'
import type { Frame } from './observation-frame.ts'
import { idOfView, type View, viewName } from './view-name.ts'

/** More sources than this are named as one range. */
const SOURCES_MAX = 20

/** The raw Observations of the row that `view` was derived from. */
export function rawViews (view: View): View[] {
  const { row } = view
  if (row.form.form === 'singles') return row.form.samples.map(sample => ({ kind: 'single', row, sample }))
  return [{ kind: 'sampled', row }]
}

export function derivedFromText (view: View, frame: Frame, bundled?: ReadonlySet<string>): string {
  const { naming } = frame
  if (view.source !== undefined) return range(view, frame, view.source.sizeMs)
  const raw = rawViews(view)
  if (raw.length > SOURCES_MAX) return range(view, frame, 0)
  return `,"derivedFrom":[${raw.map(source => naming.observation(idOfView(source), viewName(source), source.row.revision, bundled)).join(',')}]`
}

function range (view: View, frame: Frame, sizeMs: number): string {
  const { metric, windowStart, sizeMs: size } = view.row
  const end = instant((windowStart + size) as typeof windowStart)
  const value = `${frame.naming.context.association}/${metric}/${instant(windowStart)}/${end}/${isoDuration(sizeMs)}`
  return `,"derivedFrom":[{"type":"Observation","identifier":{"system":"${identifierSystem('telemetry-window-range')}","value":"${value}"}}]`
}
