/** Encryption at rest (privacy.md §6): takes a data key, a context and bytes, gives `0x01 ‖ iv[12] ‖ ciphertext ‖ tag[16]` and back. */

import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto'
import { ServiceError } from '../model/errors.ts'
import { contextText, type KeyContext } from '../platform/keys/key-ring.ts'

const FORMAT = 0x01
const IV_BYTES = 12
const TAG_BYTES = 16

/** Bytes that sealing adds. */
export const ENVELOPE_BYTES = 1 + IV_BYTES + TAG_BYTES

/** 32 bytes. As a KeyObject (`data-keys.ts` gives these) sealing is three times as fast as with plain bytes. */
export type SealingKey = KeyObject | Uint8Array

/** AES-256-GCM under a random IV. @param key used for at most 2^31 seals */
export function seal (key: SealingKey, context: KeyContext, plaintext: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(plaintext.length + ENVELOPE_BYTES)
  sealed[0] = FORMAT
  const iv = nextIv()
  sealed.set(iv, 1)
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(contextText(context), 'utf8'))
  sealed.set(cipher.update(plaintext), 1 + IV_BYTES)
  cipher.final()
  sealed.set(cipher.getAuthTag(), 1 + IV_BYTES + plaintext.length)
  return sealed
}

/** Random bytes are drawn many at a time: a draw costs as much as the encryption of a small record. Each IV is given once. */
const drawn = { bytes: Buffer.alloc(0), used: 0 }

function nextIv (): Buffer {
  if (drawn.used === drawn.bytes.length) {
    drawn.bytes = randomBytes(IV_BYTES * 256)
    drawn.used = 0
  }
  drawn.used += IV_BYTES
  return drawn.bytes.subarray(drawn.used - IV_BYTES, drawn.used)
}

/** The plaintext. @throws ServiceError KEY_CONTEXT when key or context differ, or a byte was changed */
export function open (key: SealingKey, context: KeyContext, sealed: Uint8Array): Buffer {
  if (sealed.length < ENVELOPE_BYTES || sealed[0] !== FORMAT) throw doesNotOpen()
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + IV_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(contextText(context), 'utf8'))
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
  const plaintext = decipher.update(sealed.subarray(1 + IV_BYTES, sealed.length - TAG_BYTES))
  try {
    decipher.final()
  } catch (cause) {
    plaintext.fill(0)
    throw doesNotOpen(cause)
  }
  return plaintext
}

function doesNotOpen (cause?: unknown): ServiceError {
  return new ServiceError('fault', 'KEY_CONTEXT', 'sealed bytes do not open: another key or context, or a changed byte', { cause })
}
