/** Fingerprint of what stands in quarantine: takes the words and the bytes of an input, gives the code by which the same input is known again. */

import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import type { KeyContext, KeyRing } from '../platform/keys/key-ring.ts'

/** 32 bytes: HMAC-SHA-256, since a plain digest of a reading could be guessed. Equal only for equal words and equal bytes. */
export type Fingerprint = (words: readonly (string | number)[], bytes: Uint8Array) => Buffer

const CONTEXT: KeyContext = { store: 'quarantine', object: 'fingerprint/1', purpose: 'mac' }

/** Its key is unwrapped once and kept in memory. */
export async function loadFingerprint (keyRing: Pick<KeyRing, 'dek'>): Promise<Fingerprint> {
  const { key } = await keyRing.dek('quarantine', CONTEXT)
  const fingerprint = createFingerprint(createSecretKey(key))
  key.fill(0)
  return fingerprint
}

export function createFingerprint (key: KeyObject): Fingerprint {
  // The text of a JSON array ends with its own bracket and is never the beginning of another: no word reaches into the bytes.
  return (words, bytes) => createHmac('sha256', key).update(JSON.stringify(words)).update(bytes).digest()
}
