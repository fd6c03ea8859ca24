/** A key -> its partition, the same for ever: FNV-1a (32 bit) over UTF-8, modulo the number of partitions. */

import { fnv1a } from '../../model/fnv1a.ts'

/** From 0 to `partitionCount` - 1, for the same key the same for ever. */
export function partitionOf (key: string, partitionCount: number): number {
  const bytes = Buffer.from(key)
  return (fnv1a(bytes, 0, bytes.length) >>> 0) % partitionCount
}
