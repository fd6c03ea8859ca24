/** What every key ring does alike: takes whoever wraps and opens, gives the ring with its wrapped data keys in PostgreSQL. */

import { createHmac, createPrivateKey, createPublicKey, createSecretKey, type KeyObject, randomBytes, randomUUID, sign } from 'node:crypto'
import type { Pool } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import { contextText, type DataKey, type KekName, type KeyContext, type KeyRing, macKeyContext, type SignKeyName } from './key-ring.ts'
import { type ContextName, contextName, type WrappedKey, type WrappedKeys } from './wrapped-keys.ts'

export interface KeyRingOptions {
  /** Logged in to `oxbow_keys` as the server; owned by the caller. */
  pool: Pool
  now: () => EpochMs
}

/** Whoever holds the wrapping keys. A context is given in its canonical form (`contextText`). */
export interface Wrapping {
  /** Under the newest version of the kek. */
  wrap (kek: KekName, key: Uint8Array, context: string): Promise<Uint8Array>
  /** @throws ServiceError KEY_CONTEXT */
  unwrap (kek: KekName, wrapped: Buffer, context: string): Promise<Uint8Array>
  /** The same key under this version. @throws ServiceError KEY_CONTEXT */
  rewrap (kek: KekName, wrapped: Buffer, context: string, toVersion: number): Promise<Uint8Array>
}

interface Parts extends KeyRingOptions {
  kind: KeyRing['kind']
  wrapping: Wrapping
  table: WrappedKeys
  /** Absent: a signing key is a data key under `audit`, opened once and kept in memory. */
  signKey?: (name: SignKeyName) => Promise<KeyObject>
}

const DEK_BYTES = 32
/** How long backups of the keys database are kept, at most. */
const BACKUP_RETENTION_MS = 30 * 86_400_000
/** A key of this context, wrapped by each kek, tells at the start whether the wrapping keys belong to the database. */
export const CHECK: KeyContext = { store: 'keys', object: 'check', purpose: 'check' }

export function createSealedKeyRing (parts: Parts): KeyRing {
  const { kind, wrapping, table, now } = parts
  const deks = (kek: KekName, contexts: readonly KeyContext[]) => findOrCreate(wrapping, table, kek, contexts.map(contextName))
  const dek = async (kek: KekName, context: KeyContext) => {
    const [found] = await deks(kek, [context])
    if (found === undefined) throw destroyed()
    return found
  }
  const macKey = heldKeys(macKeyContext, context => dek('linkage', context), createSecretKey)
  const signKey = parts.signKey ?? heldKeys(signKeyContext, context => dek('audit', context), ed25519Of)
  return {
    kind,
    dek,
    deks,
    newDek: async (kek, context) => {
      const made = { id: randomUUID(), key: randomBytes(DEK_BYTES), madeAt: now() }
      const name = contextName(context)
      await table.insert(kek, false, [{ id: made.id, name, wrapped: await wrapping.wrap(kek, made.key, name.text) }])
      return made
    },
    wrap: (kek, key, context) => wrapping.wrap(kek, key, contextText(context)),
    unwrap: async (id, context) => {
      const { text, digest } = contextName(context)
      const found = await table.find(id)
      if (found.wrapped === null) throw destroyed()
      if (!found.digest.equals(digest)) throw doesNotOpen()
      return wrapping.unwrap(found.kek, found.wrapped, text)
    },
    rewrap: async (id, toVersion) => {
      for (;;) {
        const { kek, context, wrapped } = await table.find(id)
        if (wrapped === null || context === null) throw destroyed()
        if (await table.replace(id, wrapped, await wrapping.rewrap(kek, wrapped, context, toVersion))) return
      }
    },
    mac: async (key, version, data) => createHmac('sha256', await macKey(key, version)).update(data).digest(),
    sign: async (key, data) => sign(null, data, await signKey(key)),
    publicKey: async key => rawPublicKey(await signKey(key)),
    destroy: async (id, reason) => {
      const at = await table.destroy(id, new Date(now()), reason)
      return { id, destroyedAt: at.toISOString(), horizon: new Date(at.getTime() + BACKUP_RETENTION_MS).toISOString() }
    }
  }
}

