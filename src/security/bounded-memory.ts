/** What was fetched or worked out before: takes a name, gives the value until its time is over or newer ones took its place. */

import type { EpochMs } from '../model/units.ts'

export interface BoundedMemory<V> {
  /** `undefined`: never kept, over, or displaced. */
  get (name: string): V | undefined
  /** Displaces the value used longest ago when full. @param until first moment at which it is no longer given */
  set (name: string, value: V, until: number): void
  delete (name: string): void
}

export function createBoundedMemory<V> (options: { sizeMax: number, now: () => EpochMs }): BoundedMemory<V> {
  // A Map keeps the order of insertion: oldest use first.
  const entries = new Map<string, { value: V, until: number }>()
  return {
    get: name => {
      const entry = entries.get(name)
      if (entry === undefined) return undefined
      entries.delete(name)
      if (entry.until <= options.now()) return undefined
      entries.set(name, entry)
      return entry.value
    },
    set: (name, value, until) => {
      entries.delete(name)
      entries.set(name, { value, until })
      if (entries.size > options.sizeMax) entries.delete(entries.keys().next().value!)
    },
    delete: name => { entries.delete(name) }
  }
}
