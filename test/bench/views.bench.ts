/** P12: Observations as the API builds them from ledger rows, against the same Observation built as a plain object tree. */

import { fileURLToPath } from 'node:url'
import { loadDeviceModels } from '../../src/config/device-models.ts'
import { createMappings, loadMappings, mappingVersionOf } from '../../src/fhir/views/mapping.ts'
import { type Naming, serverNaming } from '../../src/fhir/views/naming.ts'
import { createFrameTools, type FrameTools } from '../../src/fhir/views/observation-frame.ts'
import { renderObservation } from '../../src/fhir/views/observation-view.ts'
import { createPipelines, pipelineSettings } from '../../src/fhir/views/pipelines.ts'
import { shownView } from '../../src/fhir/views/view-name.ts'
import type { DeviceModel, DeviceModels } from '../../src/model/device-model.ts'
import { epochMs } from '../../src/model/units.ts'
import { viewsOfKinds } from '../../src/model/view-ids.ts'
import type { WindowRevision } from '../../src/model/window.ts'
import { sidOf } from '../support/series.ts'
import type { BenchContext, Outcomes } from './bench-context.ts'
import { WrongResult } from './counts.ts'
import { plainObservation } from './limits/plain-observation.ts'
import { judgeRound, mean, median, medianRatio } from './reduce.ts'
import { load1 } from './stand.ts'

export const VIEW_BARS = ['P12'] as const
const MODEL = 'Example Sensors Inc./TO2-READER-2'
const DIGEST = `sha256:${'0'.repeat(64)}`
const ASSOCIATIONS = 1_000
const ROWS = 20_000
const SAMPLES = 60
/** A reading has four mapped numbers: tissue oxygen, SpO2, signal quality, battery. */
const CHANNELS_PER_READING = 4
/** Nothing but this process is measured: half a stretch is enough. */
const STRETCH_MAX_S = 3

export async function benchViews ({ options: { seconds, rounds, roundsMin }, say }: BenchContext): Promise<Outcomes> {
  const build = await createBuild()
  const stretch = Math.min(seconds.stretch / 2, STRETCH_MAX_S)
  const limit = () => perSecond(plainObservation, stretch)
  const ours = () => perSecond(build, stretch)
  limit()
  ours()
  const judged = Array.from({ length: rounds }, (_, index) => {
    const round = judgeRound({ limitBefore: limit(), ours: [ours(), ours()], limitAfter: limit(), load1: load1() })
    say(`views round ${index + 1}: plain ${Math.round(round.limitBefore)}, ours ${round.ours.map(Math.round).join(' ')}, plain ${Math.round(round.limitAfter)}: ${round.ratio.toFixed(3)}`)
    return round
  })
  const rate = median(judged.map(round => mean(round.ours)))
  const ratio = medianRatio(judged, roundsMin)
  const samples = rate * SAMPLES
  return {
    P12: {
      ours: rate,
      against: { kind: 'limit', name: 'build+stringify', value: median(judged.map(({ limitBefore, limitAfter }) => (limitBefore + limitAfter) / 2)) },
      ...(ratio === undefined ? { rejected: true } : { ratio }),
      note: `${Math.round(samples).toLocaleString('en-US')} samples/s, ${Math.round(samples / CHANNELS_PER_READING).toLocaleString('en-US')} readings/s`,
      rounds: judged,
      conditions: { associations: ASSOCIATIONS, samplesPerObservation: SAMPLES, channelsPerReading: CHANNELS_PER_READING, bytes: build(0).length, bytesOfPlain: plainObservation(0).length }
    }
  }
}

