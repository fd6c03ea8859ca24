/** Pseudonyms (privacy.md §4.1): takes 128 random bits, gives the text form with its check symbol; says of a text whether it is one. */

import { randomBytes } from 'node:crypto'
import type { Sid } from '../model/reading.ts'

declare const subj: unique symbol

/** Joins all sids of one patient; stands in the linkage store only. Encoded as a sid, with prefix `j1`. */
export type Subj = string & { readonly [subj]: true }

type Prefix = 's1' | 'j1'
type DrawBytes = (size: number) => Uint8Array

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const DIGITS = 26
const CHECK_MODULUS = 37
const LENGTH = 2 + DIGITS + 1

/** Value of each 7-bit character code in the alphabet, -1 for every other. */
const VALUE = new Int8Array(128).fill(-1)
for (let value = 0; value < ALPHABET.length; value++) VALUE[ALPHABET.charCodeAt(value)] = value

/** A new pseudonym, derived from nothing. */
export function drawSid (draw: DrawBytes = randomBytes): Sid { return drawHandle('s1', draw) as Sid }

/** A new handle of a patient, derived from nothing. */
export function drawSubj (draw: DrawBytes = randomBytes): Subj { return drawHandle('j1', draw) as Subj }

/** True for the one spelling: prefix, lower case, below 2^128, right check symbol. */
export function isSid (text: string): text is Sid { return isHandle('s1', text) }

export function isSubj (text: string): text is Subj { return isHandle('j1', text) }

/** `undefined` for anything but a sid. */
export function parseSid (text: unknown): Sid | undefined {
  return typeof text === 'string' && isSid(text) ? text : undefined
}

/** Text form of 16 bytes. `undefined`: the check value has no symbol in the alphabet, draw again. */
export function formatHandle (prefix: Prefix, bytes: Uint8Array): string | undefined {
  let check = 0
  for (let i = 0; i < 16; i++) check = (check * 256 + bytes[i]!) % CHECK_MODULUS
  if (check >= ALPHABET.length) return undefined
  // 26 symbols hold 130 bits; the number is padded at the left, so the first symbol holds three.
  let text = prefix + ALPHABET[bytes[0]! >> 5]!
  let pending = bytes[0]! & 0x1f
  let pendingBits = 5
  for (let i = 1; i <= 16; i++) {
    while (pendingBits >= 5) {
      pendingBits -= 5
      text += ALPHABET[pending >> pendingBits]!
      pending &= (1 << pendingBits) - 1
    }
    if (i === 16) break
    pending = (pending << 8) | bytes[i]!
    pendingBits += 8
  }
  return text + ALPHABET[check]!
}

function drawHandle (prefix: Prefix, draw: DrawBytes): string {
  for (;;) {
    const text = formatHandle(prefix, draw(16))
    if (text !== undefined) return text
  }
}

function isHandle (prefix: Prefix, text: string): boolean {
  if (text.length !== LENGTH || !text.startsWith(prefix)) return false
  if (valueAt(text, 2) > 7) return false
  let check = 0
  for (let i = 2; i < LENGTH - 1; i++) {
    const value = valueAt(text, i)
    if (value < 0) return false
    check = (check * 32 + value) % CHECK_MODULUS
  }
  return valueAt(text, LENGTH - 1) === check
}

function valueAt (text: string, index: number): number {
  const code = text.charCodeAt(index)
  return code < 128 ? VALUE[code]! : -1
}
