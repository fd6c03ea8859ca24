/** The disk and the backlog of the bus, looked at by the clock → operational alarms and a gauge. */

import { statfs } from 'node:fs/promises'
import type { Events } from './events.ts'

export interface HostWatchParts {
  /** Folder whose disk is watched. */
  folder: string
  topic: string
  backlog: () => number
  /** At half of it `bus-behind` is raised; at all of it the door refuses. */
  backlogMax: number
  events: Pick<Events, 'watchBacklog' | 'raise' | 'clear'>
}

const EVERY_MS = 10_000
/** Below this `disk-low` is raised: PostgreSQL stops when it cannot write its log. */
const FREE_BYTES_MIN = 2 * 1024 ** 3

export function startHostWatch ({ folder, topic, backlog, backlogMax, events }: HostWatchParts): { stop (): void } {
  events.watchBacklog(topic, backlog)
  const raised = new Set<'disk-low' | 'bus-behind'>()
  const judge = (alarm: 'disk-low' | 'bus-behind', isWrong: boolean): void => {
    if (isWrong === raised.has(alarm)) return
    if (isWrong) {
      raised.add(alarm)
      events.raise(alarm)
    } else {
      raised.delete(alarm)
      events.clear(alarm)
    }
  }
  const timer = setInterval(() => {
    judge('bus-behind', backlog() > backlogMax / 2)
    statfs(folder).then(({ bavail, bsize }) => { judge('disk-low', bavail * bsize < FREE_BYTES_MIN) }, () => { /* a folder that went away is found by whatever writes there */ })
  }, EVERY_MS)
  return { stop: () => { clearInterval(timer) } }
}
