/** Views of closed windows -> transaction Bundles for a receiver that knows its patients by an identifier (fhir-modelling.md §4 rule 6, §8). */

import { identifierSystem, instant } from '../../model/identifier.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Naming } from '../views/naming.ts'
import type { FrameTools } from '../views/observation-frame.ts'
import { isDerived } from '../views/observation-value.ts'
import { renderObservation } from '../views/observation-view.ts'
import { provenanceId, renderProvenance } from '../views/provenance-view.ts'
import { nameOfView, type View } from '../views/view-name.ts'
import { isEnded } from '../views/window-history.ts'

/** What goes together or not at all: views of one ledger row, ended by their Provenance. */
export interface BundlePart {
  views: readonly View[]
  /** Derived views whose Provenance closes the part. */
  derived: readonly View[]
}

/** One ledger row in parts of at most `entriesMax` entries; more than one only where a window is served reading by reading. */
export function partsOf (views: readonly View[], entriesMax: number): BundlePart[] {
  const derived = views.filter(view => isDerived(view.kind) && !isEnded(view))
  const provenance = derived.length > 0 ? 1 : 0
  const parts: BundlePart[] = []
  let rest = views
  while (rest.length + provenance > entriesMax && rest.length > 1) {
    const raw = rest.slice(0, Math.min(entriesMax, rest.length - 1))
    parts.push({ views: raw, derived: [] })
    rest = rest.slice(raw.length)
  }
  parts.push({ views: rest, derived: derived.filter(view => rest.includes(view)) })
  return parts
}

export function entryCount (part: BundlePart): number { return part.views.length + (part.derived.length > 0 ? 1 : 0) }

/** Parts in order, as many in each Bundle as fit into `entriesMax` entries; a part is never cut, and no Bundle holds two revisions of one
 *  view (R4 transactions: identities must not overlap). */
export function packParts<P extends { part: BundlePart }> (parts: readonly P[], entriesMax: number): P[][] {
  const bundles: P[][] = []
  const ids = new Set<string>()
  let count = 0
  for (const item of parts) {
    const entries = entryCount(item.part)
    if (bundles.length === 0 || count + entries > entriesMax || item.part.views.some(view => ids.has(view.id))) {
      bundles.push([])
      ids.clear()
      count = 0
    }
    bundles.at(-1)!.push(item)
    for (const view of item.part.views) ids.add(view.id)
    count += entries
  }
  return bundles
}

export interface BundleTimes { timestamp: EpochMs, recorded?: EpochMs }

/** JSON text of a transaction Bundle: Observations in order, Provenance last. @param naming of {@link bundleNaming} */
export function buildBundle (parts: readonly BundlePart[], naming: Naming, tools: FrameTools, times: BundleTimes): string {
  const bundled = new Set(parts.flatMap(part => part.views.map(view => view.id)))
  const observations = parts.flatMap(part => part.views).map(view => observationEntry(view, naming, tools, bundled))
  const options = { bundled, ...(times.recorded === undefined ? {} : { recorded: times.recorded }) }
  const provenances = parts.filter(part => part.derived.length > 0).map(part => {
    const resource = renderProvenance(part.derived, naming, tools, options)
    return `{"fullUrl":"urn:uuid:${provenanceId(part.derived[0]!.row)}","resource":${resource},"request":{"method":"POST","url":"Provenance"}}`
  })
  return `{"resourceType":"Bundle","type":"transaction","timestamp":"${instant(times.timestamp)}","entry":[${[...observations, ...provenances].join(',')}]}`
}

/** `identifier=<system>|<value>` of the view, encoded for a URL: how the receiver finds it. */
export function identifierQuery (view: View, naming: Naming): string {
  const { kind, name } = nameOfView(view)
  return `identifier=${encodeURIComponent(`${identifierSystem(kind)}|${naming.context.association}/${name}`)}`
}

function observationEntry (view: View, naming: Naming, tools: FrameTools, bundled: ReadonlySet<string>): string {
  const query = identifierQuery(view, naming)
  const request = view.row.revision === 1
    ? `{"method":"POST","url":"Observation","ifNoneExist":"${query}"}`
    : `{"method":"PUT","url":"Observation?${query}"}`
  return `{"fullUrl":"urn:uuid:${view.id}","resource":${renderObservation(view, naming, tools, bundled)},"request":${request}}`
}
