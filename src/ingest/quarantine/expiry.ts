/** What time does with quarantined items. */

import type { Pool } from 'pg'
import { DAY_MS, type EpochMs, epochMs } from '../../model/units.ts'
import type { Events } from '../../observability/events.ts'
import { clearSettled, countExpired, selectExpired } from './quarantine-rows.ts'
import type { Quarantine } from './quarantine.ts'

export interface ExpiryOptions {
  pool: Pool
  quarantine: Pick<Quarantine, 'discard'>
  events: Pick<Events, 'raise' | 'clear'>
  now: () => EpochMs
  /** How long a held item is kept after it was seen last. Default 30 days. */
  retainMs?: number
  /** How long one that waits is kept. Default 180 days. */
  retainWaitingMs?: number
  /** How long before its end an operational alarm announces it. Default 7 days. */
  announceMs?: number
  /** How long the row of a settled item stays, without bytes; of a discarded one, what tells of its device. Default 30 days. */
  retainSettledMs?: number
}

const EXPIRED_AT_ONCE = 5_000

/** Discards what is kept too long and announces what will be; to be run about hourly. Gives how many were discarded. @throws unavailable */
export async function expireItems (options: ExpiryOptions): Promise<number> {
  const { pool, quarantine, events, now } = options
  const { retainMs = 30 * DAY_MS, retainWaitingMs = 180 * DAY_MS, announceMs = 7 * DAY_MS, retainSettledMs = 30 * DAY_MS } = options
  const time = now()
  const limits = (aheadMs: number) => ({ held: epochMs(time + aheadMs - retainMs), waiting: epochMs(time + aheadMs - retainWaitingMs) })
  let discarded = 0
  for (;;) {
    const ids = await selectExpired(pool, limits(0), EXPIRED_AT_ONCE)
    if (ids.length === 0) break
    discarded += await quarantine.discard(ids, 'expired', { unseenSince: epochMs(Math.max(limits(0).held, limits(0).waiting)) })
  }
  const expiring = await countExpired(pool, limits(announceMs))
  if (expiring > 0) events.raise('quarantine-expiring', { count: expiring })
  else events.clear('quarantine-expiring')
  await clearSettled(pool, epochMs(time - retainSettledMs))
  return discarded
}
