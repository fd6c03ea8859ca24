/** The one place with the order of the operators: records taken from the bus → de-duplicate → windows → one commit. */

import type { DeviceModel, DeviceModels } from '../model/device-model.ts'
import { ServiceError } from '../model/errors.ts'
import type { ForeignRecord } from '../model/foreign-record.ts'
import type { SidContext } from '../model/identity.ts'
import type { ModelKey, Sid, StoredReading } from '../model/reading.ts'
import { type EpochMs, epochMs } from '../model/units.ts'
import { type Amender, createAmender } from './amend.ts'
import { type Arrival, decodeArrivals, type Findings, type Late, noFindings, placeArrivals, placeLate, type TakenRecords } from './arrivals.ts'
import { closeOpenWindows, type Revision, windowGroups } from './close-open-windows.ts'
import { lookAheadMs } from './close-window.ts'
import { lookbackCount } from './plausibility.ts'
import type { PipelineParts, PipelineSettings } from './pipeline-parts.ts'
import { OpenReadings } from './open-readings.ts'
import { forgetClosed, type OpenSeries, type WindowGroup, watermarkOf } from './series-state.ts'
import type { Closed, Due, SeriesCommit, SeriesState, Settled, Sink } from './sink.ts'
import { windowStartOf } from './window.ts'

export interface Step {
  commit: SeriesCommit
  /** Records among those taken that are none of ours: to be kept elsewhere before the commit goes past them. */
  foreign: readonly ForeignRecord[]
  windowsClosed: number
  windowsAmended: readonly { cause: Due['cause'], count: number }[]
  /** Windows that were to be written again and wait for the file of their device model. */
  withoutModel: number
}

export interface Pipeline {
  /** Takes up the series that may have fallen silent before a restart. @returns how many are left, since the file of their device model is missing */
  resume (now: EpochMs): Promise<number>
  /** One step; `undefined`: nothing to commit. The caller commits it whole, or throws this pipeline away. */
  step (taken: readonly TakenRecords[], now: EpochMs): Promise<Step | undefined>
  /** The association, the calibrations or the rows of these sids changed elsewhere: everything about them is read again before the next step. */
  contextChanged (sids: readonly Sid[]): void
  /** Series held in memory. */
  openCount (): number
}

/** Everything one step writes. */
interface Work extends Findings { due: Due[], settled: Settled[], closed: Closed[], revisions: Revision[] }

export function createPipeline (parts: PipelineParts): Pipeline {
  const { sink } = parts
  const open = new Map<Sid, OpenSeries>()
  /** Series with open windows, least recently heard first. */
  const heard = new Map<Sid, OpenSeries>()
  const stale = new Set<Sid>()
  const amender = createAmender(parts)

  const openUp = (names: readonly SeriesName[], now: EpochMs): Promise<void> => openSeries(parts, open, heard, names, now)
  /** For what is done to series of which nothing comes in: a device model whose file is gone stops nobody else. */
  const openKnown = (names: readonly SeriesName[], now: EpochMs): Promise<void> => openUp(names.filter(({ model }) => parts.models.has(model)), now)

  /** What memory holds of these series may no longer be what the store holds: rows may have moved with the association. */
  async function reopenStale (now: EpochMs): Promise<void> {
    const names = [...stale].flatMap(sid => {
      const series = open.get(sid)
      return series === undefined ? [] : [{ sid, model: series.context.model, partition: series.partition }]
    })
    stale.clear()
    for (const { sid } of names) {
      open.delete(sid)
      heard.delete(sid)
    }
    await openUp(names, now)
  }

  return {
    resume: async now => {
      const names = await sink.openSeries(parts.partitions)
      await openKnown(names.map(({ sid, model }) => ({ sid, model })), now)
      return names.filter(({ model }) => !parts.models.has(model)).length
    },
    contextChanged: sids => { for (const sid of sids) stale.add(sid) },
    openCount: () => open.size,
    step: async (taken, now) => {
      const { arrivals, foreign } = decodeArrivals(taken)
      await openUp(unknownNames(arrivals, open), now)
      await reopenStale(now)
      // First, on what the store holds: a window closed in this very step is not yet there to be written again.
      const due = await amender.ask(now)
      await openKnown(due.names.filter(({ sid }) => !open.has(sid)), now)
      const amended = await amender.amend(due, now, open)
      const work: Work = { ...noFindings(), due: [], settled: [], closed: [], revisions: [] }
      await place(parts, arrivals, open, work, now)
      for (const sid of arrivals.keys()) closeSeries(parts, open.get(sid)!, heard, now, work)
      closeSilent(parts, open, heard, now, work)
      const step = stepOf(parts, taken, work, amended)
      return step && { ...step, foreign }
    }
  }
}

