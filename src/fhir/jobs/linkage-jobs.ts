/** Jobs that changes of associations and calibrations recorded → readings under the right sid, windows written again. Resumable: everything done is on record. */

import type { Pool } from 'pg'
import type { DeviceModel, DeviceModels } from '../../model/device-model.ts'
import { ServiceError } from '../../model/errors.ts'
import type { Sid } from '../../model/reading.ts'
import { type EpochMs, epochMs } from '../../model/units.ts'
import type { JobReport } from '../../observability/events.ts'
import { finishRecalibration, openRecalibrations } from '../../stores/linkage/calibration.ts'
import { firmwareTexts } from '../../stores/linkage/firmware.ts'
import type { Span } from '../../stores/linkage/span.ts'
import type { SeriesStore } from '../../stores/series/series-store.ts'
import { lookbackCount } from '../../stream/plausibility.ts'
import type { RowIn } from '../../stream/sink.ts'
import { startRecheck } from './recheck.ts'
import { runRelabelJobs } from './relabel.ts'

/** A stored reading with the texts behind its numbers. */
export interface ReturnedReading { reading: RowIn, model: DeviceModel, firmware: string | undefined }

export interface LinkageJobsParts {
  linkagePool: Pool
  series: SeriesStore
  /** Window sizes in use, ms. */
  sizesMs: readonly number[]
  /** True once every reading that was on its way when the job was first seen is stored. */
  isSettled: (job: { id: number, device: string }) => Promise<boolean>
  models: DeviceModels
  /** Readings of a device that nobody wears any more → quarantine, durable when it resolves. */
  requarantine: (telemetry: string, readings: readonly ReturnedReading[]) => Promise<void>
  /** What waits for this device may belong to somebody now. */
  releaseDevice: (telemetry: string) => void
  /** Readings moved to a sid that held others under the same identities, with other values. */
  onConflicts: (count: number) => void
  /** The stream reads these sids again. */
  contextChanged: (sids: readonly Sid[]) => void
  /** @param job what it is about */
  report: (job: string) => JobReport
  now: () => EpochMs
}

export interface LinkageJobs {
  /** Something was recorded. */
  wake (): void
  stop (): Promise<void>
}

/** Between two looks for what was recorded by a process that died. */
const EVERY_MS = 10_000
/** While a job waits for readings on their way. */
const SOON_MS = 500
const RECALIBRATIONS_MAX = 100

export function startLinkageJobs (parts: LinkageJobsParts): LinkageJobs {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let isWoken = false
  let isStopped = false
  const report = parts.report('relabelling and recalibration')

  async function runAll (): Promise<void> {
    let nextMs = EVERY_MS
    try {
      await recalibrate(parts)
      const { waiting, errors } = await runRelabelJobs(relabelActions(parts), { pool: parts.linkagePool, now: parts.now })
      if (waiting > 0) nextMs = SOON_MS
      if (errors.length > 0) report.failing(errors[0])
      else report.fine()
    } catch (error) {
      report.failing(error)
    }
    running = undefined
    if (isStopped) return
    if (isWoken) wake()
    else timer = setTimeout(wake, nextMs)
  }

  function wake (): void {
    isWoken = running !== undefined
    if (isWoken || isStopped) return
    clearTimeout(timer)
    running = runAll()
  }

  wake()
  const recheck = startRecheck({ pool: parts.linkagePool, series: parts.series, now: parts.now, onRecorded: wake, report: parts.report('look at what was relabelled') })
  return {
    wake,
    stop: async () => {
      isStopped = true
      clearTimeout(timer)
      await Promise.all([running, recheck.stop()])
    }
  }
}

/** A calibration with effect in the past: every window it covers is marked, and the mark outlives a crash. */
async function recalibrate ({ linkagePool, series, sizesMs, contextChanged, now }: LinkageJobsParts): Promise<void> {
  for (const job of await openRecalibrations(linkagePool, RECALIBRATIONS_MAX)) {
    const numbers = await series.numbersOf(job.sids)
    contextChanged(job.sids)
    const { since, until } = timesOf(job.span, now())
    // Also the window before, whose deficit looks ahead.
    await series.markWindowsDue({ series: [...numbers.values()], since: epochMs(since - Math.max(...sizesMs)), until, cause: 'recalibrated', now: now() })
    await series.days.mark([...numbers.values()], since, until)
    await finishRecalibration(linkagePool, job.id, now())
  }
}

function relabelActions (parts: LinkageJobsParts): Parameters<typeof runRelabelJobs<RowIn>>[0] {
  const { series, sizesMs, contextChanged, now } = parts
  const lookback = Math.max(...[...parts.models.values()].map(lookbackCount))
  const numberOf = async (sid: Sid): Promise<number | undefined> => (await series.numbersOf([sid])).get(sid)
  return {
    isSettled: parts.isSettled,
    moveReadings: async (sid, target, span, limit) => {
      const from = await numberOf(sid)
      if (from === undefined) return 0
      const name = (await series.sidsOf([from])).get(from)!
      const to = (await series.series([{ sid: target, model: name.model }])).get(target)!
      const { moved, dropped, conflicts } = await series.moveReadings({ from, to, ...timesOf(span, now()), sizesMs, lookback, limit, now: now() })
      contextChanged([sid, target])
      if (conflicts > 0) parts.onConflicts(conflicts)
      return moved + dropped
    },
    takeReadings: async (sid, span, limit, keep) => {
      const from = await numberOf(sid)
      if (from === undefined) return 0
      const count = await series.takeReadings({ from, ...timesOf(span, now()), sizesMs, lookback, limit, now: now() }, keep)
      contextChanged([sid])
      return count
    },
    withdrawViews: async (sid, span) => {
      const number = await numberOf(sid)
      if (number === undefined) return
      contextChanged([sid])
      await series.markWindowsDue({ series: [number], ...timesOf(span, now()), cause: 'association', now: now() })
    },
    requarantine: async (telemetry, rows) => { await parts.requarantine(telemetry, await returnedReadings(parts, rows)) },
    onDone: async telemetry => { if (telemetry !== undefined) parts.releaseDevice(telemetry) }
  }
}

/** Rows with what their numbers stand for. */
async function returnedReadings ({ series, models, linkagePool }: LinkageJobsParts, rows: readonly RowIn[]): Promise<ReturnedReading[]> {
  const names = await series.sidsOf([...new Set(rows.map(row => row.series))])
  const firmware = await firmwareTexts(linkagePool, [...new Set(rows.map(row => row.firmware))])
  return rows.map(reading => {
    const key = names.get(reading.series)!.model
    const model = models.get(key)
    if (model === undefined) throw new ServiceError('fault', 'MODEL_INVALID', `readings of ${key} cannot go back to quarantine: put its file back into mappings/models`)
    return { reading, model, firmware: firmware.get(reading.firmware) }
  })
}

/** An open end reaches as far as a clock may run ahead. */
function timesOf (span: Span, now: EpochMs): { since: EpochMs, until: EpochMs } {
  return { since: span.from, until: span.until ?? epochMs(now + 86_400_000) }
}
