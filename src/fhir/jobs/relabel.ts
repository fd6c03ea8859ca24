/** Runs the jobs that association changes recorded: rows go to the sid they belong to now, or back to quarantine; old views are
 *  withdrawn. Every step can be repeated, so a run that was killed goes on where it was (privacy.md §4.2). */

import type { Pool } from 'pg'
import { identifierSystem } from '../../model/identifier.ts'
import type { Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import { withClient } from '../../platform/postgres/pool.ts'
import { finishRelabelJob, markRelabelProgress, nextRelabelJobs, type RelabelJob, withDeviceJobs } from '../../stores/linkage/relabel-job.ts'
import { readCurrent } from '../../stores/linkage/resource.ts'
import type { Span } from '../../stores/linkage/span.ts'
import type { Device } from '@medplum/fhirtypes'

/** What the runner asks of the series store and of ingest. `R`: a reading as the series store gives it. */
export interface RelabelActions<R> {
  /** True once every reading that was resolved before the job was recorded is stored: until then the job waits. */
  isSettled (job: RelabelJob): Promise<boolean>
  /** Marks the windows of the sid that touch the span to be written again: withdrawn where nothing is left in them. Repeatable. */
  withdrawViews (sid: Sid, span: Span): Promise<void>
  /** Gives at most `limit` readings of the span to `target`, rows and windows due in one transaction; how many were given, 0 when none is left. */
  moveReadings (sid: Sid, target: Sid, span: Span, limit: number): Promise<number>
  /** Hands at most `limit` readings of the span to `keep` and deletes them once it has resolved; all stay when it throws. How many went, 0 when none is left. */
  takeReadings (sid: Sid, span: Span, limit: number, keep: (readings: readonly R[]) => Promise<void>): Promise<number>
  /** Resolves when the readings stand in quarantine as readings of the device, reason `not-associated`. Repeated after a crash it may
   *  keep them twice: their identity suppresses the second at release. @param telemetry the Device's name in telemetry */
  requarantine (telemetry: string, readings: readonly R[]): Promise<void>
  /** Called when a job is done: what went to quarantine may belong to an association recorded meanwhile. */
  onDone (telemetry: string | undefined, job: RelabelJob): Promise<void>
}

export interface RelabelOptions {
  pool: Pool
  now: () => EpochMs
  /** Readings in one step. Default 5,000. */
  stepMax?: number
  /** Devices looked at in one round. Default 100. */
  devicesMax?: number
}

export interface RelabelRun {
  done: number
  /** Jobs that are not settled yet, or whose device another process works on. */
  waiting: number
  readings: number
  /** What actions threw, one per device: its job stays open for the next run. */
  errors: readonly unknown[]
}

/** Runs what is open, oldest first per device, until nothing is left that can go on. A device whose job fails keeps no other from running. */
export async function runRelabelJobs<R> (actions: RelabelActions<R>, options: RelabelOptions): Promise<RelabelRun> {
  const errors = new Map<string, unknown>()
  let [done, readings] = [0, 0]
  for (;;) {
    const jobs = (await nextRelabelJobs(options.pool, options.devicesMax ?? 100)).filter(({ device }) => !errors.has(device))
    const before = done
    let waiting = 0
    for (const job of jobs) {
      try {
        const moved = await runExclusively(job, actions, options)
        if (moved === undefined) waiting++
        else {
          done++
          readings += moved
        }
      } catch (error) {
        errors.set(job.device, error)
      }
    }
    if (done === before) return { done, waiting, readings, errors: [...errors.values()] }
  }
}

/** `undefined`: the job waits, or another process runs it. */
async function runExclusively<R> (job: RelabelJob, actions: RelabelActions<R>, options: RelabelOptions): Promise<number | undefined> {
  return withClient(options.pool, client => withDeviceJobs(client, job.device, async () => {
    // Another process may have finished it before this one got the lock.
    const [current] = await nextRelabelJobs(options.pool, 1, job.device)
    if (current?.id !== job.id) return undefined
    // Where nothing moves, readings on their way do not matter.
    if (current.target !== current.sid && !(await actions.isSettled(current))) return undefined
    return runJob(current, actions, options)
  }))
}

async function runJob<R> (job: RelabelJob, actions: RelabelActions<R>, options: RelabelOptions): Promise<number> {
  const { pool, now, stepMax = 5_000 } = options
  const telemetry = await telemetryOf(pool, job.device)
  let progress = job.progress
  const mark = async (next: RelabelJob['progress']) => {
    progress = next
    await markRelabelProgress(pool, job.id, progress)
  }
  for (;;) {
    const count = await step(job, telemetry, actions, stepMax)
    if (count === 0) break
    await mark({ ...progress, readings: (progress.readings ?? 0) + count })
  }
  if (progress.viewsWithdrawn !== true) {
    await actions.withdrawViews(job.sid, job.span)
    await mark({ ...progress, viewsWithdrawn: true })
  }
  await finishRelabelJob(pool, job.id, progress, now())
  await actions.onDone(telemetry, job)
  return progress.readings ?? 0
}

async function step<R> (job: RelabelJob, telemetry: string | undefined, actions: RelabelActions<R>, limit: number): Promise<number> {
  if (job.target === job.sid) return 0
  if (job.target !== undefined) return actions.moveReadings(job.sid, job.target, job.span, limit)
  // A device that sent readings had a name, and a name never leaves a device that was worn.
  return actions.takeReadings(job.sid, job.span, limit, readings => actions.requarantine(telemetry ?? '', readings))
}

async function telemetryOf (pool: Pool, device: string): Promise<string | undefined> {
  const stored = await readCurrent(pool, 'Device', device)
  if (stored === undefined) return undefined
  const system = identifierSystem('telemetry-device')
  return (JSON.parse(stored.text) as Device).identifier?.find(identifier => identifier.system === system)?.value
}
