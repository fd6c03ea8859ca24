/** Text form of a pseudonym (privacy.md §4.1): prefix, 26 digits below 2^128, check symbol. Takes a text, says whether it is one. */

import type { Sid } from './reading.ts'

/** `s1`: what a sid begins with; `j1`: the handle that joins the sids of a patient. */
export type HandlePrefix = 's1' | 'j1'

/** Digits of base 32, in order of their values. */
export const HANDLE_ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
/** The check symbol is the number modulo this; a number whose rest has no symbol is never a handle. */
export const HANDLE_CHECK_MODULUS = 37
const DIGITS = 26
export const HANDLE_LENGTH = 2 + DIGITS + 1

/** Value of each 7-bit character code in the alphabet, -1 for every other. */
const VALUE = new Int8Array(128).fill(-1)
for (let value = 0; value < HANDLE_ALPHABET.length; value++) VALUE[HANDLE_ALPHABET.charCodeAt(value)] = value

/** True for the one spelling: prefix, lower case, below 2^128, right check symbol. */
export function isSid (text: string): text is Sid { return isHandle('s1', text) }

/** As `isSid`, for any prefix. */
export function isHandle (prefix: HandlePrefix, text: string): boolean {
  if (text.length !== HANDLE_LENGTH || !text.startsWith(prefix)) return false
  if (valueAt(text, 2) > 7) return false
  let check = 0
  for (let i = 2; i < HANDLE_LENGTH - 1; i++) {
    const value = valueAt(text, i)
    if (value < 0) return false
    check = (check * 32 + value) % HANDLE_CHECK_MODULUS
  }
  return valueAt(text, HANDLE_LENGTH - 1) === check
}

function valueAt (text: string, index: number): number {
  const code = text.charCodeAt(index)
  return code < 128 ? VALUE[code]! : -1
}
