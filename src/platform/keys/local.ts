/** Key ring of one machine: wrapping and signing keys in a file. */

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { ServiceError } from '../../model/errors.ts'
import { type Kek, type KeyFile, openKeyFile } from './key-file.ts'
import type { KekName, KeyRing } from './key-ring.ts'
import { keyFileError } from './private-file.ts'
import { CHECK, createSealedKeyRing, doesNotOpen, type KeyRingOptions, type Wrapping } from './sealed-key-ring.ts'
import { createWrappedKeys } from './wrapped-keys.ts'

export interface LocalKeyRingOptions extends KeyRingOptions {
  /** Key file, outside the data directory; made at the first start. */
  file: string
}

const FORMAT = 0x01
const HEADER_BYTES = 1 + 4
const IV_BYTES = 12
const TAG_BYTES = 16
const DEK_BYTES = 32

/** @throws ServiceError KEY_FILE when the file is missing although keys are there, damaged, or of another deployment */
export async function createLocalKeyRing (options: LocalKeyRingOptions): Promise<KeyRing> {
  const table = createWrappedKeys(options.pool)
  const file = await openKeyFile(options.file, () => table.isEmpty())
  const ring = createSealedKeyRing({ ...options, kind: 'local', table, wrapping: wrappingOf(file), signKey: async name => file.signKey(name) })
  try {
    await ring.dek('linkage', CHECK)
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'KEY_CONTEXT') throw keyFileError('the key file does not belong to this keys database', error)
    throw error
  }
  return ring
}

function wrappingOf (file: KeyFile): Wrapping {
  return {
    wrap: async (kek, key, context) => wrapKey(file.newestKek(kek), key, context),
    unwrap: async (kek, wrapped, context) => unwrapKey(file, kek, wrapped, context),
    rewrap: async (kek, wrapped, context, toVersion) => wrapKey(file.kek(kek, toVersion), unwrapKey(file, kek, wrapped, context), context)
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
