/** FNV-1a of 32 bits (http://www.isthe.com/chongo/tech/comp/fnv): a hash that is the same for ever and hides nothing. */

const OFFSET_BASIS = 0x811c9dc5
const PRIME = 0x01000193

/** Of `length` bytes from `at` on, as a signed number of 32 bits. */
export function fnv1a (bytes: Uint8Array, at: number, length: number): number {
  let hash = OFFSET_BASIS
  for (let index = at; index < at + length; index++) hash = Math.imul(hash ^ bytes[index]!, PRIME)
  return hash | 0
}
