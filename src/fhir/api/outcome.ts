/** Errors and findings → HTTP status and OperationOutcome. One table; nothing a caller sent is echoed. */

import type { Finding } from '../validation/finding.ts'
import type { OperationOutcome, OperationOutcomeIssue } from '@medplum/fhirtypes'
import { type ErrorCategory, type ErrorCode, ServiceError } from '../../model/errors.ts'

type IssueCode = OperationOutcomeIssue['code']

const BY_CATEGORY: Record<ErrorCategory, readonly [status: number, issue: IssueCode]> = {
  busy: [429, 'throttled'],
  unavailable: [503, 'transient'],
  incorrect: [400, 'invalid'],
  unauthorized: [401, 'login'],
  forbidden: [403, 'forbidden'],
  'not-found': [404, 'not-found'],
  conflict: [409, 'conflict'],
  unsupported: [405, 'not-supported'],
  fault: [500, 'exception']
}

/** Where the code says more than its category. */
const BY_CODE: Partial<Record<ErrorCode, readonly [status: number, issue: IssueCode]>> = {
  FHIR_GONE: [410, 'deleted'],
  FHIR_PRECONDITION: [412, 'conflict'],
  FHIR_MULTIPLE_MATCHES: [412, 'multiple-matches'],
  FHIR_BUSINESS_RULE: [422, 'business-rule'],
  FHIR_PARAMETER: [400, 'invalid'],
  INPUT_TOO_LARGE: [413, 'too-long'],
  INPUT_UNREADABLE: [400, 'structure'],
  INPUT_TYPE: [415, 'not-supported'],
  INPUT_ENCODING: [415, 'not-supported']
}

/** A resource that may not be written, with everything found in it. 400 when base FHIR is violated, 422 when only a profile is. */
export class InvalidResource extends ServiceError {
  readonly findings: readonly Finding[]
  readonly status: 400 | 422

  constructor (findings: readonly Finding[], status: 400 | 422) {
    super('incorrect', 'FHIR_INVALID', 'the resource is not valid: see the issues')
    this.findings = findings
    this.status = status
  }
}

export interface FhirAnswer { status: number, outcome: OperationOutcome, retryAfterS?: number }

/** An error that is no ServiceError is a fault of ours: its text stays inside. */
export function answerOfError (error: unknown): FhirAnswer {
  if (error instanceof InvalidResource) return { status: error.status, outcome: outcomeOfFindings(error.findings) }
  if (!(error instanceof ServiceError)) return { status: 500, outcome: outcome('exception', 'the server failed: the log says why') }
  const [status, issue] = BY_CODE[error.code] ?? BY_CATEGORY[error.category]
  const answer = { status, outcome: outcome(issue, status === 500 ? 'the server failed: the log says why' : error.message) }
  return error.retryAfterS === undefined ? answer : { ...answer, retryAfterS: error.retryAfterS }
}

export function outcomeOfFindings (findings: readonly Finding[]): OperationOutcome {
  return {
    resourceType: 'OperationOutcome',
    issue: findings.map(({ severity, code, message, expression }) => ({ severity, code, diagnostics: message, expression: [expression] }))
  }
}

export function outcome (code: IssueCode, diagnostics: string, severity: OperationOutcomeIssue['severity'] = 'error'): OperationOutcome {
  return { resourceType: 'OperationOutcome', issue: [{ severity, code, diagnostics }] }
}
