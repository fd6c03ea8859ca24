/** Key ring of one machine: wrapping and signing keys in a file, wrapped data keys in PostgreSQL. */

import { createCipheriv, createDecipheriv, createHmac, createPublicKey, createSecretKey, type KeyObject, randomBytes, randomUUID, sign } from 'node:crypto'
import type { Pool } from 'pg'
import { ServiceError } from '../../model/errors.ts'
import type { EpochMs } from '../../model/units.ts'
import { type Kek, type KeyFile, openKeyFile } from './key-file.ts'
import { contextText, type DataKey, type KekName, type KeyContext, type KeyRing, type MacKeyName, macKeyContext } from './key-ring.ts'
import { keyFileError } from './private-file.ts'
import { type ContextName, contextName, createWrappedKeys, type WrappedKey, type WrappedKeys } from './wrapped-keys.ts'

export interface LocalKeyRingOptions {
  /** Key file, outside the data directory; made at the first start. */
  file: string
  /** Logged in to `oxbow_keys` as the server; owned by the caller. */
  pool: Pool
  now: () => EpochMs
  /** How long backups of the keys database are kept. Default 30 days. */
  backupRetentionMs?: number
}

const FORMAT = 0x01
const HEADER_BYTES = 1 + 4
const IV_BYTES = 12
const TAG_BYTES = 16
const DEK_BYTES = 32
const BACKUP_RETENTION_MS = 30 * 86_400_000
const CHECK: KeyContext = { store: 'keys', object: 'check', purpose: 'check' }

/** @throws ServiceError KEY_FILE when the file is missing although keys are there, damaged, or of another deployment */
export async function createLocalKeyRing (options: LocalKeyRingOptions): Promise<KeyRing> {
  const table = createWrappedKeys(options.pool)
  const file = await openKeyFile(options.file, () => table.isEmpty())
  const ring = localKeyRing(file, table, options)
  try {
    await ring.dek('linkage', CHECK)
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'KEY_CONTEXT') throw keyFileError('the key file does not belong to this keys database', error)
    throw error
  }
  return ring
}

function localKeyRing (file: KeyFile, table: WrappedKeys, options: LocalKeyRingOptions): KeyRing {
  const wrapNew = (kek: KekName, dek: Uint8Array, text: string) => wrapKey(file.newestKek(kek), dek, text)
  const deks = (kek: KekName, contexts: readonly KeyContext[]) => findOrCreate(file, table, kek, contexts.map(contextName))
  const dek = async (kek: KekName, context: KeyContext) => {
    const [found] = await deks(kek, [context])
    if (found === undefined) throw destroyed()
    return found
  }
  const macKey = createMacKeys(dek)
  return {
    kind: 'local',
    dek,
    deks,
    newDek: async (kek, context) => {
      const made = { id: randomUUID(), key: randomBytes(DEK_BYTES) }
      const name = contextName(context)
      await table.insert(kek, false, [{ id: made.id, name, wrapped: wrapNew(kek, made.key, name.text) }])
      return made
    },
    wrap: async (kek, key, context) => wrapNew(kek, key, contextText(context)),
    unwrap: async (id, context) => {
      const { text, digest } = contextName(context)
      const found = await table.find(id)
      if (found.wrapped === null) throw destroyed()
      if (!found.digest.equals(digest)) throw doesNotOpen()
      return unwrapKey(file, found.kek, found.wrapped, text)
    },
    rewrap: async (id, toVersion) => {
      for (;;) {
        const { kek, context, wrapped } = await table.find(id)
        if (wrapped === null || context === null) throw destroyed()
        const again = wrapKey(file.kek(kek, toVersion), unwrapKey(file, kek, wrapped, context), context)
        if (await table.replace(id, wrapped, again)) return
      }
    },
    mac: async (key, version, data) => createHmac('sha256', await macKey(key, version)).update(data).digest(),
    sign: async (key, data) => sign(null, data, file.signKey(key)),
    publicKey: async key => rawPublicKey(file.signKey(key)),
    destroy: async (id, reason) => {
      const at = await table.destroy(id, new Date(options.now()), reason)
      const horizon = new Date(at.getTime() + (options.backupRetentionMs ?? BACKUP_RETENTION_MS))
      return { id, destroyedAt: at.toISOString(), horizon: horizon.toISOString() }
    }
  }
}

