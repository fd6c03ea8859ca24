/** The parts of an Observation that all windows of one series and metric share, as JSON text made once. */

import type { Channel } from '../../model/device-model.ts'
import { CANONICAL, identifierSystem, instant } from '../../model/identifier.ts'
import { ServiceError } from '../../model/errors.ts'
import type { PointProvenance } from '../../model/provenance.ts'
import type { ViewKind } from '../../model/window.ts'
import { UCUM } from '../words/code-allow-list.ts'
import { mappedRow, type Mapping, type Mappings } from './mapping.ts'
import type { Coding, Concept } from './mapping-schema.ts'
import type { Naming } from './naming.ts'
import type { Pipeline, Pipelines } from './pipelines.ts'
import { metricSince } from './view-context.ts'
import { IDENTIFIER_KIND, type View } from './view-name.ts'

export interface Frame {
  kind: ViewKind
  naming: Naming
  mapping: Mapping
  pipeline: Pipeline
  channel: Channel | undefined
  /** UCUM code and the text shown for it. */
  unit: string
  unitText: string
  resolution: number
  /** When the DeviceMetric of the metric was there first; Infinity: never. What was issued before is `unmeasured`. */
  metricSince: number
  measured: { profile: string, device: string }
  unmeasured: { profile: string, device: string }
  /** From `"identifier"` to the first part of its value. */
  identifier: string
  /** `category` and `code`. */
  category: string
  /** SampledData before `period`, and between `period` and `data`. */
  sampledHead: string
  sampledTail: string
  /** Provenance texts up to `sourceOffsets`, by what they say. */
  provenance: { said: PointProvenance, text: string }[]
}

export interface FrameTools {
  mappings: Mappings
  pipelines: Pipelines
  /** Name of a device schema id: 1 → `TissueOxygen.v1`. */
  schemaName: (schemaId: number) => string
  /** Frames made so far; they go with the context they were made for. */
  frames: WeakMap<Naming, Map<string, Frame | undefined>>
}

export function createFrameTools (parts: Omit<FrameTools, 'frames'>): FrameTools {
  return { ...parts, frames: new WeakMap() }
}

type NamedView = Pick<View, 'kind' | 'row'>

/** The frame of the view; the same as long as context, mapping and pipeline are the same. `undefined`: the mapping of the row does not
 *  name this kind of Observation, so it is not published. */
export function findFrame (view: NamedView, naming: Naming, tools: FrameTools): Frame | undefined {
  // An emptied row may have no entry: there is nothing left that anything was made from.
  const pinned = view.row.provenance[0]
  const key = `${view.kind} ${view.row.metric} ${pinned?.mappingVersion} ${pinned?.dagDigest}`
  let made = tools.frames.get(naming)
  if (made === undefined) {
    made = new Map()
    tools.frames.set(naming, made)
  }
  let frame = made.get(key)
  if (frame === undefined && !made.has(key)) {
    frame = createFrame(view, naming, tools)
    made.set(key, frame)
  }
  return frame
}

/** @throws ServiceError MAPPING_INVALID for a view that is not published */
export function frameOf (view: View, naming: Naming, tools: FrameTools): Frame {
  const frame = findFrame(view, naming, tools)
  if (frame === undefined) throw new ServiceError('fault', 'MAPPING_INVALID', `no mapping of row ${view.row.metric} has a view ${view.kind}`)
  return frame
}

function pinnedParts ({ row }: NamedView, naming: Naming, tools: FrameTools): Pick<Frame, 'mapping' | 'pipeline' | 'channel'> {
  const pinned = row.provenance[0]
  const pipeline = pinned === undefined ? tools.pipelines.current() : tools.pipelines.pinned(pinned.dagDigest)
  const { row: name, channel } = mappedRow(row.metric, metric => pipeline.channel(naming.context.model, metric))
  const mapping = pinned === undefined ? tools.mappings.current(name) : tools.mappings.pinned(pinned.mappingVersion)
  return { mapping, pipeline, channel }
}

function createFrame (view: NamedView, naming: Naming, tools: FrameTools): Frame | undefined {
  const { row, kind } = view
  const { mapping, pipeline, channel } = pinnedParts(view, naming, tools)
  const unit = mapping.file.unit ?? channel?.unit ?? '1'
  const range = mapping.file.range ?? channel?.technicalRange
  const texts = mapping.file.views[kind]
  if (texts === undefined) return undefined
  const metric = channel?.metric ?? row.metric
  const found = naming.context.metrics.get(metric)
  const profile = `,"profile":${JSON.stringify(texts.profile)}`
  const device = (reference: string) => `,"device":${mapping.file.device === 'reader' ? naming.reader : reference}`
  const limits = range === undefined ? '' : `,"lowerLimit":${range.low},"upperLimit":${range.high}`
  return {
    kind, naming, mapping, pipeline, channel, unit,
    unitText: mapping.unitText(unit),
    resolution: mapping.file.resolution ?? channel?.resolution ?? 0.001,
    metricSince: found === undefined ? Infinity : metricSince(found),
    measured: { profile, device: device(naming.metric(metric)) },
    // The profile of SampledData wants a DeviceMetric; a device may have none for its signal quality.
    unmeasured: { profile: kind === 'sampled' ? '' : profile, device: device(naming.reader) },
    identifier: `,"identifier":[{"system":"${identifierSystem(IDENTIFIER_KIND[kind])}","value":"${naming.context.association}/`,
    category: `,"category":[{"coding":[${codingText(texts.category)}]}],"code":${conceptText(texts.code)}`,
    sampledHead: `,"valueSampledData":{"origin":{"value":0${unitTail(unit, mapping.unitText(unit))},"period":`,
    sampledTail: `,"factor":1${limits},"dimensions":1,"data":"`,
    provenance: []
  }
}

