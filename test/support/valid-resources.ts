/** Valid resources to break: what the code emits and stores, and the design's examples where they are at hand. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { channelMetric } from '../../src/fhir/resources/device-rules.ts'
import { MODEL, MAPPINGS } from './example-views.ts'

export type Json = Record<string, unknown>

export function golden (name: string): Json[] {
  const bundle = JSON.parse(readFileSync(join(MAPPINGS, `${name}.example.json`), 'utf8')) as { entry: { resource: Json }[] }
  return bundle.entry.map(entry => entry.resource)
}

export const GOLDEN = readdirSync(MAPPINGS).filter(name => name.endsWith('.example.json')).map(name => name.slice(0, -'.example.json'.length))

/** The view of a golden example that claims the profile. */
export function goldenOf (name: string, profile: string): Json {
  const found = golden(name).find(resource => (resource['meta'] as { profile: string[] }).profile.some(url => url.endsWith(`/${profile}`)))
  if (found === undefined) throw new Error(`${name} has no view of ${profile}`)
  return found
}

/** The Bundle that the README sends: Patient, Device, DeviceUseStatement. */
export function readmeBundle (): Json {
  const folder = fileURLToPath(new URL('../../docs/examples/', import.meta.url))
  const name = readdirSync(folder).find(file => file.endsWith('.json'))
  return JSON.parse(readFileSync(join(folder, name!), 'utf8')) as Json
}

export function readmeResource (type: string): Json {
  const { entry } = readmeBundle() as { entry: { resource: Json }[] }
  return entry.map(one => one.resource).find(resource => resource['resourceType'] === type)!
}

/** DeviceMetrics that a registered model brings. */
export const METRICS: readonly Json[] = MODEL.channels.map(channel => JSON.parse(JSON.stringify({ ...channelMetric('dev-1', 'device-1', channel), id: `dm-${channel.metric}` })) as Json)
