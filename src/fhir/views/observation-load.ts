/** Ledger rows -> the Observations they show, with the frame that names each and the context of its sid. */

import { ServiceError } from '../../model/errors.ts'
import type { ModelKey, Sid } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import type { ViewKind, WindowRevision } from '../../model/window.ts'
import type { ViewText } from './mapping-schema.ts'
import { findFrame, type Frame, type FrameTools } from './observation-frame.ts'
import { type Naming, serverNaming } from './naming.ts'
import type { ViewContext } from './view-context.ts'
import type { View } from './view-name.ts'
import { currentViews, versionsOfView, viewsWritten } from './window-history.ts'

/** A row as the series store gives it. */
export type SeriesRow = WindowRevision & { series: number }
export interface RowKey { series: number, metric: string, windowStart: EpochMs, sizeMs: number }

/** What the views ask of the stores. */
export interface ViewSources {
  /** Every revision of the given windows of metrics; those of one window ascending. */
  revisionsOf (keys: readonly RowKey[]): Promise<readonly SeriesRow[]>
  /** Latest revisions of the given windows of metrics; one without a row is missing. */
  latest (keys: readonly RowKey[]): Promise<readonly SeriesRow[]>
  /** A sid that does not exist is missing. @param firmware numbers whose texts are needed */
  contexts (sids: readonly Sid[], firmware: Iterable<number>): Promise<ReadonlyMap<Sid, ViewContext>>
}

export interface PublishedView { view: View, frame: Frame, context: ViewContext }

export interface ViewLoader {
  /** Current Observations of the windows, as they were at `asOf`. @param rows latest revisions at that time
   *  @param isWanted what the texts of a view say beforehand; others may be left out */
  current (rows: readonly SeriesRow[], asOf: EpochMs, isWanted?: (texts: ViewText) => boolean): Promise<PublishedView[]>
  /** Every version of one Observation, ascending. @param latest newest revision of its window */
  versions (latest: SeriesRow, id: string): Promise<PublishedView[]>
  /** What each revision wrote, whether anybody may be shown it or not, in the order of `rows`. @param rows any revisions */
  written (rows: readonly SeriesRow[]): Promise<View[][]>
}

export function createViewLoader (sources: ViewSources, tools: FrameTools): ViewLoader {
  const names = new WeakMap<ViewContext, Naming>()

  function namingOf (context: ViewContext): Naming {
    const known = names.get(context)
    if (known !== undefined) return known
    const naming = serverNaming(context)
    names.set(context, naming)
    return naming
  }

  async function contextsOf (rows: readonly WindowRevision[]): Promise<ReadonlyMap<Sid, ViewContext>> {
    const firmware = new Set<number>()
    for (const row of rows) for (const entry of row.provenance) firmware.add(entry.firmware)
    return sources.contexts([...new Set(rows.map(row => row.sid))], firmware)
  }

  /** All revisions of the windows of these rows, each window's ascending; read at once for those that have several. */
  async function historiesOf (rows: readonly SeriesRow[]): Promise<(row: SeriesRow) => readonly SeriesRow[]> {
    const amended = rows.filter(row => row.revision > 1)
    const found = amended.length === 0 ? new Map<string, SeriesRow[]>() : Map.groupBy(await sources.revisionsOf(amended), keyText)
    return row => found.get(keyText(row)) ?? [row]
  }

  async function published (views: readonly View[], contexts: ReadonlyMap<Sid, ViewContext>): Promise<PublishedView[]> {
    const found: PublishedView[] = []
    for (const view of views) {
      const context = contexts.get(view.row.sid)
      const frame = context === undefined ? undefined : findFrame(view, namingOf(context), tools)
      if (frame !== undefined) found.push({ view, frame, context: context! })
    }
    await addMembers(found, sources)
    return found
  }

  return {
    async current (rows, asOf, isWanted) {
      const [contexts, histories] = await Promise.all([contextsOf(rows), historiesOf(rows)])
      const views: View[] = []
      for (const row of rows) {
        const context = contexts.get(row.sid)
        if (context === undefined) continue
        const history = row.revision === 1 ? [row] : historyAt(histories(row), asOf)
        const isKindWanted = (kind: ViewKind) => {
          const frame = findFrame({ kind, row }, namingOf(context), tools)
          return frame !== undefined && (isWanted === undefined || isWanted(frame.mapping.file.views[kind]!))
        }
        for (const view of currentViews(history, isKindWanted)) views.push(view)
      }
      return published(views, contexts)
    },
    async written (rows) {
      const histories = await historiesOf(rows)
      const written = rows.map(row => viewsWritten(row, row.revision === 1 ? undefined : histories(row).find(one => one.revision === row.revision - 1)))
      const panels = written.flat().filter(view => view.kind === 'panel')
      if (panels.length > 0) await published(panels, await contextsOf(panels.map(view => view.row)))
      return written
    },
    async versions (latest, id) {
      const history = (await historiesOf([latest]))(latest)
      return published(versionsOfView(history, id), await contextsOf(history))
    }
  }
}

/** Up to the highest revision issued by then, as the ledger picks it; one before it may have been issued later by the clock. */
function historyAt (history: readonly SeriesRow[], asOf: EpochMs): readonly SeriesRow[] {
  return history.slice(0, history.findLastIndex(row => row.issued <= asOf) + 1)
}

/** A panel names the SpO2 Observation of its window when that was there no later than the panel's revision: so old versions stay as they were. */
async function addMembers (found: readonly PublishedView[], sources: ViewSources): Promise<void> {
  const wanted = found.flatMap(({ view, frame, context }) => {
    if (view.kind !== 'panel' || view.row.form.form !== 'last') return []
    const metric = spo2Metric(frame, context.model)
    return metric === undefined ? [] : [{ view, key: { ...(view.row as SeriesRow), metric } }]
  })
  if (wanted.length === 0) return
  const latest = new Map((await sources.latest(wanted.map(({ key }) => key))).map(row => [keyText(row), row]))
  const amended = [...latest.values()].filter(row => row.revision > 1)
  const firstIssued = new Map((amended.length === 0 ? [] : await sources.revisionsOf(amended)).filter(row => row.revision === 1).map(row => [keyText(row), row.issued]))
  for (const { view, key } of wanted) {
    const row = latest.get(keyText(key))
    if (row === undefined) continue
    if (row.revision === 1 ? row.issued <= view.row.issued : firstIssued.get(keyText(key))! <= view.row.issued) view.member = key.metric
  }
}

function spo2Metric (frame: Frame, model: ModelKey): string | undefined { return frame.pipeline.channelOfKind(model, 'spo2')?.metric }

function keyText ({ series, metric, windowStart, sizeMs }: RowKey): string { return `${series}/${metric}/${windowStart}/${sizeMs}` }

/** @throws always: a withdrawn revision answers 410 */
export function goneRevision (): never {
  throw new ServiceError('not-found', 'FHIR_GONE', 'this version was withdrawn: the current version says entered-in-error')
}
