/** Mappings and pipeline settings in use -> recorded for good, so that every revision can be shown as it was written. */

import { ServiceError } from '../../model/errors.ts'
import type { Mappings } from './mapping.ts'
import type { MappingFile } from './mapping-schema.ts'
import type { PipelineSettings, Pipelines } from './pipelines.ts'

export interface RecordedText { version: string, body: string }

export interface RecordMappingsParts {
  mappings: Mappings
  pipelines: Pipelines
  /** Digest and settings of the pipeline in use. The digest covers the settings. */
  current: { dagDigest: string, settings: PipelineSettings }
  /** Records what is new; gives everything ever recorded, with the bodies first recorded. */
  record: (texts: readonly RecordedText[]) => Promise<readonly RecordedText[]>
}

const PIPELINE = 'pipeline '

/** Adds every old version to `mappings` and `pipelines`. @throws ServiceError MAPPING_INVALID when a version in use was recorded with another body: the start must be refused */
export async function recordMappings ({ mappings, pipelines, current, record }: RecordMappingsParts): Promise<void> {
  const used: RecordedText[] = [
    ...mappings.all().map(({ version, file }) => ({ version, body: canonical(file) })),
    { version: PIPELINE + current.dagDigest, body: canonical(current.settings) }
  ]
  const recorded = await record(used)
  const bodies = new Map(recorded.map(({ version, body }) => [version, body]))
  const changed = used.filter(({ version, body }) => bodies.get(version) !== body).map(({ version }) => version)
  if (changed.length > 0) {
    throw new ServiceError('fault', 'MAPPING_INVALID', `changed under the same version: ${changed.join(', ')}. Give the changed mapping the next version number; what was recorded stays as it is`)
  }
  mappings.add(recorded.filter(({ version }) => !version.startsWith(PIPELINE)).map(({ body }) => JSON.parse(body) as MappingFile))
  const old = recorded.filter(({ version }) => version.startsWith(PIPELINE) && version !== PIPELINE + current.dagDigest)
  for (const { version, body } of old) pipelines.add(version.slice(PIPELINE.length), JSON.parse(body) as PipelineSettings)
  // Last: it is the one that rows without provenance are shown by.
  pipelines.add(current.dagDigest, current.settings)
}

/** JSON with the keys of every object sorted: the same meaning has the same text. */
function canonical (value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => typeof inner === 'object' && inner !== null && !Array.isArray(inner)
    ? Object.fromEntries(Object.entries(inner).sort(([one], [other]) => one < other ? -1 : 1))
    : inner)
}
