/** What was thrown → what the caller sees: OperationOutcome under `/fhir`, a small problem object elsewhere; our own faults get an id that stands in the log. */

import { randomUUID } from 'node:crypto'
import { answerOfError } from '../fhir/api/outcome.ts'
import { type ErrorCode, ServiceError } from '../model/errors.ts'
import type { Logger } from '../observability/logger.ts'

export interface ErrorAnswer {
  status: number
  type: string
  body: string
  retryAfterS?: number
}

export function answerError (thrown: unknown, url: string, log: Logger, where: { route: string, method: string }): ErrorAnswer {
  const error = ofFramework(thrown)
  const { status, outcome, retryAfterS } = answerOfError(error)
  const errorId = status >= 500 ? randomUUID() : undefined
  if (errorId !== undefined) {
    const stack = thrown instanceof Error ? thrown.stack : undefined
    log.error('request failed', { ...where, status, errorId, ...(stack === undefined ? {} : { stack }) })
  }
  const isFhir = url === '/fhir' || url.startsWith('/fhir/') || url.startsWith('/fhir?')
  const message = outcome.issue[0]?.diagnostics
  const body = isFhir
    ? withErrorId(outcome, errorId)
    : { error: error instanceof ServiceError ? error.code : 'INTERNAL', message, ...(errorId === undefined ? {} : { errorId }) }
  return {
    status,
    type: isFhir ? 'application/fhir+json; charset=utf-8' : 'application/json; charset=utf-8',
    body: JSON.stringify(body),
    ...(retryAfterS === undefined ? {} : { retryAfterS })
  }
}

function withErrorId (outcome: object, errorId: string | undefined): object {
  return errorId === undefined ? outcome : { ...outcome, id: errorId }
}

/** Fastify's own refusals, in our words. */
const FRAMEWORK: Readonly<Record<string, readonly [category: ServiceError['category'], code: ErrorCode, message: string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['incorrect', 'INPUT_TOO_LARGE', 'the body is larger than the limit (settings ingest.bodyMax, fhir.bodyMax): send less at once'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['incorrect', 'INPUT_TYPE', 'the Content-Type is not one of those this address takes'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['incorrect', 'INPUT_UNREADABLE', 'the body is not as long as Content-Length says'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['incorrect', 'INPUT_UNREADABLE', 'the body is empty'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['incorrect', 'INPUT_UNREADABLE', 'the body is not JSON'],
  FST_ERR_BAD_URL: ['incorrect', 'INPUT_UNREADABLE', 'the address cannot be read: a % must be followed by two hexadecimal digits of UTF-8'],
  FST_ERR_MAX_PARAM_LENGTH: ['not-found', 'NOT_FOUND', 'there is nothing at this address']
}

function ofFramework (error: unknown): unknown {
  const known = FRAMEWORK[String((error as { code?: unknown }).code)]
  return known === undefined ? error : new ServiceError(known[0], known[1], known[2], { cause: error })
}
