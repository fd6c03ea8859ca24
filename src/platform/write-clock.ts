/** The times of writes, and up to which of them everything can be read.
 *
 *  A write has its time before it commits. A search that reads up to the time of the clock would miss what is under way, and find it on a later
 *  page, in front of what was read. So a search reads up to a time before everything that is under way. Of the writes of this process alone:
 *  what another process on the same database has under way is not known here. Nor does it help while the clock stands behind what is stored. */

import { setTimeout as delay } from 'node:timers/promises'
import { type EpochMs, epochMs } from '../model/units.ts'

export interface Write {
  time: EpochMs
  /** Its transaction has ended, in whatever way. */
  end (): void
}

export interface WriteClock {
  begin (): Write
  /** Waits at most `waitMs` for what is under way. Whatever has a time up to the one given has ended, and nothing begins with such a time any more. */
  completeThrough (waitMs: number): Promise<EpochMs>
  /** Whether this clock has not come so far: it was set back, or another process wrote. */
  isAhead (time: EpochMs): boolean
}

export function createWriteClock (now: () => EpochMs): WriteClock {
  const open = new Map<Write, Promise<void>>()
  /** Newest time of a write, and of what is complete or will be. */
  let newest = -Infinity
  let complete = -Infinity
  const latest = (): EpochMs => epochMs(Math.max(now(), newest, complete))
  return {
    begin () {
      const { promise, resolve } = Promise.withResolvers<void>()
      const time = epochMs(Math.max(now(), complete + 1))
      const write = {
        time,
        end: () => {
          open.delete(write)
          resolve()
        }
      }
      newest = Math.max(newest, time)
      open.set(write, promise)
      return write
    },
    async completeThrough (waitMs) {
      const through = latest()
      complete = through
      const writes = [...open.keys()]
      if (writes.length > 0) await endOrTime([...open.values()], waitMs)
      return epochMs(Math.min(through, ...writes.filter(write => open.has(write)).map(write => write.time - 1)))
    },
    isAhead: time => time > latest()
  }
}

async function endOrTime (ends: readonly Promise<void>[], waitMs: number): Promise<void> {
  const over = new AbortController()
  await Promise.race([Promise.all(ends), delay(waitMs, undefined, { signal: over.signal }).catch(() => {})])
  over.abort()
}
