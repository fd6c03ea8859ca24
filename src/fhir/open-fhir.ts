/** Mappings, pinned texts, stores → Observations as the API reads them, and their way to other systems. */

import type { Pool } from 'pg'
import type { Config } from '../config/schema.ts'
import type { DeviceModels } from '../model/device-model.ts'
import type { EpochMs } from '../model/units.ts'
import type { WriteClock } from '../platform/write-clock.ts'
import { recordTexts } from '../stores/series/pinned-texts.ts'
import type { SeriesStore } from '../stores/series/series-store.ts'
import type { DeliveryEvents } from './egress/deliver.ts'
import { createEgress, type Egress, type EgressParts } from './egress/egress.ts'
import { loadMappings, type Mappings } from './views/mapping.ts'
import { createFrameTools } from './views/observation-frame.ts'
import { createObservations, type Observations } from './views/observations.ts'
import { createPipelines, pipelineSettings } from './views/pipelines.ts'
import { recordMappings } from './views/record-mappings.ts'
import type { ViewContexts } from './views/view-contexts.ts'

export interface OpenFhirParts {
  mappingsFolder: string
  models: DeviceModels
  /** Of the pipeline in use. */
  stream: { dagDigest: string, latenessMs: number }
  series: SeriesStore
  seriesPool: Pool
  linkagePool: Pool
  deliveryPool: Pool
  contexts: ViewContexts
  schemaName: (schemaId: number) => string
  destinations: Config['egress.destinations']
  topicWriter: EgressParts['topicWriter']
  events: DeliveryEvents
  now: () => EpochMs
  /** That of the runners. */
  writes: WriteClock
}

export interface Fhir { mappings: Mappings, observations: Observations, egress: Egress }

/** @throws ServiceError MAPPING_INVALID: the start must be refused */
export async function openFhir (parts: OpenFhirParts): Promise<Fhir> {
  const { models, stream, series, seriesPool, linkagePool, deliveryPool, contexts, events, now, writes } = parts
  const mappings = loadMappings(parts.mappingsFolder)
  const pipelines = createPipelines()
  await recordMappings({
    mappings,
    pipelines,
    current: { dagDigest: stream.dagDigest, settings: pipelineSettings(stream.latenessMs, models) },
    record: texts => recordTexts(seriesPool, texts)
  })
  const tools = createFrameTools({ mappings, pipelines, schemaName: parts.schemaName })
  const { ledger } = series
  const observations = createObservations({ seriesPool, ledger, linkagePool, contexts, tools, writes })
  const egress = createEgress(parts.destinations, { ledger, loader: observations.loader, contexts, tools, linkagePool, deliveryPool, topicWriter: parts.topicWriter, events, now })
  return { mappings, observations, egress }
}
