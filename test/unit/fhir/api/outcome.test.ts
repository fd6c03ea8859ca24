import { expect, test } from 'vitest'
import { answerOfError, InvalidResource } from '../../../../src/fhir/api/outcome.ts'
import { ServiceError } from '../../../../src/model/errors.ts'

function shown (error: unknown): string {
  const { status, outcome } = answerOfError(error)
  return `${status} ${outcome.issue[0]!.code}`
}

test('each category has its status and issue', () => {
  const of = (category: ServiceError['category']) => shown(new ServiceError(category, 'INTERNAL', 'x'))
  expect(['busy', 'unavailable', 'incorrect', 'unauthorized', 'forbidden', 'not-found', 'conflict', 'unsupported', 'fault'].map(category => of(category as ServiceError['category']))).toEqual([
    '429 throttled', '503 transient', '400 invalid', '401 login', '403 forbidden', '404 not-found', '409 conflict', '405 not-supported', '500 exception'
  ])
})

test('a code that says more than its category decides', () => {
  expect(shown(new ServiceError('not-found', 'FHIR_GONE', 'x'))).toBe('410 deleted')
  expect(shown(new ServiceError('conflict', 'FHIR_PRECONDITION', 'x'))).toBe('412 conflict')
  expect(shown(new ServiceError('conflict', 'FHIR_MULTIPLE_MATCHES', 'x'))).toBe('412 multiple-matches')
  expect(shown(new ServiceError('incorrect', 'FHIR_BUSINESS_RULE', 'x'))).toBe('422 business-rule')
  expect(shown(new ServiceError('incorrect', 'INPUT_TOO_LARGE', 'x'))).toBe('413 too-long')
  expect(shown(new ServiceError('incorrect', 'INPUT_TYPE', 'x'))).toBe('415 not-supported')
})

test('the text of a fault stays inside', () => {
  for (const error of [new Error('password of the database'), new ServiceError('fault', 'INTERNAL', 'password of the database'), 'password', undefined]) {
    expect(JSON.stringify(answerOfError(error))).not.toContain('password')
    expect(answerOfError(error).status).toBe(500)
  }
})

test('findings of a resource are issues with their places', () => {
  const finding = { severity: 'error', code: 'required', message: 'is missing', expression: 'Patient.link[0].other' } as const
  expect(answerOfError(new InvalidResource([finding], 400))).toEqual({
    status: 400,
    outcome: { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'required', diagnostics: 'is missing', expression: ['Patient.link[0].other'] }] }
  })
})

test('when to come again is said', () => {
  expect(answerOfError(new ServiceError('busy', 'BUS_FULL', 'x', { retryAfterS: 7 })).retryAfterS).toBe(7)
})
