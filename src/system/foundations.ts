/** What parts of every role stand on: device models, databases, keys, the identity store's answers, the bus. */

import { deficitProblems, loadDeviceModels, windowSizeProblems } from '../config/device-models.ts'
import { MODELS_FOLDER } from '../config/product.ts'
import type { Config } from '../config/schema.ts'
import { openQuarantine } from '../ingest/quarantine/quarantine.ts'
import { createSetAside } from '../ingest/quarantine/set-aside.ts'
import type { DeviceModels } from '../model/device-model.ts'
import { ServiceError } from '../model/errors.ts'
import type { SetAside } from '../model/foreign-record.ts'
import { identifierSystem } from '../model/identifier.ts'
import type { Sid } from '../model/reading.ts'
import { RAW, READINGS } from '../model/streams.ts'
import { type Bus, offsetGone } from '../platform/bus/bus.ts'
import { assertSameBus, busIdentity } from '../platform/bus/bus-identity.ts'
import { openBus } from '../platform/bus/open-bus.ts'
import { topicEnds } from '../platform/bus/topic-ends.ts'
import { createViewContexts } from '../fhir/views/view-contexts.ts'
import { openKeyRing } from '../platform/keys/open-key-ring.ts'
import type { Stores } from '../platform/postgres/open-stores.ts'
import { loadBlindIndex } from '../security/blind-index.ts'
import { createDataKeys } from '../security/data-keys.ts'
import { loadFingerprint } from '../security/fingerprint.ts'
import { loadDirectoryKey } from '../stores/archive/directory-key.ts'
import { readHeads } from '../stores/archive/manifest-rows.ts'
import { type ChangeFeed, createChangeFeed, type LinkageChange } from '../stores/linkage/change-feed.ts'
import { createFirmwareNumber } from '../stores/linkage/firmware.ts'
import { createSidResolver } from '../stores/linkage/resolve-sid.ts'
import { createSidContexts } from '../stores/linkage/sid-contexts.ts'
import { resumePoints } from '../stores/series/state.ts'
import type { Ground } from './ground.ts'

/** The one version of K_link in use. */
const K_LINK = 1

export type Keys = Awaited<ReturnType<typeof openKeys>>
export type Identity = ReturnType<typeof createIdentity>

/** @throws ServiceError CONFIG_INVALID when the settings name what the models do not have */
export async function loadModels (config: Config): Promise<DeviceModels> {
  const models = await loadDeviceModels(MODELS_FOLDER)
  const problems = [
    ...deficitProblems(models, config['stream.deficits']).map(problem => `stream.deficits: ${problem}`),
    ...windowSizeProblems(models, config['stream.windowSizes']).map(problem => `stream.windowSizes: ${problem}`)
  ]
  if (problems.length > 0) throw new ServiceError('incorrect', 'CONFIG_INVALID', problems.join('; '))
  return models
}

export async function openKeys ({ config, now }: Ground, stores: Stores) {
  const keyRing = await openKeyRing(config, { pool: stores.pool('oxbow_keys'), now })
  const blindIndex = await loadBlindIndex(keyRing, K_LINK)
  const page = await keyRing.dek('linkage', { store: 'linkage', object: 'page', purpose: 'page-token' })
  const indexOf = (system: string, value: string): Buffer => blindIndex('device', system, value)
  const dataKeys = createDataKeys({ keyRing, now })
  return {
    dataKeys,
    /** `undefined`: it was destroyed. */
    keyOf: async (sid: Sid) => (await dataKeys.heldForSids([sid])).get(sid),
    fingerprint: await loadFingerprint(keyRing),
    /** Of the directories of archived objects. */
    directoryKey: await loadDirectoryKey(keyRing),
    pageKey: page.key,
    indexOf,
    /** Of a device's name in telemetry. */
    deviceIndexOf: (telemetry: string) => ({ version: K_LINK, index: indexOf(identifierSystem('telemetry-device'), telemetry) })
  }
}

export function createIdentity ({ config, now }: Ground, stores: Stores, { indexOf }: Keys) {
  const pool = stores.pool('oxbow_linkage')
  const blindIndexes = (system: string, value: string) => [{ ver: K_LINK, bi: indexOf(system, value) }]
  return {
    blindIndexes,
    resolver: createSidResolver({ pool, blindIndexes, patientSystems: config['ingest.patientSystems'], now }),
    contexts: createSidContexts(pool),
    viewContexts: createViewContexts({ pool }),
    firmwareNumber: createFirmwareNumber({ pool })
  }
}

export async function startBus ({ config, now, events, log, running, missing }: Ground, stores: Stores): Promise<Bus> {
  await assertOurBus(config, stores)
  const bus = await openBus(config, {
    url: stores.url('oxbow_bus'),
    now,
    onReachable: isReachable => {
      if (isReachable) {
        missing.delete('bus')
        events.clear('bus-failed')
      } else {
        missing.add('bus')
        events.raise('bus-failed')
      }
    },
    log: detail => { log.debug('bus', { detail }) }
  })
  running.push({ name: 'bus', stop: bus.close })
  return bus
}

/** @throws ServiceError incorrect CONFIG_INVALID when the stores hold places of another bus · conflict BUS_OFFSET_GONE when they hold places that the bus never
 *  had: what came in would be passed over as read · unavailable STORE_UNAVAILABLE */
export async function assertOurBus (config: Config, stores: Stores): Promise<void> {
  const [bus, series, archive] = [() => stores.pool('oxbow_bus'), stores.pool('oxbow_series'), stores.pool('oxbow_archive')]
  const identity = await busIdentity(config, bus)
  await assertSameBus(series, 'series.bus', identity)
  await assertSameBus(archive, 'archive.bus', identity)
  const heads = new Map((await readHeads(archive)).map(({ partition, next }) => [partition, next]))
  for (const [topic, places] of [[READINGS, await resumePoints(series, READINGS)], [RAW, heads]] as const) {
    const ends = await topicEnds(config, bus, topic)
    for (const [partition, place] of places) if (place > (ends.get(partition) ?? 0)) throw offsetGone(topic, partition, place)
  }
}

/** Of the readings topic, where no door is open whose quarantine it could be. */
export async function openSetAside ({ events, now }: Ground, stores: Stores, { dataKeys, deviceIndexOf, fingerprint }: Keys): Promise<SetAside> {
  return createSetAside(await openQuarantine({ pool: stores.pool('oxbow_ingest'), dataKeys, deviceIndexOf, fingerprint, events, now }), now, READINGS)
}

/** What another process changed, or `'all'` where something may have been missed. */
export async function openFeed ({ running }: Ground, stores: Stores, onChange: (change: LinkageChange | 'all') => void): Promise<ChangeFeed> {
  const feed = await createChangeFeed({ pool: stores.pool('oxbow_linkage'), onChange })
  running.push({ name: 'change feed', stop: feed.close })
  return feed
}
