/** Settings → the key ring they choose. */

import type { Pool } from 'pg'
import type { Config } from '../../config/schema.ts'
import type { EpochMs } from '../../model/units.ts'
import { serviceSettings } from '../aws.ts'
import { keyFileOf } from './key-file.ts'
import { createKmsKeyRing, type KeyServiceSettings, keyServiceProblems } from './kms.ts'
import type { KeyRing } from './key-ring.ts'
import { createLocalKeyRing } from './local.ts'

/** @param pool logged in to `oxbow_keys` as the server. @throws ServiceError KEY_FILE · STORE_UNAVAILABLE, CONFIG_INVALID */
export function openKeyRing (config: Config, { pool, now }: { pool: Pool, now: () => EpochMs }): Promise<KeyRing> {
  if (config['keys.kind'] === 'local') return createLocalKeyRing({ file: keyFileOf(config), pool, now })
  return createKmsKeyRing({ settings: kmsSettings(config), pool, now })
}

/** What keeps the key service from serving, if one is set. */
export async function findKeyProblems (config: Config): Promise<readonly string[]> {
  return config['keys.kind'] === 'local' ? [] : keyServiceProblems(kmsSettings(config))
}

function kmsSettings (config: Config): KeyServiceSettings { return { ...serviceSettings(config, 'kms'), keys: config['kms.keys'] } }
