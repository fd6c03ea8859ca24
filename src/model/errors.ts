/** One error type for broken promises; bad data is a value (`reason.ts`), not an error. */

/** Decides HTTP status and FHIR issue type (`fhir/api/outcome.ts`). */
export type ErrorCategory =
  | 'busy' | 'unavailable' | 'incorrect' | 'unauthorized' | 'forbidden' | 'not-found' | 'conflict' | 'unsupported' | 'fault'

export type ErrorCode =
  | 'BUS_FULL' | 'BUS_CLOSED' | 'BUS_OFFSET_GONE' | 'BUS_REASSIGNED' | 'BUS_RECORD_TOO_LARGE'
  | 'STORE_UNAVAILABLE' | 'STORE_IN_USE' | 'STORE_CONFLICT' | 'STORE_MIGRATION' | 'STORE_FOLDER'
  | 'KEY_UNKNOWN' | 'KEY_DESTROYED' | 'KEY_CONTEXT' | 'KEY_FILE'
  | 'TOKEN_MISSING' | 'TOKEN_INVALID' | 'SCOPE_INSUFFICIENT'
  | 'CONFIG_INVALID' | 'MAPPING_INVALID' | 'MODEL_INVALID'
  | 'INPUT_TOO_LARGE' | 'INPUT_UNREADABLE' | 'INPUT_TYPE' | 'INPUT_ENCODING'
  | 'QUARANTINE_FULL' | 'RATE_LIMITED'
  | 'OBJECT_EXISTS' | 'OBJECT_MISSING' | 'OBJECT_NAME' | 'OBJECT_TOO_LARGE' | 'OBJECT_KEPT'
  | 'SCHEMA_NOT_FOUND' | 'SCHEMA_INVALID' | 'SCHEMA_REFUSED'
  | 'FHIR_NOT_FOUND' | 'FHIR_GONE' | 'FHIR_CONFLICT' | 'FHIR_PRECONDITION' | 'FHIR_INVALID' | 'FHIR_UNSUPPORTED' | 'FHIR_MULTIPLE_MATCHES' | 'FHIR_PARAMETER' | 'FHIR_BUSINESS_RULE'
  | 'NOT_FOUND' | 'METHOD_NOT_ALLOWED'
  | 'HTTP_UNREACHABLE' | 'HTTP_REFUSED'
  | 'ROUTE_UNDECLARED' | 'USAGE' | 'INTERNAL'

/** @param message says what was wrong, where, and what to do; holds no patient data, setting value or token. */
export class ServiceError extends Error {
  override name = 'ServiceError'
  readonly category: ErrorCategory
  readonly code: ErrorCode
  /** Seconds after which a repeated call may succeed; set with `busy`. */
  readonly retryAfterS: number | undefined

  constructor (category: ErrorCategory, code: ErrorCode, message: string, options: { cause?: unknown, retryAfterS?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.category = category
    this.code = code
    this.retryAfterS = options.retryAfterS
  }
}
