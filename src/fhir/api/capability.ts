/** What this server does, as a CapabilityStatement made from the tables that routes and search read, so that it tells the truth. */

import type { CapabilityStatement, CapabilityStatementRestResource, CapabilityStatementRestResourceInteraction } from '@medplum/fhirtypes'
import { instant } from '../../model/identifier.ts'
import type { EpochMs } from '../../model/units.ts'
import { type InteractionCode, INTERACTIONS } from './interaction.ts'
import { SEARCH_PARAMETERS, type SearchableType } from './search-parameters.ts'

export interface CapabilityParts {
  baseUrl: string
  version: string
  /** When the server began to say this. */
  since: EpochMs
  /** Canonical URLs of profiles by type. */
  profiles: (type: string) => readonly string[]
}

const BASE_DEFINITION = 'http://hl7.org/fhir/StructureDefinition/'
const SEARCH_DEFINITION = 'http://hl7.org/fhir/SearchParameter/'

const DOCUMENTATION: Partial<Record<SearchableType, string>> = {
  Observation: 'Computed from telemetry when a window closes and never written through this API: send measurements to POST /ingest/telemetry. Revisions before a withdrawal answer 410.',
  Device: 'A Device whose manufacturer and modelNumber are in the model registry gets its DeviceMetrics in the same transaction, unless the Bundle brings them.',
  DeviceMetric: 'A calibration is recorded as a new version with a further calibration-record extension; a recorded one never changes (422).',
  DeviceUseStatement: 'Who wears a device: periods are half-open and never overlap for one device (409).'
}

export function capabilityStatement ({ baseUrl, version, since, profiles }: CapabilityParts): CapabilityStatement {
  return {
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: instant(since),
    kind: 'instance',
    software: { name: 'Oxbow', version },
    implementation: { description: 'Tissue oxygen telemetry as FHIR', url: baseUrl },
    fhirVersion: '4.0.1',
    format: ['json', 'application/fhir+json'],
    rest: [{
      mode: 'server',
      documentation: 'Unknown search parameters are refused with 400 unless Prefer: handling=lenient is sent. _sort, _count, _total, _summary=count and POST _search work on every type. ' +
        'Page links are bound to the search and to the access of who made it.',
      security: {
        service: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/restful-security-service', code: 'SMART-on-FHIR' }] }],
        description: 'Bearer tokens with SMART v2 scopes; Patient.link is not followed'
      },
      resource: (Object.keys(INTERACTIONS) as SearchableType[]).map(type => resourceOf(type, profiles(type))),
      interaction: [{ code: 'transaction' }, { code: 'batch' }]
    }]
  }
}

function resourceOf (type: SearchableType, supported: readonly string[]): CapabilityStatementRestResource {
  const codes = INTERACTIONS[type]
  const writes = codes.includes('create')
  return {
    type,
    profile: `${BASE_DEFINITION}${type}`,
    ...(supported.length === 0 ? {} : { supportedProfile: [...supported] }),
    ...(DOCUMENTATION[type] === undefined ? {} : { documentation: DOCUMENTATION[type] }),
    interaction: codes.map(code => ({ code: code satisfies InteractionCode as NonNullable<CapabilityStatementRestResourceInteraction['code']> })),
    versioning: writes ? 'versioned-update' : 'versioned',
    readHistory: true,
    ...(writes ? { updateCreate: true, conditionalCreate: true } : {}),
    conditionalRead: 'not-match',
    ...(writes ? { conditionalUpdate: false, conditionalDelete: 'not-supported' as const } : {}),
    ...(writes ? { referencePolicy: ['literal', 'local'] as const satisfies CapabilityStatementRestResource['referencePolicy'] } : {}),
    searchParam: SEARCH_PARAMETERS[type].map(parameter => ({
      name: parameter.name,
      definition: definitionOf(type, parameter.name),
      type: parameter.type,
      documentation: parameter.documentation
    }))
  } as CapabilityStatementRestResource
}

/** R4 gives `code`, `date`, `identifier` and `patient` of several types one definition. */
function definitionOf (type: string, name: string): string {
  if (name === '_id') return `${SEARCH_DEFINITION}Resource-id`
  if (name === '_lastUpdated') return `${SEARCH_DEFINITION}Resource-lastUpdated`
  if (type === 'Observation' && ['code', 'date', 'patient'].includes(name)) return `${SEARCH_DEFINITION}clinical-${name}`
  return `${SEARCH_DEFINITION}${type}-${name}`
}
