/** What of the raw topic is on its way to the archive while the archive is proved, and since when: only what is so new is not judged yet. */

import { type EpochMs, epochMs } from '../../model/units.ts'
import type { PartitionHead } from './manifest-rows.ts'

export interface WaitParts {
  /** Offset after the last record of the topic, by partition. */
  ends: () => Promise<ReadonlyMap<number, number>>
  now: () => EpochMs
  pause: (ms: number) => Promise<unknown>
  /** How long the archive holds a slice open (`archive.sliceTime`). */
  sliceMs: number
}

/** Where the topic ended at a time. */
export interface Mark { at: EpochMs, ends: ReadonlyMap<number, number> }

/** A proof waits no longer; where slices stay open longer it does not wait. */
const WAIT_MAX_MS = 60_000
/** From the age at which a slice is closed until its row is written. */
const WRITE_MS = 10_000
const LOOK_MS = 500
/** From when a request came in to the append of the last of it, and how far the clocks of servers and databases may be apart. */
export const LEEWAY_MS = 5 * 60_000

/** Gives where the topic ended at the start, once all of that is archived or the time is over. */
export async function waitForSlices ({ ends, now, pause, sliceMs }: WaitParts, readHeads: () => Promise<readonly PartitionHead[]>): Promise<Mark> {
  const mark: Mark = { at: now(), ends: await ends() }
  const waitMs = sliceMs + WRITE_MS
  if (waitMs > WAIT_MAX_MS) return mark
  for (let waited = 0; waited < waitMs && !areArchived(mark.ends, await readHeads()); waited += LOOK_MS) await pause(LOOK_MS)
  return mark
}

function areArchived (ends: Mark['ends'], heads: readonly PartitionHead[]): boolean {
  const next = new Map(heads.map(head => [head.partition, head.next]))
  return [...ends].every(([partition, end]) => end <= (next.get(partition) ?? 0))
}

export interface UnderwayParts {
  mark: Mark
  /** Of one snapshot: how far partitions are archived, and when the newest record came in that is. */
  heads: ReadonlyMap<number, PartitionHead>
  archivedTo: ReadonlyMap<number, EpochMs>
  /** Where the topic ended after it. */
  bus: ReadonlyMap<number, number>
}

/** Everything of a request that is on the bus and not archived was kept in quarantine or released then or later; `undefined`: nothing is on the bus.
 *  A record was appended after all those before it in its partition had come in, and after the mark where the archive is past that. */
export function underwaySince ({ mark, heads, archivedTo, bus }: UnderwayParts): EpochMs | undefined {
  const starts: number[] = []
  for (const [partition, end] of bus) {
    const next = heads.get(partition)?.next ?? 0
    if (end <= next) continue
    const isPast = next >= (mark.ends.get(partition) ?? 0)
    starts.push(Math.max(isPast ? mark.at : 0, archivedTo.get(partition) ?? 0))
  }
  return starts.length === 0 ? undefined : epochMs(Math.max(0, Math.min(...starts) - LEEWAY_MS))
}
