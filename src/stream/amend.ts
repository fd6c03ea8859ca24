/** Windows marked due → their next revisions, computed again from the stored rows (fhir-modelling.md §2.2). */

import type { SidContext } from '../model/identity.ts'
import type { ModelKey, Sid, StoredReading } from '../model/reading.ts'
import { type EpochMs, epochMs } from '../model/units.ts'
import type { AmendmentCause, WindowStatus } from '../model/window.ts'
import { type Revision, revisionOf, windowGroups } from './close-open-windows.ts'
import { closeWindow, lookAheadMs, samplesMetric, type WindowDraft } from './close-window.ts'
import { lookbackCount } from './plausibility.ts'
import type { PipelineParts } from './pipeline-parts.ts'
import { sameContent } from './same-content.ts'
import type { OpenSeries } from './series-state.ts'
import type { Due, DueAmendment, Settled } from './sink.ts'

export interface DueWindows {
  windows: readonly DueAmendment[]
  /** Their series. */
  names: readonly { sid: Sid, model: ModelKey, series: number }[]
}

export interface Amendments {
  revisions: Revision[]
  settled: Settled[]
  /** Marks put off until their windows are closed, or until the file of their device model is back. */
  due: Due[]
  /** Of these, the ones whose device model is not in the registry. */
  withoutModel: number
  causes: { cause: AmendmentCause, count: number }[]
}

export interface Amender {
  /** What is due now; asks the store at most once a second. */
  ask (now: EpochMs): Promise<DueWindows>
  /** Revisions of these windows. The mark of one not yet closed is put off: memory may close it on less than the store holds.
   *  @param open holds every series named, so that it is known how far each is closed */
  amend (due: DueWindows, now: EpochMs, open: ReadonlyMap<Sid, OpenSeries>): Promise<Amendments>
}

/** Status of a revision that is not the first (§2.2). */
export const STATUS_OF: Readonly<Record<AmendmentCause, WindowStatus>> = {
  late: 'amended',
  association: 'amended',
  recalibrated: 'corrected',
  reprocessed: 'corrected',
  withdrawn: 'entered-in-error'
}

/** Models are loaded at the start of a server: until then every look is in vain. */
const MODEL_WAIT_MS = 600_000
/** Between two questions for what is due. */
const ASK_EVERY_MS = 1_000
const WINDOW_ROWS_MAX = 1_000_000

const NOTHING: DueWindows = { windows: [], names: [] }

type AmendParts = Pick<PipelineParts, 'sink' | 'contexts' | 'models' | 'settings'>

export function createAmender (parts: AmendParts & Pick<PipelineParts, 'partitions'>): Amender {
  let askedAt = -Infinity
  return {
    ask: async now => {
      if (now - askedAt < ASK_EVERY_MS) return NOTHING
      const windows = await parts.sink.dueAmendments(now, parts.partitions, parts.settings.amendmentsMax)
      // A full answer means that more is waiting: ask again at the next step.
      askedAt = windows.length < parts.settings.amendmentsMax ? now : -Infinity
      if (windows.length === 0) return NOTHING
      const sids = await parts.sink.sidsOf([...new Set(windows.map(window => window.series))])
      return { windows, names: [...sids].map(([series, name]) => ({ series, ...name })) }
    },
    amend: async (due, now, open) => due.windows.length === 0 ? { revisions: [], settled: [], due: [], withoutModel: 0, causes: [] } : await amendAll(parts, due, now, open)
  }
}

async function amendAll (parts: AmendParts, { windows, names }: DueWindows, now: EpochMs, open: ReadonlyMap<Sid, OpenSeries>): Promise<Amendments> {
  const sidOf = new Map(names.map(name => [name.series, name.sid]))
  const contexts = await parts.contexts([...sidOf.values()])
  const ledger = groupBy(await parts.sink.latestOfWindows(windows), row => windowKey(row))
  const revisions: Revision[] = []
  const settled: Settled[] = []
  const due: Due[] = []
  let withoutModel = 0
  const counts = new Map<AmendmentCause, number>()
  for (const window of windows) {
    const sid = sidOf.get(window.series)!
    if (isStillOpen(open.get(sid), window)) {
      due.push({ ...window, notBefore: epochMs(now + parts.settings.silenceMs) })
      continue
    }
    const context = contexts.get(sid)
    // Nothing is said of a window that cannot be computed, least of all that it was withdrawn.
    if (context !== undefined && !parts.models.has(context.model)) {
      due.push({ ...window, notBefore: epochMs(now + MODEL_WAIT_MS) })
      withoutModel++
      continue
    }
    settled.push(window)
    const latest = ledger.get(windowKey(window)) ?? []
    const drafts = context === undefined ? [] : await draftsOf(parts, window, context, latest)
    const next = nextRevisions(parts, window, sid, context, drafts, latest, now)
    revisions.push(...next)
    if (next.length > 0) counts.set(window.cause, (counts.get(window.cause) ?? 0) + next.length)
  }
  return { revisions, settled, due, withoutModel, causes: [...counts].map(([cause, count]) => ({ cause, count })) }
}

