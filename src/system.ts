/** Config → running system: built top to bottom, stopped bottom to top. With `system/` the one place that knows every room. */

import { VERSION } from './config/product.ts'
import type { Config } from './config/schema.ts'
import { assertMayStart } from './config/start-refusals.ts'
import type { QuarantineReview } from './ingest/quarantine/quarantine-review.ts'
import type { RegistryView } from './ingest/schemas/registry.ts'
import { keyFileOf } from './platform/keys/key-file.ts'
import type { ArchiveView } from './stores/archive/archive-view.ts'
import type { ParquetView } from './stores/archive/parquet/parquet-view.ts'
import { startAll } from './system/all-role.ts'
import { viewArchive, viewParquet } from './system/archive.ts'
import { visitDatabases } from './system/databases.ts'
import { openDoor } from './system/door.ts'
import { createIdentity, loadModels, openKeys, startBus } from './system/foundations.ts'
import { builtOn, type Ground, groundOf, stopAll, type SystemOptions } from './system/ground.ts'
import { viewRegistry } from './system/registry.ts'
import { openReprocessor, type Reprocessor, type ReprocessRun } from './system/reprocess.ts'
import type { Running } from './system/running.ts'
import { startStreamRole } from './system/stream-role.ts'

export interface System extends Running {
  /** Lets what was accepted become durable, then ends everything; a part that fails to stop keeps no other from stopping. */
  stop (): Promise<void>
}

const ROLES: Readonly<Record<Config['roles'], (ground: Ground) => Promise<Running>>> = { all: startAll, stream: startStreamRole }

/** @throws ServiceError naming what is wrong; whatever was started by then is stopped again */
export async function startSystem (options: SystemOptions): Promise<System> {
  const { config } = options
  assertMayStart(config, keyFileOf(config))
  return builtOn(groundOf(options), async ground => {
    const running = await ROLES[config.roles](ground)
    ground.log.info('listening', { event: 'system.started', version: VERSION })
    return { ...running, stop: () => stopAll(ground) }
  })
}

/** What operators do with quarantine, on the databases of this deployment, whether or not a server runs on them.
 *  @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openReview (options: SystemOptions): Promise<{ review: QuarantineReview, close (): Promise<void> }> {
  return builtOn(groundOf(options), async ground => {
    const stores = await visitDatabases(ground)
    const models = await loadModels(ground.config)
    const keys = await openKeys(ground, stores)
    const identity = createIdentity(ground, stores, keys)
    const bus = await startBus(ground, stores)
    const { review } = await openDoor(ground, { stores, bus, keys, identity, models })
    return { review, close: () => stopAll(ground) }
  })
}

/** The schemas that are registered in this deployment, whether or not a server runs on it. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openRegistry (options: SystemOptions): Promise<{ registry: RegistryView, close (): Promise<void> }> {
  return builtOn(groundOf(options), async ground => {
    const models = await loadModels(ground.config)
    const stores = await visitDatabases(ground)
    return { registry: viewRegistry(ground, stores, models), close: () => stopAll(ground) }
  })
}

/** What stands in the archive of this deployment, whether or not a server runs. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openArchiveView (options: SystemOptions): Promise<{ view: ArchiveView, close (): Promise<void> }> {
  return builtOn(groundOf(options), async ground => {
    const stores = await visitDatabases(ground)
    return { view: await viewArchive(ground, stores), close: () => stopAll(ground) }
  })
}

/** What operators ask about the Parquet files of this deployment, whether or not a server runs. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openParquetView (options: SystemOptions): Promise<{ view: ParquetView, close (): Promise<void> }> {
  return builtOn(groundOf(options), async ground => {
    const stores = await visitDatabases(ground)
    return { view: await viewParquet(ground, stores), close: () => stopAll(ground) }
  })
}

/** A span of the archive read again. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function openReprocess (options: SystemOptions, run: ReprocessRun): Promise<Reprocessor & { close (): Promise<void> }> {
  return builtOn(groundOf(options), async ground => ({ ...await openReprocessor(ground, run), close: () => stopAll(ground) }))
}
