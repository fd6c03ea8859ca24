/** The disks and the backlogs of the bus, looked at by the clock → operational alarms and gauges. */

import { statfs } from 'node:fs/promises'
import type { Events } from './events.ts'

type Watched = 'disk-low' | 'bus-behind' | 'archive-behind'

export interface WatchedTopic {
  topic: string
  backlog: () => number
  /** At half of it the alarm is raised; at all of it the door refuses. */
  backlogMax: number
  alarm: 'bus-behind' | 'archive-behind'
}

export interface HostWatchParts {
  /** Folders whose disks are watched. */
  folders: readonly string[]
  topics: readonly WatchedTopic[]
  events: Pick<Events, 'watchBacklog' | 'raise' | 'clear'>
}

const EVERY_MS = 10_000
/** Below this `disk-low` is raised: PostgreSQL stops when it cannot write its log. */
const FREE_BYTES_MIN = 2 * 1024 ** 3

export function startHostWatch ({ folders, topics, events }: HostWatchParts): { stop (): void } {
  for (const { topic, backlog } of topics) events.watchBacklog(topic, backlog)
  const raised = new Set<Watched>()
  const judge = (alarm: Watched, isWrong: boolean): void => {
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
    for (const { alarm, backlog, backlogMax } of topics) judge(alarm, backlog() > backlogMax / 2)
    Promise.all(folders.map(folder => statfs(folder))).then(
      disks => { judge('disk-low', disks.some(({ bavail, bsize }) => bavail * bsize < FREE_BYTES_MIN)) }, () => { /* a folder that went away is found by whatever writes there */ })
  }, EVERY_MS)
  return { stop: () => { clearInterval(timer) } }
}
