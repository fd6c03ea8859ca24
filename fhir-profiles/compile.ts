/** R4 definitions and the profiles of this folder → `src/fhir/validation/definitions.generated.json`. Run: `npx node fhir-profiles/compile.ts`. */

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Definitions, Profile, Rule, TypeDefinition } from '../src/fhir/validation/definitions.ts'
import { compileProfile } from './compile/compile-profile.ts'
import { compileTypes, sorted } from './compile/compile-types.ts'
import { expandValueSet } from './compile/expand-value-set.ts'
import { CORE, readSources, type Sources } from './compile/read-definitions.ts'

/** Stored, shown, or likely to stand contained in one that is. */
const RESOURCES = [
  'Patient', 'Device', 'DeviceMetric', 'DeviceUseStatement', 'Observation', 'Provenance', 'Bundle', 'OperationOutcome',
  'Organization', 'Practitioner', 'PractitionerRole', 'RelatedPerson', 'Location'
]

const CORE_PROFILES = [`${CORE}vitalsigns`, `${CORE}oxygensat`]

export const GENERATED = fileURLToPath(new URL('../src/fhir/validation/definitions.generated.json', import.meta.url))

export function compileDefinitions (folder = fileURLToPath(new URL('.', import.meta.url))): Definitions {
  const sources = readSources(folder)
  const { types, primitives } = compileTypes(RESOURCES, sources)
  const urls = [...CORE_PROFILES, ...[...sources.own].filter(url => sources.structures.has(url))]
  const known = new Set(urls)
  const profiles = sorted(Object.fromEntries(urls.map(url => [url, compileProfile(sources.structures.get(url)!, known, sources)])))
  const valueSets: Record<string, Record<string, string[]>> = {}
  const openValueSets: string[] = []
  for (const url of [...new Set([...boundByTypes(types), ...boundByProfiles(profiles)])].sort()) {
    const codes = expandValueSet(url, sources)
    if (codes === undefined) openValueSets.push(url)
    else valueSets[url] = Object.fromEntries([...codes].map(([system, found]) => [system, [...found]]))
  }
  return { fhirVersion: '4.0.1', resources: resourceNames(sources), primitives, types, profiles, valueSets, openValueSets }
}

function resourceNames (sources: Sources): string[] {
  return [...sources.structures.values()]
    .filter(({ kind, derivation, abstract }) => kind === 'resource' && derivation === 'specialization' && !abstract)
    .map(({ type }) => type).sort()
}

function boundByTypes (types: Readonly<Record<string, TypeDefinition>>): string[] {
  return Object.values(types).flatMap(type => Object.values(type.elements).flatMap(element => element.codes ?? []))
}

function boundByProfiles (profiles: Readonly<Record<string, Profile>>): string[] {
  const inRule = (rule: Rule): string[] =>
    [rule.codes ?? [], ...Object.values(rule.elements ?? {}).map(inRule), ...(rule.slices ?? []).map(slice => inRule(slice.rule))].flat()
  return Object.values(profiles).flatMap(profile => inRule(profile.rule))
}

/** JSON with one element, rule or value set on a line, so that a change of the definitions reads as one. */
export function definitionsText (definitions: Definitions): string {
  const section = (record: Readonly<Record<string, unknown>>, show: (value: unknown) => string): string =>
    `{\n${Object.entries(record).map(([key, value]) => `    ${JSON.stringify(key)}: ${show(value)}`).join(',\n')}\n  }`
  const type = ({ elements, ...rest }: TypeDefinition): string => {
    const rows = Object.entries(elements).map(([key, value]) => `        ${JSON.stringify(key)}: ${JSON.stringify(value)}`)
    return `{${JSON.stringify(rest).slice(1, -1)}${Object.keys(rest).length === 0 ? '' : ', '}"elements": {\n${rows.join(',\n')}\n    }}`
  }
  const { fhirVersion, resources, primitives, types, profiles, valueSets, openValueSets } = definitions
  return `{\n  "fhirVersion": ${JSON.stringify(fhirVersion)},\n  "resources": ${JSON.stringify(resources)},\n` +
    `  "primitives": ${section(primitives, JSON.stringify)},\n  "types": ${section(types, value => type(value as TypeDefinition))},\n` +
    `  "profiles": ${section(profiles, JSON.stringify)},\n  "valueSets": ${section(valueSets, JSON.stringify)},\n` +
    `  "openValueSets": ${JSON.stringify(openValueSets)}\n}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(GENERATED, definitionsText(compileDefinitions()))
