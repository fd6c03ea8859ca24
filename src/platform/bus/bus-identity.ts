/** Settings → which bus they name. Places of readers are numbers: on another bus they would be passed over as read, or mean other records. */

import type { Pool } from 'pg'
import type { Config } from '../../config/schema.ts'
import { ServiceError } from '../../model/errors.ts'
import { storeQuery } from '../postgres/pool.ts'
import { readIdentity } from './embedded/tables.ts'

/** `embedded <uuid of its database>`, or `kafka <id of the cluster> <prefix of the topics>`. @param pool of login `oxbow_bus`, asked for where that is the bus
 *  @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function busIdentity (config: Config, pool: () => Pool): Promise<string> {
  if (config['bus.kind'] === 'embedded') return `embedded ${await readIdentity(pool())}`
  // Loaded where it is used: the client costs memory and time at the start.
  return `kafka ${await (await import('./kafka/govern-topics.ts')).clusterOf(config)} ${config['kafka.topicPrefix']}`.trimEnd()
}

/** Writes it down at the first start. @param table where a store keeps of which bus its places are · @throws ServiceError incorrect CONFIG_INVALID when they are of another one */
export async function assertSameBus (pool: Pool, table: 'series.bus' | 'archive.bus', identity: string): Promise<void> {
  await storeQuery(pool, `INSERT INTO ${table} (identity) VALUES ($1) ON CONFLICT DO NOTHING`, [identity])
  const { rows } = await storeQuery<{ identity: string }>(pool, `SELECT identity FROM ${table}`, [])
  const known = rows[0]!.identity
  if (known === identity) return
  throw new ServiceError('incorrect', 'CONFIG_INVALID', `what is stored was read from another bus (${known}) than the settings name (${identity}): ` +
    'bus.kind, the cluster and kafka.topicPrefix are chosen before the first start; set them back, or restore the databases of one moment')
}
