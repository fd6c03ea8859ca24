/** The stores -> Observations: read, history and search as the API asks, ledger rows with their views as the egress asks. */

import type { Pool } from 'pg'
import type { WriteClock } from '../../platform/write-clock.ts'
import type { Ledger } from '../../stores/series/ledger-read.ts'
import { seriesSizes } from '../../stores/series/window-sizes.ts'
import type { FrameTools } from './observation-frame.ts'
import { createViewLoader, type ViewLoader, type ViewSources } from './observation-load.ts'
import type { ReadObservation, ReadObservationHistory, SearchObservations } from './observation-query.ts'
import type { Visibility } from '../words/search-words.ts'
import { type ObservationText, parseObservation, readObservation, readObservationHistory } from './observation-read.ts'
import { type ObservationTextPage, type RowSources, searchObservations } from './observation-search.ts'
import { createSidSources } from './sid-sources.ts'
import type { ViewContexts } from './view-contexts.ts'

export interface ObservationsParts {
  /** Logged in as a login of the series store that may read. */
  seriesPool: Pool
  ledger: Ledger
  linkagePool: Pool
  contexts: ViewContexts
  tools: FrameTools
  /** That of those who issue. */
  writes: WriteClock
}

export interface Observations {
  readText (id: string, versionId: string | undefined, visibleTo: Visibility): Promise<ObservationText | undefined>
  searchTexts (...asked: Parameters<SearchObservations>): Promise<ObservationTextPage>
  read: ReadObservation
  history: ReadObservationHistory
  search: SearchObservations
  loader: ViewLoader
}

export function createObservations (parts: ObservationsParts): Observations {
  const { tools, writes } = parts
  const rows = rowSources(parts)
  const sids = createSidSources(parts.linkagePool)
  const loader = createViewLoader(viewSources(parts), tools)
  const readParts = { rows, loader, tools }
  const searchTexts: Observations['searchTexts'] = (query, visibleTo) => searchObservations(query, visibleTo, { rows, sids, loader, tools, writes })
  return {
    loader,
    searchTexts,
    search: searchTexts,
    readText: (id, versionId, visibleTo) => readObservation(id, versionId, visibleTo, readParts),
    async read (id, versionId, visibleTo) {
      const found = await readObservation(id, versionId, visibleTo, readParts)
      return found === undefined ? undefined : parseObservation(found)
    },
    history: async (id, page, visibleTo) => (await readObservationHistory(id, page, visibleTo, readParts)).map(parseObservation)
  }
}

/** What the views of rows ask of the stores; also for rows that come from elsewhere than a search. */
export function viewSources ({ ledger, contexts }: Pick<ObservationsParts, 'ledger' | 'contexts'>): ViewSources {
  return {
    revisionsOf: keys => ledger.revisionsOf(keys),
    latest: keys => ledger.latest(keys),
    contexts: (sids, firmware) => contexts.of(sids, firmware)
  }
}

function rowSources ({ ledger, seriesPool }: ObservationsParts): RowSources {
  return {
    search: query => ledger.search(query),
    byViewIds: ids => ledger.byViewIds(ids),
    seriesOf: sids => seriesSizes(seriesPool, sids)
  }
}
