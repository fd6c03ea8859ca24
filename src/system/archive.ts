/** The archive of original bytes and of Parquet: their writers, and what an operator sees of them. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Quarantine } from '../ingest/quarantine/quarantine.ts'
import { createSetAside } from '../ingest/quarantine/set-aside.ts'
import { identifierSystem } from '../model/identifier.ts'
import { RAW } from '../model/streams.ts'
import type { DeviceModels } from '../model/device-model.ts'
import type { Bus } from '../platform/bus/bus.ts'
import { topicBegins, topicEnds } from '../platform/bus/topic-ends.ts'
import { openKeyRing } from '../platform/keys/open-key-ring.ts'
import type { ObjectStore } from '../platform/objects/object-store.ts'
import { openObjectReader } from '../platform/objects/open-objects.ts'
import type { Repetition } from '../platform/repeat.ts'
import type { Stores } from '../platform/postgres/open-stores.ts'
import { type ArchiveView, archiveView } from '../stores/archive/archive-view.ts'
import { openArchive } from '../stores/archive/open-archive.ts'
import { startParquet } from '../stores/archive/parquet/start-parquet.ts'
import { createParquetView, type ParquetView } from '../stores/archive/parquet/parquet-view.ts'
import { identitiesOf } from '../stores/linkage/device-identity.ts'
import { createSeriesStore, type SeriesStore } from '../stores/series/series-store.ts'
import { assertOurBus, createIdentity, type Identity, type Keys, openKeys } from './foundations.ts'
import type { Ground } from './ground.ts'

export interface ArchiveParts {
  stores: Stores
  bus: Bus
  keys: Keys
  identity: Pick<Identity, 'contexts'>
  objects: ObjectStore
  /** There once the door is open. */
  quarantine: Promise<Pick<Quarantine, 'add'>>
}

/** Stopped after the door: what came in by then is archived too. */
export function startArchive ({ config, now, events, running }: Ground, { stores, bus, keys, identity, objects, quarantine }: ArchiveParts): void {
  const archive = openArchive({
    bus, pool: stores.pool('oxbow_archive'), objects, events, now,
    setAside: async records => { await createSetAside(await quarantine, now, RAW)(records) },
    keys: { directory: keys.directoryKey, ofSids: keys.dataKeys.heldForSids, knownSids: identity.contexts },
    sliceMs: config['archive.sliceTime'], sliceBytes: config['archive.sliceBytes']
  })
  running.push({ name: 'archive', stop: archive.stop })
}

export interface ParquetParts { stores: Stores, objects: ObjectStore, series: SeriesStore, keys: Keys, identity: Identity, models: DeviceModels }

/** Beside the stream: it only asks what is stored. */
export function startParquetFiles ({ config, now, events }: Ground, { stores, objects, series, keys, identity, models }: ParquetParts): Repetition {
  return startParquet({
    pool: stores.pool('oxbow_archive'), objects, days: series.days, models, keyOf: keys.keyOf, events, now,
    calibrationsOf: async sid => (await identity.contexts([sid])).get(sid)?.calibrations ?? [],
    quietMs: config['archive.parquetQuiet']
  })
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE · incorrect CONFIG_INVALID on another bus than that of what is archived */
export async function viewArchive ({ config, now }: Pick<Ground, 'config' | 'now'>, stores: Stores): Promise<ArchiveView> {
  await assertOurBus(config, stores)
  const keyRing = await openKeyRing(config, { pool: stores.pool('oxbow_keys'), now })
  return archiveView({ pool: stores.pool('oxbow_archive'), objects: await openObjectReader(config, now), keyRing, ends: () => topicEnds(config, () => stores.pool('oxbow_bus'), RAW), begins: () => topicBegins(config, () => stores.pool('oxbow_bus'), RAW), now, pause: delay, sliceMs: config['archive.sliceTime'] })
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function viewParquet (ground: Ground, stores: Stores): Promise<ParquetView> {
  const keys = await openKeys(ground, stores)
  const { blindIndexes } = createIdentity(ground, stores, keys)
  const series = createSeriesStore(stores.pool('oxbow_series'))
  return createParquetView({
    pool: stores.pool('oxbow_archive'),
    objects: await openObjectReader(ground.config, ground.now),
    seriesOf: async device => {
      const [found] = (await identitiesOf(stores.pool('oxbow_linkage'), blindIndexes(identifierSystem('telemetry-device'), device), [])).values()
      return found === undefined ? undefined : [...(await series.numbersOf(found.periods.map(({ sid }) => sid))).values()]
    },
    sidOf: async number => (await series.sidsOf([number])).get(number)?.sid,
    keyOf: keys.keyOf,
    unsettled: series.days.unsettled
  })
}
