/** Id, and version where one is named -> the Observation as text, if the caller may see it. */

import type { Observation } from '@medplum/fhirtypes'
import type { EpochMs } from '../../model/units.ts'
import type { FrameTools } from './observation-frame.ts'
import { goneRevision, type PublishedView, type ViewLoader } from './observation-load.ts'
import { isVisible } from './observation-match.ts'
import type { HistoryPage } from './observation-query.ts'
import type { Visibility } from '../words/search-words.ts'
import type { RowSources } from './observation-search.ts'
import { renderObservation } from './observation-view.ts'
import { isEnded } from './window-history.ts'

export interface ReadParts { rows: Pick<RowSources, 'byViewIds'>, loader: ViewLoader, tools: FrameTools }

export interface ObservationText {
  id: string
  versionId: string
  lastUpdated: EpochMs
  text: string
}

/** `undefined`: unknown, not closed yet, or not visible. @param versionId absent: the current version
 *  @throws ServiceError not-found FHIR_GONE for a version before a withdrawal */
export async function readObservation (id: string, versionId: string | undefined, visibleTo: Visibility, parts: ReadParts): Promise<ObservationText | undefined> {
  const versions = await visibleVersions(id, visibleTo, parts)
  const ended = versions.findLastIndex(({ view }) => isEnded(view))
  const place = versionId === undefined ? versions.length - 1 : versions.findIndex(({ view }) => String(view.row.revision) === versionId)
  const found = versions[place]
  if (found === undefined) return undefined
  if (place < ended) goneRevision()
  return toText(found, parts.tools)
}

/** Newest first, at most `page.count` of those before version `page.before`; versions before a withdrawal are not among them.
 *  [] when unknown or not visible. */
export async function readObservationHistory (id: string, page: HistoryPage, visibleTo: Visibility, parts: ReadParts): Promise<ObservationText[]> {
  const versions = await visibleVersions(id, visibleTo, parts)
  const ended = versions.findLastIndex(({ view }) => isEnded(view))
  const { count, before = Number.POSITIVE_INFINITY } = page
  return versions.slice(Math.max(0, ended)).reverse().filter(({ view }) => view.row.revision < before).slice(0, count).map(found => toText(found, parts.tools))
}

export function parseObservation ({ text }: ObservationText): Observation { return JSON.parse(text) as Observation }

async function visibleVersions (id: string, visibleTo: Visibility, { rows, loader }: ReadParts): Promise<PublishedView[]> {
  const [found] = await rows.byViewIds([id])
  if (found === undefined) return []
  const versions = await loader.versions(found.latest, id)
  const current = versions.at(-1)
  return current !== undefined && isVisible(current, visibleTo) ? versions : []
}

function toText ({ view, frame }: PublishedView, tools: FrameTools): ObservationText {
  return { id: view.id, versionId: String(view.row.revision), lastUpdated: view.row.issued, text: renderObservation(view, frame.naming, tools) }
}
