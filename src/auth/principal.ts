/** Who calls and what they may do: takes the principal of a token, a type and a letter, gives the grants that fit. */

import type { ExtensionScope, Grant, Letter, ScopeContext, ScopeFilter } from './scope.ts'

export interface Principal {
  /** Issuer and subject, joined by `|`: two issuers never share one. */
  subject: string
  /** `''` when the token does not say. */
  clientId: string
  grants: readonly Grant[]
  extensions: readonly ExtensionScope[]
  /** Logical id of the patient in context. */
  patient?: string
  /** `Practitioner/…`, `Patient/…` on this server. */
  fhirUser?: string
}

/** One way to be allowed: what lies in the patient's compartment, if one is named, and passes every filter. */
export interface Reach {
  context: ScopeContext
  /** Absent: everybody's. */
  patientId?: string
  filters: readonly ScopeFilter[]
}

/** What a patient's compartment of this product can be asked (smart.md §6.1). A type that is not listed is denied. */
const IN_COMPARTMENT: ReadonlyMap<string, string> = new Map([
  ['Patient', 'cruds'],
  ['Observation', 'cruds'],
  // Whose readings are whose is decided by staff: an association written for a past period would give a patient another one's readings.
  ['DeviceUseStatement', 'rs'],
  ['Device', 'rs'],
  ['DeviceMetric', 'rs'],
  ['Provenance', 'rs'],
  ['Practitioner', 'rs'],
  ['PractitionerRole', 'rs'],
  ['Organization', 'rs'],
  ['Location', 'rs'],
  ['Medication', 'rs'],
  ['Consent', 'rs'],
  ['AuditEvent', 'rs'],
  ['Binary', 'r']
])

/** Types that `patient/*` does not include. */
const NAMED_ONLY: ReadonlySet<string> = new Set(['AuditEvent'])

/** The grants that allow this, any of which suffices; empty: refuse before a store is asked (smart.md §6 rules 3 and 11). */
export function mayInteract (principal: Principal, type: string, letter: Letter): readonly Reach[] {
  const reaches: Reach[] = []
  for (const grant of principal.grants) {
    if ((grant.type !== type && grant.type !== '*') || !grant.letters.includes(letter)) continue
    const reach = reachOf(principal, grant)
    if (reach === undefined) continue
    if (reach.patientId !== undefined && !isInCompartment(grant, type, letter)) continue
    reaches.push(reach)
  }
  return reaches
}

export function mayUse (principal: Principal, extension: ExtensionScope): boolean {
  return principal.extensions.includes(extension)
}

/** `undefined` where the context of the grant is missing from the token: it then opens nothing. */
function reachOf ({ patient, fhirUser }: Principal, { context, filters }: Grant): Reach | undefined {
  switch (context) {
    case 'system': return { context, filters }
    case 'patient': return patient === undefined ? undefined : { context, patientId: patient, filters }
    case 'user': {
      const [type, id] = fhirUser?.split('/') ?? []
      if (type === 'Practitioner' || type === 'PractitionerRole') return { context, filters }
      // A patient who signs in sees what is the patient's own; whom a related person may see is not recorded here.
      return type === 'Patient' && id !== undefined ? { context, patientId: id, filters } : undefined
    }
  }
}

function isInCompartment (grant: Grant, type: string, letter: Letter): boolean {
  if (NAMED_ONLY.has(type) && grant.type !== type) return false
  return IN_COMPARTMENT.get(type)?.includes(letter) ?? false
}
