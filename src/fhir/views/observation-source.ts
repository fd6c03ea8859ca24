/** What a derived value was made from: `derivedFrom` of a view (fhir-modelling.md §2.1 'Derived' and 'Many sources'). */

import { identifierSystem, instant, isoDuration } from '../../model/identifier.ts'
import type { Naming } from './naming.ts'
import type { Frame } from './observation-frame.ts'
import { viewsOf } from '../../model/view-ids.ts'
import { nameOfView, shownView, type View } from './view-name.ts'

/** More sources than this are named as one range. */
const SOURCES_MAX = 20

/** The raw Observations of the row that `view` was derived from. */
function rawViews ({ row }: View): View[] {
  return viewsOf(row).filter(view => view.kind === 'sampled' || view.kind === 'single').map(view => shownView(view, row))
}

export function derivedFromText (view: View, frame: Frame, bundled?: ReadonlySet<string>): string {
  return `,"derivedFrom":[${sourceReferences(view, frame, bundled).join(',')}]`
}

/** JSON text of a Reference to each source, or of one to their range. */
export function sourceReferences (view: View, { naming }: Frame, bundled?: ReadonlySet<string>): string[] {
  const { form } = view.row
  if (view.source !== undefined) return [range(view, naming, view.source.sizeMs)]
  if (form.form === 'singles' && form.samples.length > SOURCES_MAX) return [range(view, naming, 0)]
  return rawViews(view).map(source => naming.observation(source.id, nameOfView(source), source.row.revision, bundled))
}

function range (view: View, naming: Naming, sizeMs: number): string {
  const { metric, windowStart, sizeMs: size } = view.row
  const end = instant((windowStart + size) as typeof windowStart)
  const value = `${naming.context.association}/${metric}/${instant(windowStart)}/${end}/${isoDuration(sizeMs)}`
  return `{"type":"Observation","identifier":{"system":"${identifierSystem('telemetry-window-range')}","value":"${value}"}}`
}
