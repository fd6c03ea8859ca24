/** The readings in and around one window of one sid -> the content of its ledger rows: samples, statistics, deficit, last values, provenance.
 *  Pure: the same set of readings gives the same drafts, however much more of the series is handed in. */

import type { Channel, DeviceModel } from '../model/device-model.ts'
import type { SidContext } from '../model/identity.ts'
import { EXCLUDING_FLAGS, FLAG, type StoredReading } from '../model/reading.ts'
import type { EpochMs } from '../model/units.ts'
import type { LastForm, WindowForm, WindowRevision } from '../model/window.ts'
import { type ChannelSamples, channelSamples } from './channel-samples.ts'
import { formatNumber, numberFormat, roundHalfEven } from './format-number.ts'
import { type DeficitSetting, oxygenDeficit } from './oxygen-deficit.ts'
import { channelLookback, lookbackCount } from './plausibility.ts'
import { type PointSources, pointSources } from './point-provenance.ts'
import { encodeSamples, fitSampleGrid, type SampleGrid } from './sample-grid.ts'
import { clipWindow, expectedCount, type Span } from './window.ts'
import { windowStatistics } from './window-statistics.ts'

/** A ledger row without what its history and the run give it. */
export interface WindowDraft extends Omit<WindowRevision, 'sid' | 'revision' | 'status' | 'issued' | 'watermark' | 'provenance'> {
  /** At least one, unless the window holds no reading. */
  provenance: readonly PointSources[]
}

export interface CloseWindowInput {
  model: DeviceModel
  context: Pick<SidContext, 'validFrom' | 'validUntil' | 'calibrations'>
  sizeMs: number
  windowStart: EpochMs
  /** Of the sid, ascending in (takenAt, sequence), each once: those of the window, `lookbackCount` before it, `lookAheadMs` after it; more do no harm. */
  readings: readonly StoredReading[]
  /** Positions of the channels that have windows of this size. */
  channels: readonly number[]
  /** By metric; a metric without an entry has no deficit. */
  deficits: Deficits
  /** Whether `signal-quality-index`, `panel`, `spo2` and `battery-voltage` have windows of this size. */
  withPanel: boolean
  /** Metrics that this window's ledger rows already have: one without any value left is given with an empty form. */
  existing?: ReadonlySet<string>
}

/** By metric. */
export type Deficits = Readonly<Record<string, DeficitSetting>>

/** The readings as this window sees them. */
interface Scene {
  input: CloseWindowInput
  span: Span
  /** Look-back, window, look-ahead. */
  readings: readonly StoredReading[]
  /** Readings of the window: `readings[first]` up to before `readings[end]`. */
  first: number
  end: number
  /** Grid of a window in which every reading has a value, by nominal period: the channels of a device mostly share it. */
  fullGrids: Map<number, SampleGrid | undefined>
}

const PERCENT = numberFormat(1)

/** How far behind a window's end a reading can still close the last segment of a deficit. */
export function lookAheadMs (model: DeviceModel, deficits: Deficits): number {
  return Math.max(0, ...model.channels.map((channel) => maxGapOf(channel, deficitOf(channel, deficits)) ?? 0))
}

/** In model order: a draft per channel with at least one value, then signal quality, panel, SpO2, battery. `[]` outside the association. */
export function closeWindow (input: CloseWindowInput): WindowDraft[] {
  const scene = sceneOf(input)
  if (scene === undefined) return []
  const drafts: WindowDraft[] = []
  const byChannel: ChannelSamples[] = []
  for (const [position, channel] of input.model.channels.entries()) {
    const isHandled = input.channels.includes(position)
    if (!isHandled && !input.withPanel) continue
    const samples = channelSamples(scene.readings, scene.first - channelLookback(channel), { channel, position }, input.context.calibrations)
    byChannel.push(samples)
    const draft = isHandled ? channelDraft(scene, samples) : undefined
    if (draft !== undefined) drafts.push(draft)
  }
  if (input.withPanel) addDeviceDrafts(drafts, scene, byChannel)
  if (input.existing !== undefined) addEmptied(drafts, scene, input.existing)
  return drafts
}

function sceneOf (input: CloseWindowInput): Scene | undefined {
  const span = clipWindow(input.windowStart, input.sizeMs, input.context)
  if (span === undefined) return undefined
  const first = lowerBound(input.readings, span.from)
  const start = Math.max(0, first - lookbackCount(input.model))
  const end = lowerBound(input.readings, span.until)
  const stop = lowerBound(input.readings, span.until + lookAheadMs(input.model, input.deficits))
  return { input, span, readings: input.readings.slice(start, stop), first: first - start, end: end - start, fullGrids: new Map() }
}