async function findOrCreate (file: KeyFile, table: WrappedKeys, kek: KekName, names: readonly ContextName[]): Promise<(DataKey | undefined)[]> {
  const byText = new Map(names.map(name => [name.text, name]))
  const found = await lookUp(table, kek, [...byText.values()])
  const missing = [...byText.values()].filter(({ digest }) => !found.has(digest.toString('hex')))
  if (missing.length > 0) {
    const newest = file.newestKek(kek)
    await table.insert(kek, true, missing.map(name => ({ id: randomUUID(), name, wrapped: wrapKey(newest, randomBytes(DEK_BYTES), name.text) })))
    // Read again: another process may have been first, and its key is the one that stands.
    for (const [digest, row] of await lookUp(table, kek, missing)) found.set(digest, row)
  }
  return names.map(({ text, digest }) => {
    const { id, wrapped } = found.get(digest.toString('hex'))!
    return wrapped === null ? undefined : { id, key: unwrapKey(file, kek, wrapped, text) }
  })
}

async function lookUp (table: WrappedKeys, kek: KekName, names: readonly ContextName[]): Promise<Map<string, WrappedKey>> {
  if (names.length === 0) return new Map()
  const rows = await table.findByContext(kek, names.map(({ digest }) => digest))
  return new Map(rows.map(row => [row.digest.toString('hex'), row]))
}

function createMacKeys (dek: KeyRing['dek']): (key: MacKeyName, version: number) => Promise<KeyObject> {
  const keys = new Map<string, KeyObject>()
  return async (key, version) => {
    const context = macKeyContext(key, version)
    const known = keys.get(context.object)
    if (known !== undefined) return known
    const made = createSecretKey((await dek('linkage', context)).key)
    keys.set(context.object, made)
    return made
  }
}

/** `0x01 ‖ kekVersion uint32be ‖ iv[12] ‖ AES-256-GCM(dek) ‖ tag[16]` (privacy.md §6) */
function wrapKey ({ version, key }: Kek, dek: Uint8Array, context: string): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header[0] = FORMAT
  header.writeUInt32BE(version, 1)
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(context, 'utf8'))
  const wrapped = Buffer.concat([cipher.update(dek), cipher.final()])
  return Buffer.concat([header, iv, wrapped, cipher.getAuthTag()])
}

function unwrapKey (file: KeyFile, kek: KekName, wrapped: Buffer, context: string): Buffer {
  if (wrapped[0] !== FORMAT || wrapped.length !== HEADER_BYTES + IV_BYTES + DEK_BYTES + TAG_BYTES) throw doesNotOpen()
  const { key } = file.kek(kek, wrapped.readUInt32BE(1))
  const decipher = createDecipheriv('aes-256-gcm', key, wrapped.subarray(HEADER_BYTES, HEADER_BYTES + IV_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(context, 'utf8'))
  decipher.setAuthTag(wrapped.subarray(-TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(wrapped.subarray(HEADER_BYTES + IV_BYTES, -TAG_BYTES)), decipher.final()])
  } catch (cause) {
    throw doesNotOpen(cause)
  }
}

function rawPublicKey (key: KeyObject): Uint8Array {
  return Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x!, 'base64url')
}

function destroyed (): ServiceError {
  return new ServiceError('not-found', 'KEY_DESTROYED', 'the data key was destroyed; what it sealed cannot be opened any more')
}

function doesNotOpen (cause?: unknown): ServiceError {
  return new ServiceError('fault', 'KEY_CONTEXT', 'a wrapped key does not open: another context or wrapping key, or a changed byte', { cause })
}