interface SeriesName { sid: Sid, model: ModelKey, partition?: number }

function unknownNames (arrivals: ReadonlyMap<Sid, readonly Arrival[]>, open: ReadonlyMap<Sid, OpenSeries>): SeriesName[] {
  const names: SeriesName[] = []
  for (const [sid, [first]] of arrivals) {
    if (!open.has(sid)) names.push({ sid, model: first!.batch.model, partition: first!.partition })
  }
  return names
}

async function openSeries (parts: PipelineParts, open: Map<Sid, OpenSeries>, heard: Map<Sid, OpenSeries>, names: readonly SeriesName[], now: EpochMs): Promise<void> {
  if (names.length === 0) return
  const [contexts, numbers] = await Promise.all([parts.contexts(names.map(name => name.sid)), parts.sink.series(names)])
  const states = await parts.sink.states([...numbers.values()])
  for (const { sid, model, partition } of names) {
    const series = numbers.get(sid)!
    const state = states.get(series)
    const context = contexts.get(sid) ?? endedContext(sid, model)
    const rows = state === undefined ? [] : await allRows(parts.sink, state, lookbackCount(modelOf(parts.models, context.model)))
    const opened = openedSeries(parts, context, series, partition ?? rows.at(-1)?.partition ?? parts.partitions[0]!, state, rows, now)
    open.set(sid, opened)
    if (opened.readings.length > 0) heard.set(sid, opened)
  }
}

/** The rows of the open windows, and those before them that the first of these windows looks back to. */
async function allRows (sink: Sink, state: SeriesState, lookback: number): Promise<StoredReading[]> {
  const closedThrough = Math.min(...state.progress.values())
  const before = Number.isFinite(closedThrough) ? await sink.readingsBefore(state.series, epochMs(closedThrough), lookback) : []
  const rows = [...before, ...state.rows]
  let isTruncated = state.truncated
  while (isTruncated) {
    const last = rows.at(-1)!
    const more = await sink.readings(state.series, last.takenAt, END_OF_TIME, ROWS_PER_READ)
    const behind = more.filter(row => row.takenAt > last.takenAt || row.sequence > last.sequence)
    rows.push(...behind)
    isTruncated = behind.length > 0 && more.length === ROWS_PER_READ
  }
  return rows
}

const ROWS_PER_READ = 10_000
const END_OF_TIME = epochMs(Date.UTC(9999, 11, 31))

function openedSeries (parts: PipelineParts, context: SidContext, series: number, partition: number, state: SeriesState | undefined, rows: StoredReading[], now: EpochMs): OpenSeries {
  const model = modelOf(parts.models, context.model)
  const newest = Math.max(state?.highest ?? -Infinity, rows.at(-1)?.takenAt ?? -Infinity)
  // A size that is new begins where the others stand: what lies before is closed, and the store gave no rows of it.
  const begin = state === undefined || state.progress.size === 0 ? Number.MIN_SAFE_INTEGER : Math.min(...state.progress.values())
  const groups = windowGroups(model, parts.settings).map(({ sizeMs, channels, withPanel }): WindowGroup => ({ sizeMs, channels, withPanel, closedThrough: state?.progress.get(sizeMs) ?? epochMs(begin) }))
  return { sid: context.sid, series, partition, context, model, groups, readings: new OpenReadings(model.channels.length, rows), newest, lastArrival: now }
}

function modelOf (models: DeviceModels, key: ModelKey): DeviceModel {
  const model = models.get(key)
  if (model === undefined) throw new ServiceError('fault', 'MODEL_INVALID', 'readings on the bus name a device model that is not in the registry: put its file back into mappings/models')
  return model
}

/** Of a sid that no longer exists: its rows are kept, no window is made of them. */
function endedContext (sid: Sid, model: ModelKey): SidContext {
  return { sid, model, validFrom: epochMs(0), validUntil: epochMs(0), calibrations: [] }
}