/** Position of the first reading at or after a time. */
function lowerBound (readings: readonly StoredReading[], takenAt: number): number {
  let low = 0
  let high = readings.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (readings[middle]!.takenAt < takenAt) low = middle + 1
    else high = middle
  }
  return low
}

/** A relative index has no absolute threshold (§5.1), whatever is configured. */
function deficitOf ({ metric, kind }: Channel, deficits: Deficits): DeficitSetting | undefined {
  return kind === 'tissue-o2-relative-index' ? undefined : deficits[metric]
}

function maxGapOf (channel: Channel, deficit: DeficitSetting | undefined): number | undefined {
  return deficit && (deficit.maxGapMs ?? 3 * channel.periodMs)
}

/** Name under which the samples of a channel stand in the ledger: the bare name of an SpO2 channel belongs to its last value. */
export function samplesMetric ({ metric, kind }: { metric: string, kind: string }): string {
  return kind === 'spo2' ? `${metric}-samples` : metric
}

function channelDraft (scene: Scene, samples: ChannelSamples): WindowDraft | undefined {
  const { channel, values, flags, calibrations } = samples
  const indexes: number[] = []
  const usableTimes: number[] = []
  const usableValues: number[] = []
  for (let index = scene.first; index < scene.end; index++) {
    const value = values[index]!
    if (Number.isNaN(value)) continue
    indexes.push(index)
    if ((flags[index]! & EXCLUDING_FLAGS) !== 0) continue
    usableTimes.push(scene.readings[index]!.takenAt)
    usableValues.push(value)
  }
  if (indexes.length === 0) return undefined
  const format = numberFormat(channel.resolution)
  const draft = newDraft(scene, samplesMetric(channel), { indexes, flags, calibrations }, sampleForm(scene, indexes, channel.periodMs, {
    text: (index) => formatNumber(values[index]!, format),
    rounded: (index) => roundHalfEven(values[index]!, format)
  }))
  draft.statistics = windowStatistics(usableTimes, usableValues, expectedCount(scene.span, channel.periodMs))
  const deficit = deficitOf(channel, scene.input.deficits)
  if (deficit !== undefined) {
    addOutside(scene, samples, { times: usableTimes, values: usableValues })
    draft.deficit = oxygenDeficit(usableTimes, usableValues, scene.span, { threshold: deficit.threshold, maxGapMs: maxGapOf(channel, deficit)! })
  }
  return draft
}

/** Adds the last usable sample before the window and the first at or after its end. */
function addOutside (scene: Scene, { values, flags }: ChannelSamples, usable: { times: number[], values: number[] }): void {
  const isUsable = (index: number) => !Number.isNaN(values[index]!) && (flags[index]! & EXCLUDING_FLAGS) === 0
  let before = scene.first - 1
  while (before >= 0 && !isUsable(before)) before--
  if (before >= 0) {
    usable.times.unshift(scene.readings[before]!.takenAt)
    usable.values.unshift(values[before]!)
  }
  let after = scene.end
  while (after < scene.readings.length && !isUsable(after)) after++
  if (after < scene.readings.length) {
    usable.times.push(scene.readings[after]!.takenAt)
    usable.values.push(values[after]!)
  }
}

function addDeviceDrafts (drafts: WindowDraft[], scene: Scene, byChannel: readonly ChannelSamples[]): void {
  const { readings, first, end } = scene
  const withQuality: number[] = []
  let panel = -1
  let spo2 = -1
  let battery = -1
  const spo2Samples = byChannel.find(({ channel }) => channel.kind === 'spo2')
  for (let index = first; index < end; index++) {
    if (readings[index]!.quality !== undefined) withQuality.push(index)
    if (readings[index]!.battery !== undefined) battery = index
    if (byChannel.some((samples) => samples !== spo2Samples && !Number.isNaN(samples.values[index]!))) panel = index
    if (spo2Samples !== undefined && !Number.isNaN(spo2Samples.values[index]!)) spo2 = index
  }
  if (withQuality.length > 0) drafts.push(qualityDraft(scene, withQuality))
  if (panel >= 0) drafts.push(panelDraft(scene, panel, byChannel.filter((samples) => samples !== spo2Samples)))
  if (spo2 >= 0) {
    const { channel, values, flags, calibrations } = spo2Samples!
    const value = roundHalfEven(values[spo2]!, numberFormat(channel.resolution))
    drafts.push(newDraft(scene, channel.metric, { indexes: [spo2], flags, calibrations }, lastForm(scene, spo2, [{ metric: channel.metric, value }])))
  }
  if (battery >= 0) {
    const value = readings[battery]!.battery!
    drafts.push(newDraft(scene, 'battery-voltage', { indexes: [battery] }, lastForm(scene, battery, [{ metric: 'battery-voltage', value }])))
  }
}

