/** A key -> its partition, the same for ever: FNV-1a (32 bit) over UTF-8, modulo the number of partitions. */

const OFFSET_BASIS = 0x811c9dc5
const PRIME = 0x01000193

/** From 0 to `partitionCount` - 1, for the same key the same for ever. */
export function partitionOf (key: string, partitionCount: number): number {
  let hash = OFFSET_BASIS
  for (const byte of Buffer.from(key)) hash = Math.imul(hash ^ byte, PRIME)
  return (hash >>> 0) % partitionCount
}
