/** The input behind the design's FHIR examples 04-12 and 19: one device, one patient, one window of 30 s, one hour's deficit. */

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { DeviceModel } from '../../src/model/device-model.ts'
import type { PointProvenance } from '../../src/model/provenance.ts'
import type { Sid } from '../../src/model/reading.ts'
import { type EpochMs, epochMs } from '../../src/model/units.ts'
import type { WindowRevision } from '../../src/model/window.ts'
import { createFrameTools, type FrameTools } from '../../src/fhir/views/observation-frame.ts'
import { createMappings, loadMappings } from '../../src/fhir/views/mapping.ts'
import { createPipelines } from '../../src/fhir/views/pipelines.ts'
import type { ViewContext } from '../../src/fhir/views/view-context.ts'

const EXAMPLES = new URL('../../../shared/design/fhir-examples/', import.meta.url)

/** The examples are design input and no part of this repository. */
export const EXAMPLES_MISSING = existsSync(EXAMPLES) ? undefined : `${fileURLToPath(EXAMPLES)} is not there`

export function example (name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(new URL(`${name}.json`, EXAMPLES), 'utf8')) as Record<string, unknown>
}

export const MAPPINGS = fileURLToPath(new URL('../../mappings/', import.meta.url))
export const SID = 's100041061050r3gg28a1c60t3gf6' as Sid
export const DIGEST = 'sha256:54c0b4f666573b5994f73dda2cdd8319a0386216a9dfaf751467feab28607646'

export const MODEL: DeviceModel = {
  manufacturer: 'Example Sensors Inc.',
  modelNumber: 'TO2-READER-2',
  display: 'Tissue oxygen reader',
  channels: [
    { metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', periodMs: 1000, technicalRange: { low: 0, high: 160 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'none' },
    { metric: 'spo2', kind: 'spo2', unit: '%', periodMs: 1000, technicalRange: { low: 0, high: 100 }, resolution: 0.1, zeroMeans: 'zero', calibration: 'none' }
  ],
  batteryRange: { low: 0, high: 6000 }
}

export function at (text: string): EpochMs { return epochMs(Date.parse(text)) }

export const CONTEXT: ViewContext = {
  sid: SID,
  model: 'Example Sensors Inc./TO2-READER-2',
  association: 'assoc-000042-3',
  patient: 'p-7f3a',
  device: 'dev-000042',
  deviceIdentifier: 'device-42',
  deviceVersions: [
    { versionId: 3, recordedAt: at('2026-01-01T00:00:00Z'), firmware: '1.2.2' },
    { versionId: 4, recordedAt: at('2026-02-01T00:00:00Z'), firmware: '1.2.3' }
  ],
  metrics: new Map([
    ['tissue-po2', { id: 'dm-000042-tpo2', identifier: 'device-42/tissue-po2', versions: [{ versionId: 7, recordedAt: at('2026-02-10T17:00:00Z'), alarmLow: 25, calibration: 'cal-000042-7' }] }],
    ['spo2', { id: 'dm-000042-spo2', identifier: 'device-42/spo2', versions: [{ versionId: 1, recordedAt: at('2026-02-01T00:00:00Z') }] }]
  ]),
  calibrations: new Map([[7, 'cal-000042-7']]),
  firmware: new Map([[1, '1.2.3']]),
  demoMarks: []
}

/** Mappings of the folder, and their texts under the version that the examples pin. */
export function exampleTools (row: string): FrameTools {
  const file = loadMappings(MAPPINGS).current(row).file
  const pipelines = createPipelines()
  pipelines.add(DIGEST, { latenessMs: 10_000, models: [MODEL] })
  return createFrameTools({
    mappings: createMappings([{ ...file, name: 'tissue-oxygen', version: 3 }]),
    pipelines,
    schemaName: id => `TissueOxygen.v${id}`
  })
}

export function provenance (lastOffset = 184_496): PointProvenance {
  return {
    pipelineVersion: '1.4.2', dagDigest: DIGEST, mappingVersion: 'tissue-oxygen@3', calibration: 7, firmware: 1, schemaId: 1,
    sources: [{ topic: 'tissue-oxygen-telemetry', partition: 3, firstOffset: 184_467, lastOffset }]
  }
}

const START = at('2026-02-11T08:30:00Z')
const window = {
  sid: SID, windowStart: START, sizeMs: 30_000, from: START, until: epochMs(START + 30_000), revision: 1, status: 'final' as const,
  issued: at('2026-02-11T08:30:41.050Z'), watermark: at('2026-02-11T08:30:31Z'), flags: 0, provenance: [provenance()]
}

export const TOKENS = '41.2 41.1 41.3 E 40.9 40.7 40.8 40.6 40.5 40.3 40.2 40.2 40.0 39.9 39.7 39.8 39.6 39.5 39.4 39.2 39.1 39.0 38.8 38.9 38.7 38.6 38.5 38.4 38.2 38.1'.split(' ')

/** Rows of examples 04 (with 08 and 09), 05, 06, 07 and 10. */
export const ROWS = {
  sampled: {
    ...window,
    metric: 'tissue-po2',
    form: { form: 'sampled', gridStart: START, periodMs: 1000, tokenCount: TOKENS.length, data: TOKENS.join(' ') },
    statistics: { sampleCount: 29, expectedCount: 30, coverage: 29 / 30, minimum: 38.1, maximum: 41.3, mean: 39.6965, ratePerMinute: -6.6034, residualSd: 0.0812 }
  },
  panel: { ...window, metric: 'panel', form: { form: 'last', takenAt: epochMs(START + 29_000), values: [{ metric: 'tissue-po2', value: 38.1 }, { metric: 'signal-quality-index', value: 80 }] } },
  spo2: { ...window, metric: 'spo2', form: { form: 'last', takenAt: epochMs(START + 29_000), values: [{ metric: 'spo2', value: 97.1 }] } },
  battery: { ...window, metric: 'battery-voltage', form: { form: 'last', takenAt: epochMs(START + 29_000), values: [{ metric: 'battery-voltage', value: 3710 }] } },
  hour: {
    ...window,
    metric: 'tissue-po2',
    windowStart: at('2026-02-11T09:00:00Z'),
    sizeMs: 3_600_000,
    from: at('2026-02-11T09:00:00Z'),
    until: at('2026-02-11T10:00:00Z'),
    issued: at('2026-02-11T10:00:11.040Z'),
    watermark: at('2026-02-11T10:00:01Z'),
    provenance: [provenance(188_048)],
    form: { form: 'empty' },
    statistics: { sampleCount: 3582, expectedCount: 3600, coverage: 3582 / 3600 },
    deficit: { threshold: 25, maxGapMs: 3000, coverage: 3581 / 3600, meanDepth: 0.55711, dose: 33.25, index: 0.022284, timeFraction: 0.15917, nadir: 18 }
  }
} satisfies Record<string, WindowRevision>
