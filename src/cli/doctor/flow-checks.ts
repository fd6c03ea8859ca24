/** What came in and what became of it → findings: law 4, quarantine, jobs. */

import { balance, type DoorHour, shortHours, type StoredCounts, totalOf } from '../../dashboard/balance.ts'
import type { OpenCount } from '../../ingest/quarantine/quarantine-rows.ts'
import type { EpochMs } from '../../model/units.ts'
import { type Check, type Finding, note, ok, wrong } from './check.ts'

export interface FlowParts {
  door (): Promise<readonly DoorHour[]>
  /** Records appended to the bus, by partition. */
  ends (): Promise<ReadonlyMap<number, number>>
  /** Records stored, by partition. */
  resumePoints (): Promise<ReadonlyMap<number, number>>
  stored (): Promise<ReadonlyMap<EpochMs, StoredCounts>>
  openItems (): Promise<readonly OpenCount[]>
  openJobs (): Promise<{ relabel: number, recalibration: number }>
}

export function flowChecks (parts: FlowParts): Check[] {
  return [
    { name: 'counters', run: () => counters(parts) },
    { name: 'quarantine', run: async () => quarantine(await parts.openItems()) },
    { name: 'jobs', run: async () => jobs(await parts.openJobs()) }
  ]
}

/** Asked in this order, so that nothing slips between: what the door counted is on the bus or stored, what the bus no longer holds is counted by the store. */
async function counters (parts: FlowParts): Promise<Finding> {
  const door = await parts.door()
  const ends = await parts.ends()
  const resumed = await parts.resumePoints()
  const stored = await parts.stored()
  const backlog = [...ends].reduce((sum, [partition, end]) => sum + Math.max(0, end - (resumed.get(partition) ?? 0)), 0)
  const hours = balance(door, stored)
  const wrongHours = [...stored].filter(([, counts]) => counts.accepted !== counts.stored + counts.duplicate + counts.conflict).map(([hour]) => hour)
  const short = shortHours(hours, backlog)
  if (wrongHours.length > 0) return wrong(`the store's own counts do not add up in ${hoursText(wrongHours)}`, 'report this: it is a fault of Oxbow')
  if (short.length > 0) {
    return wrong(`${totalOf(short).onTheWay} readings were accepted and are neither stored nor suppressed, in ${hoursText(short.map(({ hour }) => hour))}`, 'report this: it is a fault of Oxbow')
  }
  const { received, returned, stored: storedCount, quarantined, suppressed, onTheWay, uncounted } = totalOf(hours)
  const message = `received ${received + uncounted}${returned > 0 ? ` + returned ${returned}` : ''} = stored ${storedCount} + quarantined ${quarantined} + suppressed ${suppressed}` + (onTheWay > 0 ? ` + on the way ${onTheWay}` : '')
  if (uncounted > 0) return note(`${message}; the door has not counted ${uncounted} of them yet`, 'nothing: the door writes its counts within a second; after a crash, or for what was answered 503 and came in, it takes those of the store within ten minutes')
  return ok(`${message}, in each of ${hours.length} hours`)
}

function quarantine (items: readonly OpenCount[]): Finding {
  if (items.length === 0) return ok('empty')
  const behind = items.find(({ reason }) => reason === 'behind-waiting')?.overdue ?? 0
  if (behind > 0) {
    return wrong(`${behind} readings have waited for more than a minute behind older ones of their device, which are released first`,
      'start the server when none runs; look for job-failing and bus-behind in its log')
  }
  const list = items.map(({ reason, waiting, held }) => `${reason} ${waiting + held}`).join(', ')
  const held = items.reduce((sum, item) => sum + item.held, 0)
  return note(`${items.reduce((sum, item) => sum + item.waiting + item.held, 0)} items are open: ${list}`,
    held === 0 ? 'they are released by themselves once an association covers them' : 'oxbow quarantine list; mend the cause, then oxbow quarantine resubmit')
}

function jobs ({ relabel, recalibration }: { relabel: number, recalibration: number }): Finding {
  if (relabel + recalibration === 0) return ok('none open')
  return note(`open: ${relabel} of relabelling, ${recalibration} of recalibration`, 'a running server finishes them by itself')
}

function hoursText (hours: readonly EpochMs[]): string {
  return hours.slice(0, 5).map(hour => new Date(hour).toISOString().slice(0, 13) + 'h').join(', ') + (hours.length > 5 ? ` and ${hours.length - 5} more hours` : '')
}
