/** A Parquet file <-> the object it is kept as: sealed whole with its sid's key, bound to the object's name. */

import { hash, type KeyObject, randomBytes } from 'node:crypto'
import type { KeyContext } from '../../../platform/keys/key-ring.ts'
import { open, seal } from '../../../security/envelope.ts'

/** Not below `raw/`: files are derived, and a superseded one is removed. */
const PREFIX = 'parquet/'

/** Says nothing. */
export function drawName (): string {
  const text = randomBytes(16).toString('hex')
  return `${PREFIX}${text.slice(0, 2)}/${text}`
}

export function sealDay (key: KeyObject, name: string, file: Uint8Array): Buffer { return seal(key, contextOf(name), file) }

/** @throws ServiceError KEY_CONTEXT under another key or name, or when a byte was changed */
export function openDay (key: KeyObject, name: string, object: Uint8Array): Buffer { return open(key, contextOf(name), object) }

/** Of the object as it is stored. */
export function digestOf (object: Uint8Array): Buffer { return hash('sha256', object, 'buffer') }

function contextOf (name: string): KeyContext { return { store: 'archive', object: name, purpose: 'parquet' } }
