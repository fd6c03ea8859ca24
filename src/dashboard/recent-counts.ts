/** The door's and the store's counters → what came in during the last day, for the front page; what is costly to count is asked seldom. */

import { type EpochMs, epochMs, HOUR_MS, hourOf } from '../model/units.ts'
import { balance, type DoorHour, type StoredCounts, totalOf } from './balance.ts'
import type { FrontPageCounts } from './front-page.ts'

export interface RecentCountsParts {
  /** Hours in [from, until). */
  door (from: EpochMs, until: EpochMs): Promise<readonly DoorHour[]>
  /** Records appended to the bus and not stored yet. */
  backlog (): number
  stored (from: EpochMs, until: EpochMs): Promise<ReadonlyMap<EpochMs, StoredCounts>>
  refused (from: EpochMs): Promise<number>
  /** Items that stand in quarantine; asked at most every 30 s. */
  openItems (): Promise<number>
  now (): EpochMs
}

const HOURS = 24
const OPEN_ITEMS_KEPT_MS = 30_000

export function createRecentCounts (parts: RecentCountsParts): () => Promise<FrontPageCounts> {
  let openItems: Promise<number> | undefined
  let askedAt = 0
  const currentOpenItems = (now: EpochMs): Promise<number> => {
    if (openItems !== undefined && now - askedAt < OPEN_ITEMS_KEPT_MS) return openItems
    askedAt = now
    const asking = parts.openItems()
    openItems = asking
    // What failed is asked again at once.
    asking.catch(() => { if (openItems === asking) openItems = undefined })
    return asking
  }
  return async () => {
    const now = parts.now()
    const until = epochMs(hourOf(now) + HOUR_MS)
    const from = epochMs(until - HOURS * HOUR_MS)
    // In this order nothing slips between: what the door counted is on the bus or stored, what the bus no longer holds is counted by the store.
    const door = await parts.door(from, until)
    const backlog = parts.backlog()
    const hours = balance(door, await parts.stored(from, until))
    const [refused, open] = await Promise.all([parts.refused(from), currentOpenItems(now)])
    return { hours, total: totalOf(hours), backlog, refused, openItems: open }
  }
}
