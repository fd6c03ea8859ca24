/** A span of the archive read again, beside the server of this deployment or without one. */

import { VERSION } from '../config/product.ts'
import { createReadAgain } from '../ingest/read-again.ts'
import { createSchemaLookup } from '../ingest/schemas/schema-lookup.ts'
import type { DeviceModels } from '../model/device-model.ts'
import { identifierSystem } from '../model/identifier.ts'
import type { Sid } from '../model/reading.ts'
import { RAW } from '../model/streams.ts'
import type { EpochMs } from '../model/units.ts'
import type { Bus } from '../platform/bus/bus.ts'
import { topicEnds } from '../platform/bus/topic-ends.ts'
import { openKeyRing } from '../platform/keys/open-key-ring.ts'
import { openObjectReader } from '../platform/objects/open-objects.ts'
import type { Stores } from '../platform/postgres/open-stores.ts'
import { runningCluster } from '../platform/postgres/running-cluster.ts'
import { notifyChange } from '../stores/linkage/change-feed.ts'
import { identitiesOf } from '../stores/linkage/device-identity.ts'
import { placesOfDevices } from '../stores/linkage/sid-lookup.ts'
import { reprocess } from '../stores/reprocess/reprocess.ts'
import type { ReprocessParts } from '../stores/reprocess/reprocess-parts.ts'
import type { ReprocessJob } from '../stores/series/reprocess-job.ts'
import { createSeriesStore } from '../stores/series/series-store.ts'
import { lookbackCount } from '../stream/plausibility.ts'
import type { Runners } from '../stream/start-runners.ts'
import { streamSettings } from '../stream/stream-settings.ts'
import { visitDatabases } from './databases.ts'
import { createIdentity, type Identity, type Keys, loadModels, openKeys, openSetAside, startBus } from './foundations.ts'
import type { Ground } from './ground.ts'
import { openSeries, startStream, windowSizesOf } from './stream.ts'

const POLL_MS = 200
/** Longer than any pause of the stream before it tries again. */
const STANDSTILL_MS = 60_000

export interface Reprocessor {
  /** Names of the pipeline that is there. */
  pipelines: readonly string[]
  /** Of the device of this name in telemetry, withdrawn ones too; none: nobody ever wore it, or there is no such device. */
  sidsOfDevice (name: string): Promise<readonly Sid[]>
  reprocess (wish: { from: EpochMs, to: EpochMs, sids: readonly Sid[] | undefined } | undefined): Promise<ReprocessJob>
}

export type ReprocessRun = Pick<ReprocessParts, 'signal' | 'onProgress'>

/** Where the embedded PostgreSQL is this process's alone, what a server would do with readings and windows is done here.
 *  @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openReprocessor (ground: Ground, run: ReprocessRun): Promise<Reprocessor> {
  const { config, now } = ground
  const isAlone = config['postgres.kind'] === 'embedded' && await runningCluster(config.dataDir) === undefined
  const stores = await visitDatabases(ground)
  const models = await loadModels(config)
  const keys = await openKeys(ground, stores)
  const identity = createIdentity(ground, stores, keys)
  const bus = await startBus(ground, stores)
  const runners = isAlone ? await streamAlone(ground, { stores, keys, identity, bus, models }) : undefined
  const linkage = stores.pool('oxbow_linkage')
  const { dagDigest } = streamSettings(config, models)
  const parts: ReprocessParts = {
    archive: { pool: stores.pool('oxbow_archive'), objects: await openObjectReader(config, now), keyRing: await openKeyRing(config, { pool: stores.pool('oxbow_keys'), now }) },
    rawEnds: () => topicEnds(config, () => stores.pool('oxbow_bus'), RAW),
    pool: stores.pool('oxbow_series'),
    series: createSeriesStore(stores.pool('oxbow_series')),
    readOriginals: createReadAgain({
      resolve: identity.resolver.resolve, firmwareNumber: identity.firmwareNumber, models, checkLimits: { futureMaxMs: config['ingest.futureMax'] },
      schemas: createSchemaLookup({ pool: stores.pool('oxbow_ingest'), now }), now
    }),
    contexts: identity.contexts,
    bus,
    models,
    sizesMs: windowSizesOf(config),
    lookback: Math.max(...[...models.values()].map(lookbackCount)),
    contextChanged: async sids => {
      runners?.contextChanged(sids)
      await notifyChange(linkage, { devices: [], sids })
    },
    now, pollMs: POLL_MS, standstillMs: STANDSTILL_MS, ...run
  }
  return {
    pipelines: [VERSION, dagDigest],
    sidsOfDevice: async name => {
      const found = await identitiesOf(linkage, identity.blindIndexes(identifierSystem('telemetry-device'), name), [])
      return (await placesOfDevices(linkage, [...found.values()].map(({ device }) => device))).map(({ sid }) => sid)
    },
    reprocess: wish => reprocess(parts, dagDigest, wish)
  }
}

interface StreamAlone { stores: Stores, keys: Keys, identity: Identity, bus: Bus, models: DeviceModels }

async function streamAlone (ground: Ground, { stores, keys, identity, bus, models }: StreamAlone): Promise<Runners> {
  return startStream(ground, await openSeries(ground, stores, models), {
    bus, models, contexts: identity.contexts, setAside: await openSetAside(ground, stores, keys), onWindows: () => { /* the server finds by itself that windows were written */ }
  })
}
