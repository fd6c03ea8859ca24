/** Settings that the views show and that are pinned by the digest of the pipeline that computed a window. */

import { type Channel, type DeviceModel, type DeviceModels, modelKey } from '../../model/device-model.ts'
import { ServiceError } from '../../model/errors.ts'
import type { ModelKey } from '../../model/reading.ts'

export interface PipelineSettings {
  /** Allowed lateness in ms. */
  latenessMs: number
  models: readonly DeviceModel[]
}

export interface Pipeline {
  latenessMs: number
  channel (model: ModelKey, metric: string): Channel | undefined
  /** First channel of this kind. */
  channelOfKind (model: ModelKey, kind: Channel['kind']): Channel | undefined
}

export interface Pipelines {
  /** @throws ServiceError fault when no pipeline of this digest was ever recorded. */
  pinned (dagDigest: string): Pipeline
  /** The one added last. */
  current (): Pipeline
  add (dagDigest: string, settings: PipelineSettings): void
  /** Device models of all of them; a model that changed stands several times. */
  models (): readonly DeviceModel[]
}

export function createPipelines (): Pipelines {
  const byDigest = new Map<string, Pipeline>()
  const models: DeviceModel[] = []
  let last: Pipeline | undefined
  return {
    current () {
      if (last === undefined) throw new ServiceError('fault', 'INTERNAL', 'no pipeline was recorded')
      return last
    },
    pinned (dagDigest) {
      const pipeline = byDigest.get(dagDigest)
      if (pipeline === undefined) throw new ServiceError('fault', 'INTERNAL', `pipeline ${dagDigest} was never recorded`)
      return pipeline
    },
    add (dagDigest, settings) {
      last = createPipeline(settings)
      byDigest.set(dagDigest, last)
      models.push(...settings.models)
    },
    models: () => models
  }
}

/** Settings as they are recorded: models in the order of their keys. */
export function pipelineSettings (latenessMs: number, models: DeviceModels): PipelineSettings {
  return { latenessMs, models: [...models.keys()].sort().map(key => models.get(key)!) }
}

function createPipeline (settings: PipelineSettings): Pipeline {
  const models = new Map(settings.models.map(model => [modelKey(model), model]))
  return {
    latenessMs: settings.latenessMs,
    channel: (model, metric) => models.get(model)?.channels.find(channel => channel.metric === metric),
    channelOfKind: (model, kind) => models.get(model)?.channels.find(channel => channel.kind === kind)
  }
}
