import { expect, test } from 'vitest'
import { AUDIT_KINDS } from '../../../src/audit/kinds.ts'

test('every kind stands once, as group and event', () => {
  expect(new Set(AUDIT_KINDS).size).toBe(AUDIT_KINDS.length)
  for (const kind of AUDIT_KINDS) expect(kind).toMatch(/^[a-z][a-z-]*\.[a-z-]+$/)
})

test('each FHIR interaction has a kind of its own and one for a known patient', () => {
  expect(AUDIT_KINDS).toEqual(expect.arrayContaining(['fhir.read', 'fhir.patient-read', 'fhir.vread', 'fhir.operation', 'fhir.patient-operation']))
})