async function findOrCreate (wrapping: Wrapping, table: WrappedKeys, kek: KekName, names: readonly ContextName[]): Promise<(DataKey | undefined)[]> {
  const byText = new Map(names.map(name => [name.text, name]))
  const found = await lookUp(table, kek, [...byText.values()])
  const missing = [...byText.values()].filter(({ digest }) => !found.has(digest.toString('hex')))
  // By id: a key made here that stands in the end need not be opened again.
  const clear = new Map<string, Uint8Array>()
  if (missing.length > 0) {
    await table.insert(kek, true, await Promise.all(missing.map(async name => {
      const made = { id: randomUUID(), key: randomBytes(DEK_BYTES) }
      clear.set(made.id, made.key)
      return { id: made.id, name, wrapped: await wrapping.wrap(kek, made.key, name.text) }
    })))
    // Read again: another process may have been first, and its key is the one that stands.
    for (const [digest, row] of await lookUp(table, kek, missing)) found.set(digest, row)
  }
  const opened = new Map(await Promise.all([...byText.values()].map(async ({ text, digest }) => {
    const { id, wrapped, madeAt } = found.get(digest.toString('hex'))!
    return [text, wrapped === null ? undefined : { id, key: clear.get(id) ?? await wrapping.unwrap(kek, wrapped, text), madeAt: epochMs(madeAt.getTime()) }] as const
  })))
  // A context that was asked for twice gives two copies: each caller may wipe its own.
  const answer = names.map(({ text }) => copyOf(opened.get(text)))
  for (const key of [...clear.values(), ...[...opened.values()].flatMap(dataKey => dataKey?.key ?? [])]) key.fill(0)
  return answer
}

function copyOf (dataKey: DataKey | undefined): DataKey | undefined { return dataKey && { ...dataKey, key: Buffer.from(dataKey.key) } }

async function lookUp (table: WrappedKeys, kek: KekName, names: readonly ContextName[]): Promise<Map<string, WrappedKey>> {
  if (names.length === 0) return new Map()
  const rows = await table.findByContext(kek, names.map(({ digest }) => digest))
  return new Map(rows.map(row => [row.digest.toString('hex'), row]))
}

function signKeyContext (key: SignKeyName): KeyContext { return { store: 'audit', object: `${key}/1`, purpose: 'sign' } }

/** Keys that are opened once and stay in memory; found by the object of their context. */
function heldKeys<Of extends unknown[]> (contextOf: (...of: Of) => KeyContext, open: (context: KeyContext) => Promise<DataKey>, make: (bytes: Buffer) => KeyObject): (...of: Of) => Promise<KeyObject> {
  const held = new Map<string, KeyObject>()
  return async (...of) => {
    const context = contextOf(...of)
    const known = held.get(context.object)
    if (known !== undefined) return known
    const { key } = await open(context)
    const made = make(Buffer.from(key.buffer, key.byteOffset, key.length))
    key.fill(0)
    held.set(context.object, made)
    return made
  }
}

/** Head of an Ed25519 private key in PKCS #8 (RFC 8410, section 7); the 32 bytes of the key follow. */
const ED25519_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')

function ed25519Of (seed: Buffer): KeyObject {
  const der = Buffer.concat([ED25519_HEAD, seed])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  return key
}

function rawPublicKey (key: KeyObject): Uint8Array {
  return Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x!, 'base64url')
}

function destroyed (): ServiceError {
  return new ServiceError('not-found', 'KEY_DESTROYED', 'the data key was destroyed; what it sealed cannot be opened any more')
}

export function doesNotOpen (cause?: unknown): ServiceError {
  return new ServiceError('fault', 'KEY_CONTEXT', 'a wrapped key does not open: another context or wrapping key, or a changed byte', { cause })
}
