/** Who is refused, and when → how many have been refused again and again for long: pure, for an alarm that names nobody. */

import type { EpochMs } from '../model/units.ts'

export interface HeldBack {
  /** @param waitMs as it was told: who comes back later than that, and a minute, is refused for the first time */
  refused (key: string, waitMs: number, now: EpochMs): void
  /** Keys that have been refused for at least `longMs` and still are. */
  longCount (now: EpochMs): number
}

interface Spell { since: number, until: number }

const LONG_MS = 10 * 60_000
const GRACE_MS = 60_000
/** More are not watched: the alarm stands for these. */
const KEYS_MAX = 10_000

export function createHeldBack (longMs = LONG_MS, keysMax = KEYS_MAX): HeldBack {
  const spells = new Map<string, Spell>()
  return {
    refused (key, waitMs, now) {
      const until = now + waitMs + GRACE_MS
      const spell = spells.get(key)
      if (spell === undefined && spells.size >= keysMax) return
      // A clock that went back begins anew.
      if (spell === undefined || now > spell.until || now < spell.since) spells.set(key, { since: now, until })
      else spell.until = Math.max(spell.until, until)
    },
    longCount (now) {
      let count = 0
      for (const [key, { since, until }] of spells) {
        if (now > until) spells.delete(key)
        else if (now - since >= longMs) count++
      }
      return count
    }
  }
}
