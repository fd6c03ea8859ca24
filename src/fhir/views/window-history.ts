/** The revisions of one window of one metric -> the versions of every Observation it shows or showed. */

import { viewsOf, viewsOfKinds } from '../../model/view-ids.ts'
import type { ViewKind, WindowRevision } from '../../model/window.ts'
import { endedView, shownView, type View } from './view-name.ts'

/** What a revision wrote: its own views, then those of the revision before that end with it. @param before absent for the first */
export function viewsWritten (row: WindowRevision, before: WindowRevision | undefined): View[] {
  if (row.status === 'entered-in-error') return viewsOf(before ?? row).map(view => endedView(view, row))
  const live = viewsOf(row)
  const views = live.map(view => shownView(view, row))
  if (before === undefined || before.status === 'entered-in-error') return views
  const ids = new Set(live.map(view => view.id))
  for (const old of viewsOf(before)) if (!ids.has(old.id)) views.push(endedView(old, row))
  return views
}

/** The current version of every Observation of the window. @param history all revisions, ascending
 *  @param isWanted kinds that are looked for; where nothing ended, no others are made */
export function currentViews (history: readonly WindowRevision[], isWanted: (kind: ViewKind) => boolean = () => true): View[] {
  const [only] = history
  if (history.length === 1 && only!.status !== 'entered-in-error') return viewsOfKinds(only!, isWanted).map(view => shownView(view, only!))
  const current = new Map<string, View>()
  for (const [index, row] of history.entries()) {
    for (const view of viewsWritten(row, history[index - 1])) current.set(view.id, view)
  }
  return [...current.values()]
}

/** Every version of one Observation, ascending; its `row.revision` is the versionId. @param history all revisions, ascending */
export function versionsOfView (history: readonly WindowRevision[], id: string): View[] {
  return history.flatMap((row, index) => viewsWritten(row, history[index - 1]).filter(view => view.id === id))
}

export function isEnded (view: View): boolean { return view.isWithdrawn === true || view.row.status === 'entered-in-error' }