function qualityDraft (scene: Scene, indexes: number[]): WindowDraft {
  const periodMs = Math.min(...scene.input.model.channels.map((channel) => channel.periodMs))
  return newDraft(scene, 'signal-quality-index', { indexes }, sampleForm(scene, indexes, periodMs, {
    text: (index) => formatNumber(scene.readings[index]!.quality!, PERCENT),
    rounded: (index) => roundHalfEven(scene.readings[index]!.quality!, PERCENT)
  }))
}

/** Last accepted sample of tissue oxygen: channels of one reading, so that values of different times never stand as one finding. */
function panelDraft (scene: Scene, index: number, tissue: readonly ChannelSamples[]): WindowDraft {
  const shown = tissue.filter(({ values }) => !Number.isNaN(values[index]!))
  const values = shown.map(({ channel, values }) => ({ metric: channel.metric, value: roundHalfEven(values[index]!, numberFormat(channel.resolution)) }))
  const quality = scene.readings[index]!.quality
  if (quality !== undefined) values.push({ metric: 'signal-quality-index', value: roundHalfEven(quality, PERCENT) })
  const draft = newDraft(scene, 'panel', { indexes: [index] }, lastForm(scene, index, values))
  draft.flags = shown.reduce((union, { flags }) => union | flags[index]!, draft.flags)
  const distinct = new Set(shown.map(({ calibrations }) => calibrations[index]!))
  draft.provenance = [...distinct].map((calibration) => ({ ...draft.provenance[0]!, calibration }))
  return draft
}

function lastForm (scene: Scene, index: number, values: LastForm['values']): LastForm {
  return { form: 'last', takenAt: scene.readings[index]!.takenAt, values }
}

function sampleForm (
  scene: Scene, indexes: readonly number[], periodMs: number, value: { text: (index: number) => string, rounded: (index: number) => number }
): WindowForm {
  const grid = gridOf(scene, indexes, periodMs)
  if (grid !== undefined) return encodeSamples(grid, indexes.map(value.text))
  return {
    form: 'singles',
    samples: indexes.map((index) => {
      const { takenAt, sequence } = scene.readings[index]!
      return { takenAt, sequence, value: value.rounded(index) }
    })
  }
}

function gridOf (scene: Scene, indexes: readonly number[], periodMs: number): SampleGrid | undefined {
  const isFull = indexes.length === scene.end - scene.first
  if (isFull && scene.fullGrids.has(periodMs)) return scene.fullGrids.get(periodMs)
  const grid = fitSampleGrid(indexes.map((index) => scene.readings[index]!.takenAt), scene.span, periodMs)
  if (isFull) scene.fullGrids.set(periodMs, grid)
  return grid
}

function newDraft (
  { input, span, readings }: Scene, metric: string,
  used: { indexes: readonly number[], flags?: Int32Array, calibrations?: Int32Array }, form: WindowForm
): WindowDraft & { provenance: PointSources[] } {
  let flags = 0
  let qualitySum = 0
  let qualityCount = 0
  for (const index of used.indexes) {
    const reading = readings[index]!
    flags |= used.flags === undefined ? reading.flags & (FLAG['quality-unknown'] | FLAG['firmware-unknown']) : used.flags[index]!
    if (reading.quality === undefined) continue
    qualitySum += reading.quality
    qualityCount++
  }
  return {
    metric,
    windowStart: input.windowStart,
    sizeMs: input.sizeMs,
    from: span.from,
    until: span.until,
    form,
    flags,
    ...(qualityCount > 0 && { quality: qualitySum / qualityCount }),
    provenance: pointSources(readings, used.indexes, used.calibrations)
  }
}

function addEmptied (drafts: WindowDraft[], scene: Scene, existing: ReadonlySet<string>): void {
  const indexes = Array.from({ length: scene.end - scene.first }, (_, index) => scene.first + index)
  for (const metric of [...existing].sort()) {
    if (drafts.some((draft) => draft.metric === metric)) continue
    const draft = newDraft(scene, metric, { indexes }, { form: 'empty' })
    drafts.push({ ...draft, flags: 0 })
  }
}
