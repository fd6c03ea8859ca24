/** What this machine says of itself → findings: Node, settings, files, disk, the server. */

import { sep } from 'node:path'
import { ALARM_ADVICE } from '../../dashboard/alarm-advice.ts'
import type { OperationalAlarm } from '../../observability/events.ts'
import { type Check, note, ok, wrong } from './check.ts'

export const NODE_NEEDED = [24, 2] as const
const GIB = 1024 ** 3
/** As the alarm `disk-low`. */
const FREE_MIN = 2 * GIB
/** PostgreSQL's log alone may take 4 GB. */
const FREE_GOOD = 5 * GIB
const OTHERS = 0o077

export function nodeCheck (version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const isNew = major > NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor >= NODE_NEEDED[1])
  return {
    name: 'node',
    run: async () => isNew ? ok(`Node ${version}`) : wrong(`Node ${version} is older than ${NODE_NEEDED.join('.')}`, 'start verbs with npm run -s oxbow -- VERB')
  }
}

/** @param refusals reasons for which a start with these settings is refused */
export function settingsCheck (refusals: readonly string[]): Check {
  return {
    name: 'settings',
    run: async () => refusals.length === 0 ? ok('no problems') : wrong(refusals.join('; '), 'change these settings (docs/configuration.md)')
  }
}

export interface PrivateFileParts {
  name: string
  path: string
  dataDir: string
  /** Mode of the file; `undefined` when there is none. */
  modeOf (path: string): Promise<number | undefined>
  /** True once data is there that only this file opens. */
  isNeeded: boolean
  /** What its loss means. */
  loss: string
}

export function privateFileCheck ({ name, path, dataDir, modeOf, isNeeded, loss }: PrivateFileParts): Check {
  return {
    name,
    run: async () => {
      if (path.startsWith(`${dataDir}${sep}`)) return wrong(`${path} lies inside the data directory`, 'move it out (keys.file): whoever copies the data would copy the keys')
      const mode = await modeOf(path)
      if (mode === undefined) return isNeeded ? wrong(`${path} is missing: ${loss}`, 'restore it from its backup') : note(`${path} is made at the first start`)
      if ((mode & OTHERS) !== 0) return wrong(`${path} may be read by others (mode ${(mode & 0o777).toString(8)})`, `chmod 600 ${path}`)
      return ok(`${path}, mode ${(mode & 0o777).toString(8)}; keep a copy elsewhere, ${loss}`)
    }
  }
}

/** @param freeBytes of the disk that the folder stands, or will stand, on */
export function diskCheck (folder: string, freeBytes: () => Promise<number>): Check {
  return {
    name: 'disk',
    run: async () => {
      const free = await freeBytes()
      const message = `${(free / GIB).toFixed(1)} GiB free for ${folder}`
      if (free < FREE_MIN) return wrong(message, 'make room: without it PostgreSQL stops, and readings are refused')
      return free < FREE_GOOD ? note(message, 'make room soon') : ok(message)
    }
  }
}

export interface Readiness { status: string, missing: readonly string[], alarms: readonly OperationalAlarm[] }

/** @param ready what `/health/ready` of the server says; `undefined` when none runs. @throws when it does not answer */
export function serverCheck (ready: () => Promise<(Readiness & { address: string }) | undefined>): Check {
  return {
    name: 'server',
    run: async () => {
      const found = await ready()
      if (found === undefined) return note('not running', 'npm start')
      if (found.missing.length > 0) return wrong(`runs at ${found.address} and is not ready: ${found.missing.join(', ')}`, 'see its log on standard error')
      if (found.alarms.length > 0) return wrong(`runs at ${found.address} with alarms: ${found.alarms.join(', ')}`, found.alarms.map(alarm => ALARM_ADVICE[alarm]).join(' '))
      return ok(`runs at ${found.address} and takes readings`)
    }
  }
}
