/** What a pipeline is built from: its place on the bus, answered questions, settings. */

import type { DeviceModels } from '../model/device-model.ts'
import type { SidContexts } from '../model/identity.ts'
import type { WindowSettings } from './close-open-windows.ts'
import type { Sink } from './sink.ts'

export interface PipelineSettings extends WindowSettings {
  latenessMs: number
  silenceMs: number
  /** Most windows written again in one step. */
  amendmentsMax: number
}

export interface PipelineParts {
  writer: number
  partitions: readonly number[]
  topic: string
  /** What `sink.own` gave for the partitions; `undefined`: nobody else can have them. */
  owner: string | undefined
  sink: Sink
  contexts: SidContexts
  models: DeviceModels
  settings: PipelineSettings
}
