import type { DeviceUseStatement } from '@medplum/fhirtypes'
import { expect, test } from 'vitest'
import { assertAssociationIdentifier, assertSameAssociation, readAssociation, withAssociationIdentifier } from '../../../../src/fhir/resources/association-rules.ts'
import { identifierSystem } from '../../../../src/model/identifier.ts'

const BASE = 'https://oxbow.example/fhir'
const statement = (more: Partial<DeviceUseStatement> = {}): DeviceUseStatement => ({
  resourceType: 'DeviceUseStatement', status: 'active', subject: { reference: 'Patient/p' }, device: { reference: 'Device/d' },
  timingPeriod: { start: '2026-02-10T16:40:00.000+01:00' }, ...more
})
const refused = expect.objectContaining({ code: 'FHIR_BUSINESS_RULE' })

test('an association is read half-open, in UTC', () => {
  expect(readAssociation(statement(), BASE)).toEqual({ device: 'd', patient: 'p', valid: { from: Date.parse('2026-02-10T15:40:00Z') } })
  expect(readAssociation(statement({ status: 'entered-in-error' }), BASE).valid).toBeUndefined()
})

test('references to this server may be absolute, others are refused', () => {
  expect(readAssociation(statement({ subject: { reference: `${BASE}/Patient/p2` } }), BASE).patient).toBe('p2')
  for (const reference of ['https://other.example/fhir/Patient/p', 'Group/p', 'urn:uuid:1', 'Patient/p/x', undefined]) {
    expect(() => readAssociation(statement({ subject: reference === undefined ? {} : { reference } }), BASE)).toThrow(refused)
  }
})

test.each(['2026', '2026-02', '2026-02-10', '2026-02-10T16:40:00', '2026-02-30T16:40:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59-14:00'])('%s is no certain moment', start => {
  expect(() => readAssociation(statement({ timingPeriod: { start } }), BASE)).toThrow(refused)
})

test('what was entered in error stays so, and may be marked so', () => {
  const wrong = statement({ status: 'entered-in-error' })
  expect(() => { assertSameAssociation(wrong, statement(), BASE) }).toThrow(refused)
  expect(() => { assertSameAssociation(statement(), wrong, BASE) }).not.toThrow()
  expect(() => { assertSameAssociation(wrong, { ...wrong, note: [{ text: 'x' }] }, BASE) }).not.toThrow()
})

test('the name of an association is added once', () => {
  const named = withAssociationIdentifier(statement(), 'device-42')
  expect(named.identifier).toEqual([{ system: identifierSystem('device-association'), value: 'device-42/2026-02-10T15:40:00.000Z' }])
  expect(withAssociationIdentifier(named, 'device-43')).toBe(named)
})

test('an association has no name of another device', () => {
  const system = identifierSystem('device-association')
  const own = { system, value: 'device-42/2026-02-10T15:40:00.000Z' }
  const named = (...identifier: NonNullable<DeviceUseStatement['identifier']>) => statement({ identifier })
  for (const fine of [statement(), named(own), named(own, { system: 'urn:other', value: 'x' })]) {
    expect(() => { assertAssociationIdentifier(fine, 'device-42') }).not.toThrow()
  }
  for (const wrong of [{ system, value: 'device-43/2026-02-10T15:40:00.000Z' }, { system, value: 'device-421/x' }, { system, value: 'device-42' }, { system, value: 'device-42/' }, { system }]) {
    expect(() => { assertAssociationIdentifier(named(own, wrong), 'device-42') }).toThrow(refused)
  }
  expect(() => { assertAssociationIdentifier(named(own), undefined) }).toThrow(refused)
})
