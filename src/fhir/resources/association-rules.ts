/** DeviceUseStatement → the association it records (fhir-modelling.md §2.1 'Association', privacy.md §4.2). Pure. */

import type { DeviceUseStatement } from '@medplum/fhirtypes'
import { identifierSystem, instant } from '../../model/identifier.ts'
import type { Span } from '../../stores/linkage/span.ts'
import { readPeriod, readTarget, ruleBroken } from './business-rule.ts'

export interface RecordedAssociation {
  device: string
  patient: string
  /** `undefined`: entered in error, holds nowhere. */
  valid: Span | undefined
}

const AT = 'DeviceUseStatement'
const STATUSES = new Set(['active', 'completed', 'stopped', 'entered-in-error'])

/** @throws ServiceError FHIR_BUSINESS_RULE */
export function readAssociation (statement: DeviceUseStatement, baseUrl: string): RecordedAssociation {
  const status = statement.status as string
  if (!STATUSES.has(status)) throw ruleBroken(`${AT}.status`, 'an association is active, completed, stopped or entered-in-error')
  const patient = readTarget(`${AT}.subject`, statement.subject?.reference, 'Patient', baseUrl)
  const device = readTarget(`${AT}.device`, statement.device?.reference, 'Device', baseUrl)
  const period = readPeriod(`${AT}.timingPeriod`, statement.timingPeriod)
  if ((status === 'completed' || status === 'stopped') && period.until === undefined) {
    throw ruleBroken(`${AT}.timingPeriod.end`, `a ${status} association needs its end`)
  }
  return { device, patient, valid: status === 'entered-in-error' ? undefined : period }
}

/** What may never change in a recorded association. @throws ServiceError FHIR_BUSINESS_RULE */
export function assertSameAssociation (before: DeviceUseStatement, after: DeviceUseStatement, baseUrl: string): void {
  const old = readAssociation(before, baseUrl)
  const next = readAssociation(after, baseUrl)
  const instead = 'never changes: set the status to entered-in-error and record a new DeviceUseStatement'
  if (old.patient !== next.patient) throw ruleBroken(`${AT}.subject`, instead)
  if (old.device !== next.device) throw ruleBroken(`${AT}.device`, instead)
  if (before.status === 'entered-in-error' && after.status !== 'entered-in-error') {
    throw ruleBroken(`${AT}.status`, 'what was entered in error stays so: record a new DeviceUseStatement')
  }
}

/** A name given by the writer is that of an association of this device. @throws ServiceError FHIR_BUSINESS_RULE */
export function assertAssociationIdentifier (statement: DeviceUseStatement, telemetry: string | undefined): void {
  const system = identifierSystem('device-association')
  const prefix = `${telemetry}/`
  for (const identifier of statement.identifier ?? []) {
    if (identifier.system !== system) continue
    const { value = '' } = identifier
    if (telemetry === undefined || !value.startsWith(prefix) || value.length === prefix.length) {
      throw ruleBroken(`${AT}.identifier(device-association)`, 'must be the telemetry identifier of the Device, a slash and the start')
    }
  }
}

/** The name `<device>/<start>` (fhir-modelling.md §4), added where the writer gave none. */
export function withAssociationIdentifier (statement: DeviceUseStatement, telemetry: string): DeviceUseStatement {
  const system = identifierSystem('device-association')
  if (statement.identifier?.some(identifier => identifier.system === system)) return statement
  const start = readPeriod(`${AT}.timingPeriod`, statement.timingPeriod).from
  return { ...statement, identifier: [...(statement.identifier ?? []), { system, value: `${telemetry}/${instant(start)}` }] }
}
