/** The seam to whoever holds the wrapping keys: takes the name of a key and what it is for, gives keys, codes and signatures. */

import type { WRAPPING_KEYS } from '../../config/schema.ts'
import type { EpochMs } from '../../model/units.ts'

/** Wrapping keys, one for each store (privacy.md §6). */
export type KekName = (typeof WRAPPING_KEYS)[number]
/** Ed25519. */
export type SignKeyName = 'log-sign' | 'export-sign'
/** HMAC-SHA-256, wrapped by `linkage`. */
export type MacKeyName = 'link'

/** What a key or ciphertext is bound to: under another context it does not open. */
export interface KeyContext { store: string, object: string, purpose: string }

/** A data key (AES-256) in clear. The bytes are the caller's own copy. */
export interface DataKey {
  id: string
  key: Uint8Array
  /** By the clock of the keys database. */
  madeAt: EpochMs
}

export interface Destruction {
  id: string
  /** ISO 8601, UTC. */
  destroyedAt: string
  /** ISO 8601, UTC: when the last backup that holds the wrapped key expires. */
  horizon: string
}

export interface KeyRing {
  readonly kind: 'local' | 'kms'
  /** A further key of this context; its wrapped form is durable before return. Found again by `id` only. */
  newDek (kek: KekName, context: KeyContext): Promise<DataKey>
  /** The one key of this context, made at the first call; the same for every process. @throws ServiceError KEY_DESTROYED */
  dek (kek: KekName, context: KeyContext): Promise<DataKey>
  /** As `dek` for many at once, in their order; `undefined` stands for a destroyed one. */
  deks (kek: KekName, contexts: readonly KeyContext[]): Promise<readonly (DataKey | undefined)[]>
  /** Wrapped form under the newest version of the kek; not kept. */
  wrap (kek: KekName, dek: Uint8Array, context: KeyContext): Promise<Uint8Array>
  /** @throws ServiceError KEY_UNKNOWN, KEY_DESTROYED, or KEY_CONTEXT when it was made for another context */
  unwrap (id: string, context: KeyContext): Promise<Uint8Array>
  /** Wraps the same data key under another version of its kek. @throws ServiceError KEY_UNKNOWN, KEY_DESTROYED */
  rewrap (id: string, toVersion: number): Promise<void>
  /** HMAC-SHA-256; a version begins with its first use. */
  mac (key: MacKeyName, version: number, data: Uint8Array): Promise<Uint8Array>
  /** Ed25519 signature, 64 bytes. */
  sign (key: SignKeyName, data: Uint8Array): Promise<Uint8Array>
  /** Raw Ed25519 public key, 32 bytes. */
  publicKey (key: SignKeyName): Promise<Uint8Array>
  /** Deletes the wrapped form; the id and its context stay refused. Repeated, it answers as the first time. @throws ServiceError KEY_UNKNOWN */
  destroy (id: string, reason: string): Promise<Destruction>
}

/** Context of the MAC key: `mac` and whoever must compute without waiting (`security/blind-index.ts`) use the same key. */
export function macKeyContext (key: MacKeyName, version: number): KeyContext {
  return { store: 'linkage', object: `${key}/${version}`, purpose: 'mac' }
}

/** RFC 8785 form of `{o, p, s, t}`: bound to every ciphertext and wrapped key. Strings in this order are already canonical. */
export function contextText (context: KeyContext): string {
  return JSON.stringify({ o: context.object, p: context.purpose, s: context.store, t: 'default' })
}
