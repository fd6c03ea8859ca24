/** Pseudonyms (privacy.md §4.1): takes 128 random bits, gives the text form with its check symbol (`model/handle.ts`). */

import { randomBytes } from 'node:crypto'
import { HANDLE_ALPHABET, HANDLE_CHECK_MODULUS, HANDLE_LENGTH, type HandlePrefix, isHandle } from '../model/handle.ts'
import type { Sid } from '../model/reading.ts'

declare const subj: unique symbol

/** Joins all sids of one patient; stands in the linkage store only. Encoded as a sid, with prefix `j1`. */
export type Subj = string & { readonly [subj]: true }

type DrawBytes = (size: number) => Uint8Array

const SYMBOLS = Buffer.from(HANDLE_ALPHABET, 'latin1')

/** A new pseudonym, derived from nothing. */
export function drawSid (draw: DrawBytes = randomBytes): Sid { return drawHandle('s1', draw) as Sid }

/** A new handle of a patient, derived from nothing. */
export function drawSubj (draw: DrawBytes = randomBytes): Subj { return drawHandle('j1', draw) as Subj }

/** As `isSid`, for the handle of a patient. */
export function isSubj (text: string): text is Subj { return isHandle('j1', text) }

/** Text form of 16 bytes. `undefined`: the check value has no symbol in the alphabet, draw again. */
export function formatHandle (prefix: HandlePrefix, bytes: Uint8Array): string | undefined {
  let check = 0
  for (let i = 0; i < 16; i++) check = (check * 256 + bytes[i]!) % HANDLE_CHECK_MODULUS
  if (check >= HANDLE_ALPHABET.length) return undefined
  const text = Buffer.allocUnsafe(HANDLE_LENGTH)
  text.write(prefix, 'latin1')
  // 26 symbols hold 130 bits; the number is padded at the left, so the first symbol holds three.
  let at = prefix.length
  text[at++] = SYMBOLS[bytes[0]! >> 5]!
  let pending = bytes[0]! & 0x1f
  let pendingBits = 5
  for (let i = 1; i <= 16; i++) {
    while (pendingBits >= 5) {
      pendingBits -= 5
      text[at++] = SYMBOLS[pending >> pendingBits]!
      pending &= (1 << pendingBits) - 1
    }
    if (i === 16) break
    pending = (pending << 8) | bytes[i]!
    pendingBits += 8
  }
  text[at] = SYMBOLS[check]!
  return text.toString('latin1')
}

function drawHandle (prefix: HandlePrefix, draw: DrawBytes): string {
  for (;;) {
    const text = formatHandle(prefix, draw(16))
    if (text !== undefined) return text
  }
}
