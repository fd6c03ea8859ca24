/** The one key under which the directories of all objects are sealed. */

import { createSecretKey } from 'node:crypto'
import type { KeyContext, KeyRing } from '../../platform/keys/key-ring.ts'
import type { HeldKey } from '../../security/data-keys.ts'

export const DIRECTORY_KEY: KeyContext = { store: 'archive', object: 'directory', purpose: 'data-key' }

/** Made at the first call. @throws ServiceError KEY_DESTROYED */
export async function loadDirectoryKey (keyRing: Pick<KeyRing, 'dek'>): Promise<HeldKey> {
  const { id, key } = await keyRing.dek('archive', DIRECTORY_KEY)
  return { id, key: createSecretKey(key) }
}
