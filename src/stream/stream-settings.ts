/** Config → what the pipeline is set to, with the digest that every derived value carries. */

import { VERSION } from '../config/product.ts'
import type { Config } from '../config/schema.ts'
import type { DeviceModels } from '../model/device-model.ts'
import { dagDigest } from './dag.ts'
import type { PipelineSettings } from './pipeline-parts.ts'

/** Windows written again in one commit: enough to be quick, few enough not to hold up what comes in. */
const AMENDMENTS_MAX = 200

export function streamSettings (config: Config, models: DeviceModels): Omit<PipelineSettings, 'mappingVersion'> {
  const windows = {
    windowMs: config['stream.windowSize'],
    windowSizes: config['stream.windowSizes'],
    latenessMs: config['stream.lateness'],
    silenceMs: config['stream.silence'],
    deficits: Object.fromEntries(config['stream.deficits'].map(({ metric, threshold, maxGapMs }) => [metric, { threshold, ...(maxGapMs === undefined ? {} : { maxGapMs }) }]))
  }
  return { ...windows, pipelineVersion: VERSION, dagDigest: dagDigest(windows, models), amendmentsMax: AMENDMENTS_MAX }
}
