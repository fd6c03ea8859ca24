/** Which windows of a series the watermark closes, and the first revision of each. */

import type { DeviceModel } from '../model/device-model.ts'
import type { EpochMs } from '../model/units.ts'
import { epochMs } from '../model/units.ts'
import type { WindowRevision, WindowStatus } from '../model/window.ts'
import { closeWindow, type Deficits, lookAheadMs, type WindowDraft } from './close-window.ts'
import { lookbackCount } from './plausibility.ts'
import type { OpenSeries, WindowGroup } from './series-state.ts'
import type { Closed } from './sink.ts'
import { windowStartOf } from './window.ts'

export type Revision = WindowRevision & { series: number }

export interface WindowSettings {
  /** Size of the windows of a metric without an entry in `windowSizes`. */
  windowMs: number
  /** By metric. */
  windowSizes: Readonly<Record<string, number>>
  deficits: Deficits
  pipelineVersion: string
  dagDigest: string
  /** `<mapping>@<version>` that a ledger row of this metric pins. */
  mappingVersion: (metric: string, model: DeviceModel) => string
}

type Groups = readonly Omit<WindowGroup, 'closedThrough'>[]

/** One answer for all series of a model: there may be very many. */
const groupsOf = new WeakMap<WindowSettings, Map<DeviceModel, Groups>>()

/** Channels by window size; panel, SpO2, battery and signal quality go with the default size. */
export function windowGroups (model: DeviceModel, settings: WindowSettings): Groups {
  const known = groupsOf.get(settings) ?? new Map<DeviceModel, Groups>()
  groupsOf.set(settings, known)
  const groups = known.get(model) ?? groupChannels(model, settings)
  known.set(model, groups)
  return groups
}

function groupChannels (model: DeviceModel, settings: WindowSettings): Groups {
  const bySize = new Map<number, number[]>([[settings.windowMs, []]])
  for (const [position, { metric }] of model.channels.entries()) {
    const size = settings.windowSizes[metric] ?? settings.windowMs
    bySize.set(size, [...bySize.get(size) ?? [], position])
  }
  return [...bySize].map(([sizeMs, channels]) => ({ sizeMs, channels, withPanel: sizeMs === settings.windowMs }))
}

/** Adds the revisions of every window that ends at or before the watermark, and how far the series is closed now. */
export function closeOpenWindows (series: OpenSeries, watermark: EpochMs, now: EpochMs, settings: WindowSettings, into: { revisions: Revision[], closed: Closed[] }): void {
  for (const group of series.groups) {
    const through = windowStartOf(watermark, group.sizeMs)
    if (!(through > group.closedThrough)) continue
    let position = series.readings.lowerBound(group.closedThrough)
    while (position < series.readings.length && series.readings.takenAt(position) < through) {
      const start = windowStartOf(series.readings.takenAt(position), group.sizeMs)
      for (const draft of draftsOf(series, group, start, settings)) {
        into.revisions.push(revisionOf(series, draft, { revision: 1, status: 'final', watermark, now }, settings))
      }
      position = series.readings.lowerBound(start + group.sizeMs)
    }
    group.closedThrough = through
    into.closed.push({ series: series.series, sizeMs: group.sizeMs, through })
  }
}

function draftsOf (series: OpenSeries, group: WindowGroup, windowStart: EpochMs, settings: WindowSettings): WindowDraft[] {
  const end = windowStart + group.sizeMs
  const from = Math.max(0, series.readings.lowerBound(windowStart) - lookbackCount(series.model))
  const until = series.readings.lowerBound(end + lookAheadMs(series.model, settings.deficits)) + 1
  return closeWindow({
    model: series.model,
    context: series.context,
    sizeMs: group.sizeMs,
    windowStart,
    readings: series.readings.slice(from, until),
    channels: group.channels,
    deficits: settings.deficits,
    withPanel: group.withPanel
  })
}

export interface RevisionFacts { revision: number, status: WindowStatus, watermark: EpochMs, now: EpochMs }

/** A draft with everything that the operators do not know. */
export function revisionOf (series: Pick<OpenSeries, 'sid' | 'series' | 'model'>, draft: WindowDraft, facts: RevisionFacts, settings: WindowSettings): Revision {
  const mappingVersion = settings.mappingVersion(draft.metric, series.model)
  return {
    ...draft,
    sid: series.sid,
    series: series.series,
    revision: facts.revision,
    status: facts.status,
    issued: epochMs(facts.now),
    watermark: facts.watermark,
    provenance: draft.provenance.map(entry => ({ pipelineVersion: settings.pipelineVersion, dagDigest: settings.dagDigest, mappingVersion, ...entry }))
  }
}
