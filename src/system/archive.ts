/** The archive of original bytes: its writer, and what an operator sees of it. */

import type { Config } from '../config/schema.ts'
import { RAW } from '../model/streams.ts'
import type { Bus } from '../platform/bus/bus.ts'
import { readEnds } from '../platform/bus/embedded/tables.ts'
import { openKeyRing } from '../platform/keys/open-key-ring.ts'
import { openObjects } from '../platform/objects/open-objects.ts'
import type { Stores } from '../platform/postgres/open-stores.ts'
import { type ArchiveView, archiveView } from '../stores/archive/archive-view.ts'
import { openArchive } from '../stores/archive/open-archive.ts'
import type { Keys } from './foundations.ts'
import type { Ground } from './ground.ts'

/** Stopped after the door: what came in by then is archived too. */
export async function startArchive ({ config, now, events, running }: Ground, { stores, bus, keys }: { stores: Stores, bus: Bus, keys: Keys }): Promise<void> {
  const archive = openArchive({
    bus, pool: stores.pool('oxbow_archive'), objects: await openObjects(config, now), events, now,
    keys: { directory: keys.directoryKey, ofSids: keys.dataKeys.heldForSids },
    sliceMs: config['archive.sliceTime'], sliceBytes: config['archive.sliceBytes']
  })
  running.push({ name: 'archive', stop: archive.stop })
}

/** @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function viewArchive ({ config, now }: Pick<Ground, 'config' | 'now'>, stores: Stores): Promise<ArchiveView> {
  const keyRing = await openKeyRing(config, { pool: stores.pool('oxbow_keys'), now })
  return archiveView({ pool: stores.pool('oxbow_archive'), objects: await openObjects(config, now), keyRing, ends: () => rawEnds(config, stores) })
}

/** Loaded where it is asked: the client of Kafka costs memory and time at the start. */
async function rawEnds (config: Config, stores: Stores): Promise<ReadonlyMap<number, number>> {
  if (config['bus.kind'] === 'embedded') return readEnds(stores.pool('oxbow_bus'), RAW)
  return (await import('../platform/bus/kafka/govern-topics.ts')).endsOf(config, RAW)
}
