/** One runner per series writer, each with its own partitions of the bus (performance.md D3); their reports become events. */

import type { Sid } from '../model/reading.ts'
import type { Events } from '../observability/events.ts'
import { errorFields } from '../observability/logger.ts'
import { type RunnerParts, type RunnerReport, startRunner } from './runner.ts'

export interface RunnersParts extends Omit<RunnerParts, 'runner' | 'partitions' | 'report' | 'tickMs' | 'paceMs' | 'retryMs' | 'retryMaxMs'> {
  writers: number
  partitionCount: number
  events: Pick<Events, 'stored' | 'suppressed' | 'windowsClosed' | 'windowsAmended' | 'raise' | 'clear'>
  /** Windows were written. */
  onWindows: () => void
}

export interface Runners {
  /** `'all'`: changes may have been missed, nothing in memory is sure. */
  contextChanged (sids: readonly Sid[] | 'all'): void
  stop (): Promise<void>
}

/** The clock is looked at this often while nothing comes in. */
const TICK_MS = 500
/** docs/decisions/0007. */
const PACE_MS = 20
const RETRY_MS = 200
const RETRY_MAX_MS = 5_000

export function startRunners (parts: RunnersParts): Runners {
  const writers = Math.min(parts.writers, parts.partitionCount)
  const all = Array.from({ length: parts.partitionCount }, (_, partition) => partition)
  const report = reportTo(parts)
  const runners = Array.from({ length: writers }, (_, runner) => startRunner({
    ...parts, runner, partitions: all.filter(partition => partition % writers === runner), report, tickMs: TICK_MS, paceMs: PACE_MS, retryMs: RETRY_MS, retryMaxMs: RETRY_MAX_MS
  }))
  return {
    contextChanged: sids => { for (const runner of runners) runner.contextChanged(sids) },
    stop: async () => { await Promise.all(runners.map(runner => runner.stop())) }
  }
}

function reportTo ({ events, onWindows }: RunnersParts): RunnerReport {
  return {
    stored: events.stored,
    suppressed: (kind, count) => {
      events.suppressed(kind, count)
      if (kind === 'conflict') events.raise('reading-conflict', { count })
    },
    windowsClosed: count => {
      events.windowsClosed(count)
      onWindows()
    },
    windowsAmended: (cause, count) => {
      events.windowsAmended(cause, count)
      onWindows()
    },
    // Over with the next start: that is when models are loaded.
    withoutModel: count => { events.raise('model-missing', { count }) },
    foreign: count => { events.raise('foreign-record', { count }) },
    failed: (runner, error) => {
      events.raise('stream-stopped', { writer: runner, ...errorFields(error) }, String(runner))
    },
    recovered: runner => { events.clear('stream-stopped', String(runner)) }
  }
}
