/** The series writers of this process: what comes over the bus → rows and windows of the series store. */

import { MAPPINGS_FOLDER } from '../config/product.ts'
import type { Config } from '../config/schema.ts'
import type { DeviceModels } from '../model/device-model.ts'
import { RAW, READINGS } from '../model/streams.ts'
import type { Bus } from '../platform/bus/bus.ts'
import type { Stores } from '../platform/postgres/open-stores.ts'
import { createWriteClock, type WriteClock } from '../platform/write-clock.ts'
import type { SidContexts } from '../model/identity.ts'
import { startHostWatch } from '../observability/host-watch.ts'
import { openMappings, type OpenMappings } from '../fhir/open-fhir.ts'
import { mappingVersionOf } from '../fhir/views/mapping.ts'
import { createSeriesStore, type SeriesStore } from '../stores/series/series-store.ts'
import { type Runners, type RunnersParts, startRunners } from '../stream/start-runners.ts'
import { streamSettings } from '../stream/stream-settings.ts'
import type { Ground } from './ground.ts'

/** Where series stand, and how what is written there looks in FHIR. */
export interface SeriesParts {
  series: SeriesStore
  stream: ReturnType<typeof streamSettings>
  mappings: OpenMappings
  /** Of the windows. The resources have another one: what is slow in one store holds back no search in the other. */
  writes: WriteClock
}

/** @throws ServiceError MAPPING_INVALID or MODEL_INVALID: the start must be refused */
export async function openSeries ({ config, now }: Ground, stores: Stores, models: DeviceModels): Promise<SeriesParts> {
  const seriesPool = stores.pool('oxbow_series')
  const series = createSeriesStore(seriesPool)
  await series.recordModels(models.values())
  const stream = streamSettings(config, models)
  const mappings = await openMappings({ mappingsFolder: MAPPINGS_FOLDER, models, stream, seriesPool })
  return { series, stream, mappings, writes: createWriteClock(now) }
}

export interface StreamParts extends Pick<RunnersParts, 'setAside' | 'onWindows'> {
  bus: Bus
  models: DeviceModels
  contexts: SidContexts
}

export function startStream ({ config, now, events, running }: Ground, { series, stream, mappings, writes }: SeriesParts, { bus, models, contexts, setAside, onWindows }: StreamParts): Runners {
  const runners = startRunners({
    bus, sink: series, contexts, models, now, writes, events, setAside, onWindows,
    settings: { ...stream, mappingVersion: (metric, model) => mappingVersionOf(mappings.mappings, metric, model) },
    writers: config['series.writers'],
    partitionCount: bus.partitionCount(READINGS),
    readingsMax: config['series.commitMaxRows']
  })
  running.push({ name: 'stream', stop: runners.stop })
  return runners
}

/** Every one in use, ms. */
export function windowSizesOf (config: Config): number[] { return [...new Set([config['stream.windowSize'], ...Object.values(config['stream.windowSizes'])])] }

/** Disks and backlogs → alarms. @param folders whose disks are watched */
export function watchHost ({ config, events, running }: Ground, bus: Bus, folders: readonly string[]): void {
  const watch = startHostWatch({
    folders,
    topics: [
      { topic: READINGS, backlog: () => bus.backlog(READINGS), backlogMax: config['bus.backlogMax'], alarm: 'bus-behind' },
      { topic: RAW, backlog: () => bus.backlog(RAW), backlogMax: config['archive.backlogMax'], alarm: 'archive-behind' }
    ],
    events
  })
  running.push({ name: 'host watch', stop: async () => { watch.stop() } })
}
