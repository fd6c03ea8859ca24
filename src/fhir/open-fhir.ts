/** Mappings and pinned texts; with the stores → Observations as the API reads them, and their way to other systems. */

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
import { createPipelines, type Pipelines, pipelineSettings } from './views/pipelines.ts'
import { recordMappings } from './views/record-mappings.ts'
import type { ViewContexts } from './views/view-contexts.ts'

export interface OpenMappingsParts {
  mappingsFolder: string
  models: DeviceModels
  /** Of the pipeline in use. */
  stream: { dagDigest: string, latenessMs: number }
  seriesPool: Pool
}

export interface OpenMappings { mappings: Mappings, pipelines: Pipelines }

/** What windows written from now on are built from, pinned in the series store. @throws ServiceError MAPPING_INVALID: the start must be refused */
export async function openMappings ({ mappingsFolder, models, stream, seriesPool }: OpenMappingsParts): Promise<OpenMappings> {
  const mappings = loadMappings(mappingsFolder)
  const pipelines = createPipelines()
  await recordMappings({
    mappings,
    pipelines,
    current: { dagDigest: stream.dagDigest, settings: pipelineSettings(stream.latenessMs, models) },
    record: texts => recordTexts(seriesPool, texts)
  })
  return { mappings, pipelines }
}

export interface OpenFhirParts extends OpenMappings {
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

/** `startEgress`: one delivery per destination, until it is closed. */
export interface Fhir { observations: Observations, startEgress: () => Egress }

export function openFhir (parts: OpenFhirParts): Fhir {
  const { mappings, pipelines, series, seriesPool, linkagePool, deliveryPool, contexts, events, now, writes, destinations, topicWriter } = parts
  const tools = createFrameTools({ mappings, pipelines, schemaName: parts.schemaName })
  const { ledger } = series
  const observations = createObservations({ seriesPool, ledger, linkagePool, contexts, tools, writes })
  return { observations, startEgress: () => createEgress(destinations, { ledger, loader: observations.loader, contexts, tools, linkagePool, deliveryPool, topicWriter, events, now }) }
}
