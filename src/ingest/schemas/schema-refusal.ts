/** Why the registry did not do what it was asked, by the codes of Confluent's API, which its clients know. */

import { type ErrorCategory, type ErrorCode, ServiceError } from '../../model/errors.ts'

export type RegistryCode = 409 | 40401 | 40402 | 40403 | 40408 | 42201 | 42202 | 42203 | 405

const BY_CODE: Readonly<Record<RegistryCode, readonly [status: number, category: ErrorCategory, code: ErrorCode]>> = {
  409: [409, 'conflict', 'SCHEMA_REFUSED'],
  40401: [404, 'not-found', 'SCHEMA_NOT_FOUND'],
  40402: [404, 'not-found', 'SCHEMA_NOT_FOUND'],
  40403: [404, 'not-found', 'SCHEMA_NOT_FOUND'],
  40408: [404, 'not-found', 'SCHEMA_NOT_FOUND'],
  42201: [422, 'incorrect', 'SCHEMA_INVALID'],
  42202: [422, 'incorrect', 'SCHEMA_INVALID'],
  42203: [422, 'incorrect', 'SCHEMA_INVALID'],
  405: [405, 'unsupported', 'METHOD_NOT_ALLOWED']
}

export class SchemaRefusal extends ServiceError {
  readonly registryCode: RegistryCode
  readonly status: number
  /** One sentence for each thing that is wrong. */
  readonly reasons: readonly string[]

  constructor (registryCode: RegistryCode, message: string, reasons: readonly string[] = []) {
    const [status, category, code] = BY_CODE[registryCode]
    super(category, code, reasons.length === 0 ? message : `${message}: ${reasons.join('; ')}`)
    this.registryCode = registryCode
    this.status = status
    this.reasons = reasons
  }
}