/** Unit part of a Quantity behind its value, closing it. */
export function unitTail (code: string, text: string): string {
  return `,"unit":${JSON.stringify(text)},"system":"${UCUM}","code":"${code}"}`
}

export function codingText (coding: Coding): string {
  const display = coding.display === undefined ? '' : `,"display":${JSON.stringify(coding.display)}`
  return `{"system":"${coding.system}","code":"${coding.code}"${display}}`
}

export function conceptText (concept: Concept): string {
  const text = concept.text === undefined ? '' : `,"text":${JSON.stringify(concept.text)}`
  return `{"coding":[${concept.coding.map(codingText).join(',')}]${text}}`
}

/** Extension `processing-provenance`, one per entry, joined by commas. */
export function provenanceText (frame: Frame, entries: readonly PointProvenance[], tools: FrameTools): string {
  let text = ''
  for (const entry of entries) {
    text += text === '' ? said(frame, entry, tools) : `,${said(frame, entry, tools)}`
    for (const source of entry.sources) {
      text += `,{"url":"sourceOffsets","extension":[{"url":"topic","valueString":"${source.topic}"},{"url":"partition","valueInteger":${source.partition}},` +
        `{"url":"firstOffset","valueString":"${source.firstOffset}"},{"url":"lastOffset","valueString":"${source.lastOffset}"}]}`
    }
    text += ']}'
  }
  return text
}

function said (frame: Frame, entry: PointProvenance, tools: FrameTools): string {
  for (const known of frame.provenance) if (sameMakers(known.said, entry)) return known.text
  const text = makersText(frame, entry, tools)
  // A frame meets few combinations; an endless stream of new ones must not grow it.
  if (frame.provenance.length >= 8) frame.provenance.shift()
  frame.provenance.push({ said: entry, text })
  return text
}

function sameMakers (a: PointProvenance, b: PointProvenance): boolean {
  return a.calibration === b.calibration && a.firmware === b.firmware && a.schemaId === b.schemaId &&
    a.pipelineVersion === b.pipelineVersion && a.dagDigest === b.dagDigest && a.mappingVersion === b.mappingVersion
}

function makersText (frame: Frame, entry: PointProvenance, tools: FrameTools): string {
  const { calibrations, firmware } = frame.naming.context
  const parts: [string, string | undefined][] = [
    ['pipelineVersion', entry.pipelineVersion],
    ['dagDigest', entry.dagDigest],
    ['mappingVersion', entry.mappingVersion],
    ['calibrationVersion', calibrations.get(entry.calibration)],
    ['firmwareVersion', firmware.get(entry.firmware)],
    ['schemaVersion', tools.schemaName(entry.schemaId)]
  ]
  const inner = parts.filter(part => part[1] !== undefined).map(([url, value]) => `{"url":"${url}","valueString":${JSON.stringify(value)}}`)
  return `{"url":"${CANONICAL}/StructureDefinition/processing-provenance","extension":[${inner.join(',')}`
}

/** Extension `window` of a derived value. */
export function windowText (frame: Frame, view: View): string {
  const { row } = view
  const statistics = row.statistics
  const counts = statistics === undefined
    ? ''
    : `,{"url":"sampleCount","valueInteger":${statistics.sampleCount}},{"url":"expectedCount","valueInteger":${statistics.expectedCount}}`
  const digest = view.source === undefined ? '' : `,{"url":"sourceDigest","valueString":"${view.source.digest}"}`
  return `{"url":"${CANONICAL}/StructureDefinition/window","extension":[{"url":"kind","valueCode":"tumbling"},` +
    `{"url":"size","valueDuration":${durationText(row.sizeMs)}},{"url":"allowedLateness","valueDuration":${durationText(frame.pipeline.latenessMs)}},` +
    `{"url":"watermark","valueInstant":"${instant(row.watermark)}"}${counts},{"url":"revision","valueInteger":${row.revision}}${digest}]}`
}

/** Whole hours as `h`, everything else as `s`. */
export function durationText (ms: number): string {
  return ms > 0 && ms % 3_600_000 === 0 ? `{"value":${ms / 3_600_000}${unitTail('h', 'h')}` : `{"value":${ms / 1_000}${unitTail('s', 's')}`
}
