/** A mapping -> its golden example: one Observation of each of its views, from one fixed window of a model with every kind of channel. */

import type { FrameTools } from '../../src/fhir/views/observation-frame.ts'
import { createFrameTools } from '../../src/fhir/views/observation-frame.ts'
import { createMappings } from '../../src/fhir/views/mapping.ts'
import type { MappingFile } from '../../src/fhir/views/mapping-schema.ts'
import { serverNaming } from '../../src/fhir/views/naming.ts'
import { renderObservation } from '../../src/fhir/views/observation-view.ts'
import { createPipelines } from '../../src/fhir/views/pipelines.ts'
import type { ViewContext } from '../../src/fhir/views/view-context.ts'
import { shownView, type View } from '../../src/fhir/views/view-name.ts'
import type { Channel, DeviceModel } from '../../src/model/device-model.ts'
import { READINGS } from '../../src/model/streams.ts'
import { epochMs } from '../../src/model/units.ts'
import { viewsOf } from '../../src/model/view-ids.ts'
import type { WindowForm, WindowRevision } from '../../src/model/window.ts'
import { at, CONTEXT, DIGEST, SID } from './example-views.ts'

const START = at('2026-02-11T08:30:00Z')
const UNITS: [kind: Channel['kind'], unit: string, high: number][] = [
  ['tissue-po2', 'mm[Hg]', 160], ['tissue-o2-concentration', 'umol/L', 250], ['tissue-o2-relative-index', '1', 10], ['tissue-sto2', '%', 100],
  ['total-haemoglobin', 'g/dL', 25], ['o2hb-relative', '1', 100], ['hhb-relative', '1', 100], ['spo2', '%', 100]
]

const MODEL: DeviceModel = {
  manufacturer: 'Example Sensors Inc.',
  modelNumber: 'EIGHT-CHANNELS',
  display: 'Sensor with a channel of every kind',
  channels: UNITS.map(([kind, unit, high]) => ({
    metric: kind, kind, unit, periodMs: 1000, technicalRange: { low: 0, high }, resolution: 0.1, zeroMeans: 'zero', calibration: 'none'
  })),
  batteryRange: { low: 0, high: 6000 }
}

const WEARER: ViewContext = {
  ...CONTEXT,
  model: 'Example Sensors Inc./EIGHT-CHANNELS',
  metrics: new Map([...UNITS.map(([kind]) => kind as string), 'signal-quality-index'].map(metric => [metric, { id: `dm-000042-${metric}`, identifier: `device-42/${metric}`, versions: [{ versionId: 1, recordedAt: at('2026-01-01T00:00:00Z') }] }]))
}

/** A Bundle of type collection (fhir-modelling.md §8: golden files). */
export function goldenExample (file: MappingFile): unknown {
  const views = Object.keys(file.views).sort()
  const rendered = rowsFor(file).flatMap(row => viewsOf(row).map(view => shownView(view, row)))
    .filter((view, place, all) => views.includes(view.kind) && all.findIndex(other => other.kind === view.kind) === place)
    .map(view => ({ fullUrl: `urn:uuid:${view.id}`, resource: JSON.parse(renderObservation(withMember(view), serverNaming(WEARER), tools(file))) as unknown }))
  return { resourceType: 'Bundle', type: 'collection', entry: rendered }
}

function withMember (view: View): View { return view.kind === 'panel' ? { ...view, member: 'spo2' } : view }

function tools (file: MappingFile): FrameTools {
  const pipelines = createPipelines()
  pipelines.add(DIGEST, { latenessMs: 30_000, models: [MODEL] })
  return createFrameTools({ mappings: createMappings([file]), pipelines, schemaName: id => `TissueOxygen.v${id}` })
}

/** A window on a grid, and one served reading by reading, where the mapping has both. */
function rowsFor (file: MappingFile): WindowRevision[] {
  return formsOf(file.row).map(form => ({
    sid: SID, metric: file.row, windowStart: START, sizeMs: 60_000, from: START, until: epochMs(START + 60_000), revision: 1, status: 'final',
    issued: at('2026-02-11T08:31:31.050Z'), watermark: at('2026-02-11T08:31:00Z'), form, flags: 0,
    ...(file.views.mean === undefined ? {} : { statistics: { sampleCount: 59, expectedCount: 60, coverage: 59 / 60, minimum: 5, maximum: 7, mean: 6.04, ratePerMinute: -0.55, residualSd: 0.08 } }),
    ...(file.views.deficit === undefined ? {} : { deficit: { threshold: 8, maxGapMs: 3000, coverage: 58 / 60, meanDepth: 1.96, dose: 1.89, index: 0.245, timeFraction: 1, nadir: 5 } }),
    provenance: [{ pipelineVersion: '0.1.0', dagDigest: DIGEST, mappingVersion: `${file.name}@${file.version}`, calibration: 7, firmware: 1, schemaId: 2, sources: [{ topic: READINGS, partition: 3, firstOffset: 184_467, lastOffset: 184_526 }] }]
  }))
}

function formsOf (row: string): WindowForm[] {
  const takenAt = epochMs(START + 59_000)
  if (row === 'panel') return [{ form: 'last', takenAt, values: [...UNITS.slice(0, 7).map(([metric]) => ({ metric, value: 6.1 })), { metric: 'signal-quality-index', value: 80 }] }]
  if (row === 'spo2') return [{ form: 'last', takenAt, values: [{ metric: row, value: 97.1 }] }]
  if (row === 'battery-voltage') return [{ form: 'last', takenAt, values: [{ metric: row, value: 3710 }] }]
  const tokens = Array.from({ length: 60 }, (_, slot) => slot === 3 ? 'E' : (7 - slot / 30).toFixed(row === 'signal-quality-index' ? 0 : 1))
  return [
    { form: 'sampled', gridStart: START, periodMs: 1000, tokenCount: 60, data: tokens.join(' ') },
    { form: 'singles', samples: [{ takenAt, sequence: 0, value: 6.1 }] }
  ]
}