async function place (parts: PipelineParts, arrivals: ReadonlyMap<Sid, readonly Arrival[]>, open: ReadonlyMap<Sid, OpenSeries>, work: Work, now: EpochMs): Promise<void> {
  const late: Late[] = []
  const owner = new Map<number, OpenSeries>()
  for (const [sid, list] of arrivals) {
    const series = open.get(sid)!
    series.lastArrival = now
    const lateOfSeries = placeArrivals(series, list, work, reading => { markDue(parts.settings, series, reading, work.due, now) })
    if (lateOfSeries.length === 0) continue
    owner.set(series.series, series)
    late.push(...lateOfSeries)
  }
  if (late.length === 0) return
  const stored = await parts.sink.existing(late)
  for (const row of placeLate(late, stored, work)) {
    const series = owner.get(row.series)!
    // It belongs to what the first open window looks back to, or is there already; what is too much is forgotten at the next close.
    series.readings.put(row)
    markDue(parts.settings, series, row, work.due, now)
  }
}

/** Marks the closed windows that a new or filled reading changes: its own, or the last one when the reading can end a deficit in it. */
function markDue (settings: PipelineSettings, series: OpenSeries, reading: StoredReading, due: Due[], now: EpochMs): void {
  const notBefore = epochMs(now + settings.silenceMs)
  const aheadMs = lookAheadMs(series.model, settings.deficits)
  for (const { sizeMs, closedThrough } of series.groups) {
    const own = windowStartOf(reading.takenAt, sizeMs)
    const mark = { series: series.series, partition: series.partition, sizeMs, cause: 'late' as const, notBefore }
    if (own + sizeMs <= closedThrough) due.push({ ...mark, windowStart: own, lookback: lookbackCount(series.model) })
    else if (reading.takenAt < closedThrough + aheadMs) due.push({ ...mark, windowStart: windowStartOf(epochMs(closedThrough - 1), sizeMs) })
  }
}

function closeSeries (parts: PipelineParts, series: OpenSeries, heard: Map<Sid, OpenSeries>, now: EpochMs, work: Work): void {
  const { settings } = parts
  const watermark = watermarkOf(series, now, settings.latenessMs, settings.silenceMs)
  closeOpenWindows(series, watermark, now, settings, work)
  forgetClosed(series, lookbackCount(series.model))
  heard.delete(series.sid)
  heard.set(series.sid, series)
}

/** Windows of series that no longer speak close with the clock; then the series leaves memory and is read again when it speaks. */
function closeSilent (parts: PipelineParts, open: Map<Sid, OpenSeries>, heard: Map<Sid, OpenSeries>, now: EpochMs, work: Work): void {
  const { latenessMs, silenceMs } = parts.settings
  for (const [sid, series] of heard) {
    if (now - series.lastArrival < silenceMs) return
    // One that was only looked at, because a window of it is written again, has nothing to close and says nothing new.
    if (!isAllClosed(series)) closeOpenWindows(series, watermarkOf(series, now, latenessMs, silenceMs), now, parts.settings, work)
    if (!isAllClosed(series)) continue
    heard.delete(sid)
    open.delete(sid)
  }
}

function isAllClosed ({ groups, newest }: OpenSeries): boolean { return groups.every(group => group.closedThrough > newest) }

type Amended = Awaited<ReturnType<Amender['amend']>>

function stepOf (parts: PipelineParts, taken: readonly TakenRecords[], work: Work, amended: Amended): Omit<Step, 'foreign'> | undefined {
  const revisions = [...work.revisions, ...amended.revisions]
  const settled = [...work.settled, ...amended.settled]
  if (taken.length === 0 && revisions.length === 0 && settled.length === 0 && amended.due.length === 0 && work.closed.length === 0) return undefined
  return {
    windowsClosed: work.revisions.length,
    windowsAmended: amended.causes,
    withoutModel: amended.withoutModel,
    commit: {
      writer: parts.writer,
      owner: parts.owner === undefined ? undefined : { topic: parts.topic, partitions: parts.partitions, token: parts.owner },
      resume: taken.map(({ partition, firstOffset, nextOffset }) => ({ topic: parts.topic, partition, firstOffset, nextOffset })),
      fresh: work.fresh,
      late: work.late,
      fills: work.fills,
      revisions,
      closed: work.closed,
      due: [...work.due, ...amended.due],
      settled,
      counters: [...work.counts.values()]
    }
  }
}
