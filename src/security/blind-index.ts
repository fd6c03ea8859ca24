/** Blind index (privacy.md §4.3): takes an identifier, gives the code under which the linkage store finds it without reading it. */

import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { type KeyRing, macKeyContext } from '../platform/keys/key-ring.ts'

export type BlindIndexKind = 'device' | 'patient'

/** 32 bytes; the same for spellings that differ in case of ASCII letters, outer blanks or Unicode compatibility form. */
export type BlindIndex = (kind: BlindIndexKind, system: string, value: string) => Buffer

/** The blind index of one version of K_link; its key is unwrapped once and kept in memory. */
export async function loadBlindIndex (keyRing: KeyRing, version: number): Promise<BlindIndex> {
  const { key } = await keyRing.dek('linkage', macKeyContext('link', version))
  const index = createBlindIndex(createSecretKey(key))
  key.fill(0)
  return index
}

export function createBlindIndex (key: KeyObject): BlindIndex {
  // An array of strings as JSON.stringify prints it is canonical (RFC 8785).
  return (kind, system, value) => createHmac('sha256', key).update(JSON.stringify([kind, 'default', system, normalise(value)])).digest()
}

function normalise (value: string): string {
  return value.normalize('NFKC').trim().replace(/[a-z]+/g, letters => letters.toUpperCase())
}