function isStillOpen (series: OpenSeries | undefined, window: DueAmendment): boolean {
  const group = series?.groups.find(candidate => candidate.sizeMs === window.sizeMs)
  return group !== undefined && window.windowStart + window.sizeMs > group.closedThrough
}

async function draftsOf (parts: AmendParts, window: DueAmendment, context: SidContext, latest: readonly Revision[]): Promise<WindowDraft[]> {
  const model = parts.models.get(context.model)
  if (model === undefined) return []
  const until = epochMs(window.windowStart + window.sizeMs)
  const ahead = lookAheadMs(model, parts.settings.deficits)
  const [before, inside] = await Promise.all([
    parts.sink.readingsBefore(window.series, window.windowStart, lookbackCount(model)),
    parts.sink.readings(window.series, window.windowStart, epochMs(until + ahead), WINDOW_ROWS_MAX)
  ])
  const readings: StoredReading[] = [...before, ...inside]
  const group = windowGroups(model, parts.settings).find(candidate => candidate.sizeMs === window.sizeMs)
  const written = new Set(latest.map(row => row.metric))
  const channels = [...model.channels.keys()].filter(position => {
    return group?.channels.includes(position) === true || written.has(samplesMetric(model.channels[position]!))
  })
  const withPanel = group?.withPanel === true || written.has('panel')
  // A window that lost its values to a new calibration stands without them; one that lost its readings is withdrawn.
  const keepsEmptied = STATUS_OF[window.cause] === 'corrected' && inside.length > 0
  return closeWindow({
    model,
    context,
    sizeMs: window.sizeMs,
    windowStart: window.windowStart,
    readings,
    channels,
    deficits: parts.settings.deficits,
    withPanel,
    ...(keepsEmptied ? { existing: written } : {})
  })
}

function nextRevisions (parts: AmendParts, window: DueAmendment, sid: Sid, context: SidContext | undefined, drafts: readonly WindowDraft[], latest: readonly Revision[], now: EpochMs): Revision[] {
  const { settings } = parts
  const known = new Map(latest.map(row => [row.metric, row]))
  const model = context === undefined ? undefined : parts.models.get(context.model)
  const watermark = epochMs(window.windowStart + window.sizeMs)
  const revisions: Revision[] = []
  for (const draft of model === undefined ? [] : drafts) {
    const before = known.get(draft.metric)
    known.delete(draft.metric)
    const facts = before === undefined
      ? { revision: 1, status: 'final' as const, watermark, now }
      : { revision: before.revision + 1, status: STATUS_OF[window.cause === 'withdrawn' ? 'association' : window.cause], watermark, now }
    const next = revisionOf({ sid, series: window.series, model: model! }, draft, facts, settings)
    if (before === undefined || !sameContent(before, next)) revisions.push(next)
  }
  // What has no sample any more was somebody else's or never was.
  for (const gone of known.values()) {
    if (gone.status !== 'entered-in-error') revisions.push(withdrawn(gone, now))
  }
  return revisions
}

function withdrawn (row: Revision, now: EpochMs): Revision {
  const { statistics: _statistics, deficit: _deficit, quality: _quality, ...rest } = row
  return { ...rest, revision: row.revision + 1, status: 'entered-in-error', issued: now, form: { form: 'empty' }, flags: 0 }
}

function windowKey (window: { series: number, windowStart: EpochMs, sizeMs: number }): string {
  return `${window.series}/${window.windowStart}/${window.sizeMs}`
}

function groupBy<T> (items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const name = key(item)
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [item])
    else group.push(item)
  }
  return groups
}
