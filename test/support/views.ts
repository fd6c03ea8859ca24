/** Linkage and series stores with devices, patients and windows, and the Observations over them, as the running system has them. */

import { createMappings, loadMappings, mappingVersionOf, type Mappings } from '../../src/fhir/views/mapping.ts'
import { createFrameTools, type FrameTools } from '../../src/fhir/views/observation-frame.ts'
import { createObservations, type Observations } from '../../src/fhir/views/observations.ts'
import { createPipelines, pipelineSettings } from '../../src/fhir/views/pipelines.ts'
import type { ObservationQuery } from '../../src/fhir/views/observation-query.ts'
import type { ResourceStore } from '../../src/fhir/resources/resource-store.ts'
import { createViewContexts, type ViewContexts } from '../../src/fhir/views/view-contexts.ts'
import { modelKey } from '../../src/model/device-model.ts'
import type { Sid } from '../../src/model/reading.ts'
import { READINGS } from '../../src/model/streams.ts'
import { type EpochMs, epochMs } from '../../src/model/units.ts'
import type { WindowForm, WindowRevision } from '../../src/model/window.ts'
import type { WriteClock } from '../../src/platform/write-clock.ts'
import { placesOfAssociations } from '../../src/stores/linkage/sid-lookup.ts'
import { createSeriesStore, type SeriesStore } from '../../src/stores/series/series-store.ts'
import { MAPPINGS } from './example-views.ts'
import { association, create, MODELS, patient, reader, READER, testRepository } from './linkage-fixtures.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'
import { commitOf } from './series.ts'

export const MINUTE = 60_000
export const T0 = epochMs(Date.parse('2026-02-11T08:00:00.000Z'))
export const DAG = 'sha256:0000000000000000000000000000000000000000000000000000000000000000'

export interface Ward {
  series: SeriesStore
  repository: ResourceStore
  contexts: ViewContexts
  observations: Observations
  mappings: Mappings
  tools: FrameTools
  linkage: TestDatabase
  seriesDatabase: TestDatabase
  /** A patient who wears a new device from 2026-02-10 on. Gives the sid. */
  admit (name: string, options?: { start?: string, end?: string, mrn?: string, device?: string }): Promise<Sid>
  /** Commits revisions of one writer in one commit. */
  commit (revisions: readonly WindowRevision[], writer?: number): Promise<void>
  /** That of the repository and the Observations. */
  writes: WriteClock
  drop (): Promise<void>
}

export async function testWard (): Promise<Ward> {
  const [linkage, seriesDatabase] = await Promise.all([testDatabase('linkage'), testDatabase('series')])
  const series = createSeriesStore(seriesDatabase.pool)
  const { repository, writes } = testRepository(linkage.pool)
  const contexts = createViewContexts({ pool: linkage.pool })
  const mappings = createMappings(loadMappings(MAPPINGS).all().map(({ file }) => file))
  const pipelines = createPipelines()
  pipelines.add(DAG, pipelineSettings(30_000, MODELS))
  const tools = createFrameTools({ mappings, pipelines, schemaName: id => `TissueOxygen.v${id}` })
  const observations = createObservations({
    seriesPool: seriesDatabase.pool, ledger: series.ledger, linkagePool: linkage.pool, contexts, tools, writes
  })
  return {
    series, repository, contexts, observations, mappings, tools, linkage, seriesDatabase, writes,
    async admit (name, { start = '2026-02-10T00:00:00.000Z', end, mrn, device = `dev-${name}` } = {}) {
      await create(repository, patient(`pat-${name}`, mrn === undefined ? [] : [{ system: 'urn:oid:2.16.840.1.113883.19.5', value: mrn }]))
      if (device === `dev-${name}`) await create(repository, reader(device, `reader-${name}`))
      await create(repository, association(`assoc-${name}`, device, `pat-${name}`, start, end))
      return (await placesOfAssociations(linkage.pool, [`assoc-${name}`]))[0]!.sid
    },
    async commit (revisions, writer = 0) {
      const sids = [...new Set(revisions.map(({ sid }) => sid))]
      const numbers = await series.series(sids.map(sid => ({ sid, model: modelKey(READER), partition: writer })))
      const closed = revisions.map(({ sid, windowStart, sizeMs }) => ({ series: numbers.get(sid)!, sizeMs, through: epochMs(windowStart + sizeMs) }))
      await series.commit({ ...commitOf({ revisions: revisions.map(row => ({ ...row, series: numbers.get(row.sid)! })), closed }), writer })
    },
    drop: async () => { await Promise.all([linkage.drop(), seriesDatabase.drop()]) }
  }
}

/** A window of one minute of 60 samples; the metric decides its form. */
export function windowOf (mappings: Mappings, sid: Sid, minute: number, wish: Partial<WindowRevision> = {}): WindowRevision {
  const metric = wish.metric ?? 'tissue-po2'
  const windowStart = epochMs(T0 + minute * MINUTE)
  const form = formOf(metric, windowStart)
  return {
    sid, metric, windowStart, sizeMs: MINUTE, from: windowStart, until: epochMs(windowStart + MINUTE),
    revision: 1, status: 'final', issued: epochMs(windowStart + MINUTE + 30_000), watermark: epochMs(windowStart + MINUTE), form, flags: 0,
    provenance: [{
      pipelineVersion: '0.1.0', dagDigest: DAG, mappingVersion: mappingVersionOf(mappings, metric, READER), calibration: 0, firmware: 0, schemaId: 1,
      sources: [{ topic: READINGS, partition: 0, firstOffset: minute, lastOffset: minute }]
    }],
    ...(form.form === 'sampled' ? { statistics: { sampleCount: 60, expectedCount: 60, coverage: 1, minimum: 40, maximum: 41, mean: 40.5, ratePerMinute: 1, residualSd: 0.1 } } : {}),
    ...wish
  }
}

function formOf (metric: string, windowStart: EpochMs): WindowForm {
  const takenAt = epochMs(windowStart + 59_000)
  if (metric === 'panel') return { form: 'last', takenAt, values: [{ metric: 'tissue-po2', value: 40.5 }] }
  if (metric === 'spo2') return { form: 'last', takenAt, values: [{ metric, value: 97.1 }] }
  if (metric === 'battery-voltage') return { form: 'last', takenAt, values: [{ metric, value: 3710 }] }
  return { form: 'sampled', gridStart: windowStart, periodMs: 1000, tokenCount: 60, data: Array.from({ length: 60 }, (_, index) => (40 + index / 100).toFixed(1)).join(' ') }
}

/** Everything of what the caller may see, oldest first. */
export function queryOf (wish: Partial<ObservationQuery> = {}): ObservationQuery {
  return {
    codes: [], categories: [], identifiers: [], dates: [], lastUpdated: [], derivedFrom: [],
    sort: [{ by: 'date', descending: false }], count: 100, total: 'none', asOf: epochMs(T0 + 365 * 86_400_000), ...wish
  }
}
