/** What every part is built with, and in which order parts end. */

import { Registry } from 'prom-client'
import type { Config } from '../config/schema.ts'
import type { EpochMs } from '../model/units.ts'
import { createEvents, type Events } from '../observability/events.ts'
import { createLogger, errorFields, type Logger } from '../observability/logger.ts'

export interface SystemOptions {
  config: Config
  now: () => EpochMs
  /** Receives whole log lines. */
  writeLog: (line: string) => void
  /** Another process has taken the embedded cluster, or leads on the databases: this one must end. */
  onLost: () => void
}

export interface Ground extends SystemOptions {
  log: Logger
  metrics: Registry
  events: Events
  /** Parts running so far; ended in reverse. */
  running: { name: string, stop: () => Promise<unknown> }[]
  /** Names of what is missing for `/health/ready`. */
  missing: Set<string>
}

export function groundOf (options: SystemOptions): Ground {
  const log = createLogger(options.config['log.level'], options.writeLog)
  const metrics = new Registry()
  return { ...options, log, metrics, events: createEvents(metrics, log, options.now), running: [], missing: new Set() }
}

/** @throws what `work` throws, after whatever was started by then is stopped again */
export async function builtOn<T> (ground: Ground, work: (ground: Ground) => Promise<T>): Promise<T> {
  try {
    return await work(ground)
  } catch (error) {
    await stopAll(ground)
    throw error
  }
}

/** A part that fails to stop keeps no other from stopping. */
export async function stopAll ({ running, log }: Ground): Promise<void> {
  for (let part = running.pop(); part !== undefined; part = running.pop()) {
    try {
      await part.stop()
    } catch (error) {
      log.error('a part did not stop', { detail: part.name, ...errorFields(error) })
    }
  }
}
