/** Who is behind which sid, for searches of views: answers `SidSources` from the linkage store. Withdrawn associations are included. */

import type { Pool } from 'pg'
import { allSids, metricPlaces, placesOfAssociations, placesOfDevices, placesOfPatients } from '../../stores/linkage/sid-lookup.ts'
import type { SidSources } from './observation-scope.ts'

export function createSidSources (pool: Pool): SidSources {
  return {
    all: () => allSids(pool),
    ofPatients: async ids => (await placesOfPatients(pool, ids)).map(({ sid }) => sid),
    ofDevices: async ids => (await placesOfDevices(pool, ids)).map(({ sid }) => sid),
    ofAssociations: async ids => new Map((await placesOfAssociations(pool, ids)).map(({ association, sid }) => [association, sid])),
    devicesOfMetrics: async ids => [...new Set((await metricPlaces(pool, ids)).map(({ device }) => device))]
  }
}
