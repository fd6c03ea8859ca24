/** Ingest with what it asks of others. */

import type { DeviceModels } from '../model/device-model.ts'
import type { Bus } from '../platform/bus/bus.ts'
import type { Stores } from '../platform/postgres/open-stores.ts'
import { type Ingest, openIngest } from '../ingest/open-ingest.ts'
import type { Ground } from './ground.ts'
import { externalRegistryOf } from './registry.ts'
import type { Identity, Keys } from './foundations.ts'

export interface DoorParts { stores: Stores, bus: Bus, keys: Keys, identity: Identity, models: DeviceModels }

export async function openDoor ({ config, events, now, running }: Ground, { stores, bus, keys, identity, models }: DoorParts): Promise<Ingest> {
  const ingest = await openIngest({
    pool: stores.pool('oxbow_ingest'),
    bus,
    dataKeys: keys.dataKeys,
    deviceIndexOf: keys.deviceIndexOf,
    fingerprint: keys.fingerprint,
    resolve: identity.resolver.resolve,
    firmwareNumber: identity.firmwareNumber,
    models,
    events,
    now,
    limits: {
      bodyBytesMax: config['ingest.bodyMax'],
      inflatedBytesMax: config['ingest.inflatedMax'],
      recordsMax: config['ingest.recordsMax'],
      recordBytesMax: config['ingest.recordMax'],
      depthMax: config['ingest.depthMax']
    },
    futureMaxMs: config['ingest.futureMax'],
    gatewayRate: config['ingest.ratePerGateway'] ?? undefined,
    deviceRate: config['ingest.ratePerDevice'] ?? undefined,
    externalRegistry: externalRegistryOf(config),
    quarantineLimits: { itemsMax: config['quarantine.itemsMax'], bytesMax: config['quarantine.bytesMax'] },
    expiry: { retainMs: config['quarantine.retain'], retainWaitingMs: config['quarantine.retainWaiting'] }
  })
  running.push({ name: 'ingest', stop: ingest.close })
  return ingest
}
