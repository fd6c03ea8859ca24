/** Role `stream`: series writers beside the server that leads, on partitions that the group on Kafka shares out. Nobody sends it anything. */

import { tokenInvalid } from '../auth/verify-token.ts'
import { createSidContexts } from '../stores/linkage/sid-contexts.ts'
import { joinDatabases } from './databases.ts'
import { loadModels, openFeed, openKeys, openSetAside, startBus } from './foundations.ts'
import type { Ground } from './ground.ts'
import { listen } from './listen.ts'
import type { Running } from './running.ts'
import { openSeries, startStream, watchHost } from './stream.ts'

export async function startStreamRole (ground: Ground): Promise<Running> {
  const { config } = ground
  const models = await loadModels(config)
  const stores = await joinDatabases(ground)
  const keys = await openKeys(ground, stores)
  const bus = await startBus(ground, stores)
  const series = await openSeries(ground, stores, models)
  // The leading server finds by itself that windows were written.
  const runners = startStream(ground, series, {
    bus, models, contexts: createSidContexts(stores.pool('oxbow_linkage')), setAside: await openSetAside(ground, stores, keys), onWindows: () => {}
  })
  await openFeed(ground, stores, change => { runners.contextChanged(change === 'all' ? 'all' : change.sids) })
  watchHost(ground, bus, [config.dataDir])
  // No route of this role asks for a token.
  const address = await listen(ground, stores, { verify: async () => { throw tokenInvalid('issuer') }, routes: [] })
  return { address, models }
}
