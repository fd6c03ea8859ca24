/** Routes → an app that listens; what every role has: health and metrics. */

import type { VerifyToken } from '../auth/verify-token.ts'
import { authPlugin } from '../auth/auth.plugin.ts'
import { type AppParts, createApp } from '../http/app.ts'
import { healthRoutes } from '../http/health.routes.ts'
import { metricsRoutes } from '../http/metrics.routes.ts'
import type { Stores } from '../platform/postgres/open-stores.ts'
import { missingParts } from './databases.ts'
import type { Ground } from './ground.ts'

/** @returns the address */
export async function listen (ground: Ground, stores: Stores, { verify, routes }: { verify: VerifyToken, routes: AppParts['routes'] }): Promise<string> {
  const { config, log, events, metrics, running } = ground
  const app = await createApp({
    log,
    events,
    auth: authPlugin({ verify }),
    isDemo: config.demo === 'on',
    bodyMax: config['fhir.bodyMax'],
    routes: [
      ...routes,
      healthRoutes({ missing: () => missingParts(ground, stores), alarms: events.raisedAlarms, notes: () => config['stream.deficits'].length === 0 ? ['no signed threshold is configured: the tissue oxygen deficit is not computed'] : [] }),
      metricsRoutes(metrics)
    ]
  })
  const address = await app.listen(config['http.host'], config['http.port'])
  // Pushed last: the door closes first, so that everything behind it can finish what was let in.
  running.push({ name: 'http', stop: () => app.close(config['http.stopTimeout']) })
  return address
}