/** n → the text of the n-th Observation, from a ledger row as the store gives it. */
async function createBuild (): Promise<(n: number) => string> {
  const models = await loadDeviceModels(fileURLToPath(new URL('../../mappings/models', import.meta.url)))
  const { tools, mappingVersion } = toolsOf(models)
  const rows = Array.from({ length: ROWS }, (_, n) => rowOf(n, mappingVersion))
  const namings = Array.from({ length: ASSOCIATIONS }, (_, n) => namingOf(n))
  const build = (n: number): string => {
    const row = rows[n % ROWS]!
    const [view] = viewsOfKinds(row, kind => kind === 'sampled')
    return renderObservation(shownView(view!, row), namings[n % ASSOCIATIONS]!, tools)
  }
  const [built, row] = [JSON.parse(build(7)) as { valueSampledData?: { data: string } }, rows[7]!]
  if (row.form.form !== 'sampled' || built.valueSampledData?.data !== row.form.data) throw new WrongResult('an Observation does not hold the samples of its window')
  return build
}

function toolsOf (models: DeviceModels): { tools: FrameTools, mappingVersion: string } {
  const mappings = createMappings(loadMappings(fileURLToPath(new URL('../../mappings/', import.meta.url))).all().map(({ file }) => file))
  const pipelines = createPipelines()
  pipelines.add(DIGEST, pipelineSettings(30_000, models))
  return {
    tools: createFrameTools({ mappings, pipelines, schemaName: id => `TissueOxygen.v${id}` }),
    mappingVersion: mappingVersionOf(mappings, 'tissue-po2', models.get(MODEL) as DeviceModel)
  }
}

function rowOf (n: number, mappingVersion: string): WindowRevision {
  const windowStart = epochMs(Date.UTC(2026, 0, 1) + Math.floor(n / ASSOCIATIONS) * 60_000)
  const data = Array.from({ length: SAMPLES }, (_, i) => ((300 + (n * 37 + i * 13) % 200) / 10).toFixed(1)).join(' ')
  return {
    sid: sidOf(n % ASSOCIATIONS), metric: 'tissue-po2', windowStart, sizeMs: 60_000, from: windowStart, until: epochMs(windowStart + 60_000), revision: 1, status: 'final',
    issued: epochMs(windowStart + 95_000), watermark: epochMs(windowStart + 61_000), form: { form: 'sampled', gridStart: windowStart, periodMs: 1_000, tokenCount: SAMPLES, data },
    statistics: { sampleCount: SAMPLES, expectedCount: SAMPLES, coverage: 1, minimum: 30, maximum: 50, mean: 40, ratePerMinute: 0.1, residualSd: 0.2 }, flags: 0, quality: 92,
    provenance: [{
      pipelineVersion: '0.1.0', dagDigest: DIGEST, mappingVersion, calibration: 0, firmware: 1, schemaId: 1,
      sources: [{ topic: 'oxbow.readings.v1', partition: n % 8, firstOffset: n * 6, lastOffset: n * 6 + 6 }]
    }]
  }
}

function namingOf (n: number): Naming {
  const recordedAt = epochMs(Date.UTC(2026, 0, 1))
  return serverNaming({
    sid: sidOf(n), model: MODEL, association: `association-${n}`, patient: `patient-${n}`, device: `device-${n}`, deviceIdentifier: `bench-${n}`,
    deviceVersions: [{ versionId: 1, recordedAt, firmware: '2.4.1' }],
    metrics: new Map([['tissue-po2', { id: `metric-${n}`, identifier: `bench-${n}/tissue-po2`, versions: [{ versionId: 1, recordedAt }] }]]),
    calibrations: new Map(), firmware: new Map([[1, '2.4.1']]), demoMarks: []
  })
}

const CHECK_EVERY = 256

function perSecond (build: (n: number) => string, seconds: number): number {
  const startedAt = performance.now()
  let n = 0
  let bytes = 0
  while (performance.now() - startedAt < seconds * 1_000) for (const until = n + CHECK_EVERY; n < until; n++) bytes += build(n).length
  if (bytes === 0) throw new WrongResult('nothing was built')
  return n * 1_000 / (performance.now() - startedAt)
}
