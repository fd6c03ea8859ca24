/** The door, the FHIR API and the front page. */

import { openVerifier } from '../auth/open-auth.ts'
import { VERSION } from '../config/product.ts'
import { frontPageRoutes } from '../dashboard/front-page.routes.ts'
import { type FrontPageSources, openFrontPage } from '../dashboard/open-front-page.ts'
import { fhirRoutes } from '../fhir/api/fhir.routes.ts'
import type { Fhir } from '../fhir/open-fhir.ts'
import type { LinkageCommit } from '../fhir/resources/linkage-commit.ts'
import { createRepository } from '../fhir/resources/repository.ts'
import { createDemonstrationWard } from '../fhir/views/demonstration-ward.ts'
import { quarantinedOf } from '../ingest/counters.ts'
import { ingestRoutes } from '../ingest/ingest.routes.ts'
import type { Ingest } from '../ingest/open-ingest.ts'
import { registryRoutes } from '../ingest/schemas/registry.routes.ts'
import { READINGS } from '../model/streams.ts'
import { keyFileOf } from '../platform/keys/key-file.ts'
import { createWriteClock } from '../platform/write-clock.ts'
import { drawSid, drawSubj } from '../security/sid.ts'
import type { SeriesStore } from '../stores/series/series-store.ts'
import { missingParts } from './databases.ts'
import type { DoorParts } from './door.ts'
import type { Ground } from './ground.ts'
import { listen } from './listen.ts'

/** Most findings reported for one resource: more would not help anybody. */
const FINDINGS_MAX = 50

export interface ApiParts extends DoorParts { series: SeriesStore, ingest: Ingest, fhir: Fhir, onCommitted: (commit: LinkageCommit) => void }

/** @returns the address it listens on */
export async function openApi (ground: Ground, parts: ApiParts): Promise<string> {
  const { config, now, events } = ground
  const { stores, keys, identity, models, ingest, fhir, onCommitted } = parts
  let address = ''
  const publicUrl = (): string => config['http.publicUrl'] || address
  const store = createRepository({
    pool: stores.pool('oxbow_linkage'), models, blindIndexes: identity.blindIndexes, pseudonyms: { drawSid, drawSubject: drawSubj },
    baseUrl: () => `${publicUrl()}/fhir`, isDemo: config.demo === 'on', writes: createWriteClock(now), onCommitted
  })
  address = await listen(ground, stores, {
    verify: await openVerifier(config, keyFileOf(config), now),
    routes: [
      ingestRoutes({ accept: ingest.accept, counters: ingest.counters, events, now, bodyBytesMax: config['ingest.bodyMax'] }),
      ...ingest.registry === undefined ? [] : [registryRoutes(ingest.registry)],
      fhirRoutes({
        store,
        searchObservations: fhir.observations.search,
        readObservation: fhir.observations.read,
        readObservationHistory: fhir.observations.history,
        limits: { countDefault: config['fhir.countDefault'], countMax: config['fhir.countMax'], bundleEntriesMax: config['fhir.bundleEntriesMax'], findingsMax: FINDINGS_MAX },
        baseUrl: () => `${publicUrl()}/fhir`,
        pageKey: keys.pageKey,
        version: VERSION,
        now
      }),
      frontPageRoutes(openFrontPage(frontPageSources(ground, parts, publicUrl)))
    ]
  })
  return address
}

/** Curves and names are those of invented patients, and only where the ward runs: the page is public. */
function frontPageSources (ground: Ground, { stores, bus, series, keys, models }: ApiParts, address: () => string): FrontPageSources {
  const { config, events, now } = ground
  const ingestPool = stores.pool('oxbow_ingest')
  const quarantined = async (telemetry: string): Promise<number> => {
    const counts = await quarantinedOf(ingestPool, keys.deviceIndexOf(telemetry))
    return counts.records + counts.returned - counts.released
  }
  return {
    ingestPool,
    seriesPool: stores.pool('oxbow_series'),
    ward: config.demo === 'on' ? createDemonstrationWard({ linkagePool: stores.pool('oxbow_linkage'), series, models, quarantinedOf: quarantined, now }) : undefined,
    backlog: () => bus.backlog(READINGS),
    missing: () => missingParts(ground, stores),
    alarms: events.raisedAlarms,
    postgresKind: config['postgres.kind'],
    writerCount: config['series.writers'],
    destinationCount: config['egress.destinations'].length,
    version: VERSION,
    address,
    now
  }
}
