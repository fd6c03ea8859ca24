/** Where schemas are registered: here, or with a registry of others. */

import type { Config } from '../config/schema.ts'
import type { ExternalRegistrySettings } from '../ingest/schemas/confluent-client.ts'
import { createExternalView } from '../ingest/schemas/external-view.ts'
import { createRegistry, type RegistryView } from '../ingest/schemas/registry.ts'
import type { DeviceModels } from '../model/device-model.ts'
import { ServiceError } from '../model/errors.ts'
import type { Stores } from '../platform/postgres/open-stores.ts'
import type { Ground } from './ground.ts'

/** What an operator sees of it. */
export function viewRegistry ({ config, events }: Pick<Ground, 'config' | 'events'>, stores: Stores, models: DeviceModels): RegistryView {
  const pool = stores.pool('oxbow_ingest')
  const external = externalRegistryOf(config)
  return external === undefined ? createRegistry({ pool, models, events }) : createExternalView({ pool, models, registry: external.url })
}

/** `undefined`: schemas are registered here. */
export function externalRegistryOf (config: Config): ExternalRegistrySettings | undefined {
  const { 'schemas.registry': url, 'schemas.username': username, 'schemas.password': password, 'schemas.token': token } = config
  if (url === 'built-in') return undefined
  if (!URL.canParse(url)) throw new ServiceError('incorrect', 'CONFIG_INVALID', 'schemas.registry must be built-in, or an http(s) address')
  const authorization = token !== '' ? `Bearer ${token}` : username !== '' ? `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` : ''
  return { url: url.replace(/\/+$/, ''), authorization }
}
