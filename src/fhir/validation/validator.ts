/** Compiled definitions → a validator: a resource in, everything wrong with it out. No I/O; checks are made at first use of a type or profile. */

import { CANONICAL } from '../../model/identifier.ts'
import type { Finding } from './finding.ts'
import { compileProfile, type RuleCheck } from './check-profile.ts'
import { createTypeChecks } from './check-type.ts'
import type { Definitions } from './definitions.ts'
import { isNode, listOf, type Node, Walk } from './walk.ts'

export interface Validator {
  /** Base R4, and each profile of `meta.profile` that is known; an unknown one is named by an informational finding.
   *  A profile is checked only where base R4 holds. Messages repeat nothing of the content. */
  validate (resource: unknown, limits: { findingsMax: number }): readonly Finding[]
  /** Canonical URLs of the profiles known for a type. */
  profilesOf (type: string): readonly string[]
}

const CORE = 'http://hl7.org/fhir/StructureDefinition/'

export function createValidator (definitions: Definitions): Validator {
  const { profiles } = definitions
  const made = new Map<string, RuleCheck>()
  const checkOf = (url: string): RuleCheck => {
    let check = made.get(url)
    if (check === undefined) {
      check = compileProfile(url, definitions)
      made.set(url, check)
    }
    return check
  }
  const extensions = new Set(Object.keys(profiles).filter(url => profiles[url]!.type === 'Extension'))
  // Views may carry listed codes only (fhir-modelling.md §3); what clients store may carry any.
  const listed = new Set(Object.keys(profiles).filter(url => url.startsWith(CANONICAL) && profiles[url]!.type === 'Observation'))
  const types = createTypeChecks(definitions, {
    onExtension: (extension, walk) => { if (extensions.has(extension['url'] as string)) checkOf(extension['url'] as string)(extension, walk) },
    onResource: (resource, walk) => { checkProfiles(resource, definitions, checkOf, walk) },
    codesOf: resource => profilesIn(resource).find(url => listed.has(url))
  })
  return {
    validate (resource, { findingsMax }) {
      const type = isNode(resource) ? resource['resourceType'] : undefined
      const walk = new Walk(isNode(resource) ? resource : {}, findingsMax)
      walk.steps.push(types.isResource(type) ? type : 'Resource')
      if (!isNode(resource)) walk.error('structure', 'must be a JSON object with a resourceType')
      else if (!types.isResource(type)) walk.error('not-supported', 'resourceType must be a type that this server can check')
      else types.of(type)(resource, walk)
      return walk.findings
    },
    profilesOf: type => Object.keys(profiles).filter(url => profiles[url]!.type === type)
  }
}

const NONE: readonly string[] = []

function derivesFrom (url: string, ancestor: string, profiles: Definitions['profiles']): boolean {
  for (let at = profiles[url]?.base; at !== undefined; at = profiles[at]?.base) if (at === ancestor) return true
  return false
}

function profilesIn ({ meta }: Node): readonly string[] {
  if (!isNode(meta) || meta['profile'] === undefined) return NONE
  return listOf(meta['profile']).map(url => typeof url === 'string' ? withoutVersion(url) : '')
}

function withoutVersion (canonical: string): string {
  const bar = canonical.indexOf('|')
  return bar < 0 ? canonical : canonical.slice(0, bar)
}

function checkProfiles (resource: Node, { profiles }: Definitions, checkOf: (url: string) => RuleCheck, walk: Walk): void {
  const urls = profilesIn(resource)
  const type = resource['resourceType'] as string
  for (const [place, url] of urls.entries()) {
    // A profile brings those it derives from.
    if (urls.some(other => derivesFrom(other, url, profiles))) continue
    if (Object.hasOwn(profiles, url)) {
      if (profiles[url]!.type === type) checkOf(url)(resource, walk)
      else notFor(place, url, walk)
    } else if (url !== CORE + type) unknownProfile(place, walk)
  }
}

function notFor (place: number, url: string, walk: Walk): void {
  walk.steps.push('meta', 'profile', place)
  walk.error('value', 'is a profile of another type', url)
  walk.steps.length -= 3
}

function unknownProfile (place: number, walk: Walk): void {
  walk.steps.push('meta', 'profile', place)
  walk.inform('is not known here: it was not checked')
  walk.steps.length -= 3
}
