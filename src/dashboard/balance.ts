/** What was counted at the door and what the series store counted, by hour of arrival → whether every input is accounted for (law 4). */

import type { EpochMs } from '../model/units.ts'

/** Counted at the door and in quarantine (`ingest/counters.ts`). */
export interface DoorHour {
  hour: EpochMs
  /** accepted + quarantined */
  received: number
  accepted: number
  quarantined: number
  /** Came back from the store, because nobody wore the device after all. */
  returned: number
  /** Of quarantined and returned: stood in quarantine already, byte for byte. */
  repeated: number
  /** Left quarantine and went the way of the accepted. */
  released: number
  /** Fields that left quarantine and filled their readings: no readings of their own. */
  fieldsResubmitted: number
}

/** Counted in the transaction that stored them (`stores/series/counters.ts`), over all series. */
export interface StoredCounts { accepted: number, stored: number, duplicate: number, conflict: number }

/** received + returned + uncounted = stored + quarantined + suppressed + onTheWay */
export interface HourBalance {
  hour: EpochMs
  received: number
  returned: number
  stored: number
  /** Kept apart and not released, whatever became of it since. */
  quarantined: number
  released: number
  /** Duplicates and conflicts, and what stood in quarantine already; without fields that were re-submitted: their readings are counted once, when they came in. */
  suppressed: number
  /** Accepted or released, and not yet stored or suppressed: on the bus. */
  onTheWay: number
  /** Stored or suppressed, and not counted at the door: the last second of counts before a crash. The next start makes up for it. */
  uncounted: number
}

/** Ascending by hour; an hour that only one side knows is there as well. */
export function balance (door: readonly DoorHour[], stored: ReadonlyMap<EpochMs, StoredCounts>): HourBalance[] {
  const atDoor = new Map(door.map(row => [row.hour, row]))
  const hours = [...new Set([...atDoor.keys(), ...stored.keys()])].sort((a, b) => a - b)
  return hours.map(hour => {
    const { received = 0, accepted = 0, quarantined = 0, returned = 0, repeated = 0, released = 0, fieldsResubmitted = 0 } = atDoor.get(hour) ?? {}
    const counts = stored.get(hour) ?? { accepted: 0, stored: 0, duplicate: 0, conflict: 0 }
    const again = counts.duplicate + counts.conflict
    // One that is still on the bus the store has not counted yet.
    const suppressedInStore = again - Math.min(again, fieldsResubmitted)
    const difference = accepted + released - counts.stored - suppressedInStore
    return {
      hour, received, returned, stored: counts.stored, quarantined: quarantined + returned - repeated - released, released,
      suppressed: suppressedInStore + repeated,
      onTheWay: Math.max(0, difference), uncounted: Math.max(0, -difference)
    }
  })
}

/** Sum of all hours. */
export function totalOf (hours: readonly HourBalance[]): Omit<HourBalance, 'hour'> {
  const sum = { received: 0, returned: 0, stored: 0, quarantined: 0, released: 0, suppressed: 0, onTheWay: 0, uncounted: 0 }
  for (const hour of hours) {
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += hour[name]
  }
  return sum
}

/** Hours in which readings are missing: short although nothing is on the bus.
 *  @param backlog records appended and not yet stored, asked after the door's counts and before the store's, so that nothing slips between */
export function shortHours (hours: readonly HourBalance[], backlog: number): HourBalance[] {
  return backlog > 0 ? [] : hours.filter(({ onTheWay }) => onTheWay > 0)
}
