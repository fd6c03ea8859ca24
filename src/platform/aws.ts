/** What the adapters to services of AWS do alike: settings → options of a client; an error → what is the matter, in words. No SDK is loaded here. */

import type { Config } from '../config/schema.ts'
import { ServiceError } from '../model/errors.ts'

/** Tries of one call. */
const ATTEMPTS_MAX = 3
const CONNECT_TIMEOUT_MS = 3_000
/** After how many seconds a caller may try again. */
const RETRY_AFTER_S = 5

/** Empty: as the SDK finds it. */
export interface ServiceSettings { region: string, endpoint: string, accessKeyId: string, secretAccessKey: string }

export interface ClientOptions {
  region?: string
  endpoint?: string
  credentials?: { accessKeyId: string, secretAccessKey: string }
  maxAttempts: number
  /** The last one for a body that stands still. */
  requestHandler: { connectionTimeout: number, requestTimeout: number, throwOnRequestTimeout: true, socketTimeout: number }
}

export function serviceSettings (config: Config, room: 'kms' | 's3'): ServiceSettings {
  return { region: config[`${room}.region`], endpoint: config[`${room}.endpoint`], accessKeyId: config[`${room}.accessKeyId`], secretAccessKey: config[`${room}.secretAccessKey`] }
}

/** @param answerTimeoutMs for one try, from its first byte to the head of its answer */
export function clientOptions ({ region, endpoint, accessKeyId, secretAccessKey }: ServiceSettings, answerTimeoutMs: number): ClientOptions {
  return {
    ...(region === '' ? {} : { region }),
    ...(endpoint === '' ? {} : { endpoint }),
    ...(accessKeyId === '' ? {} : { credentials: { accessKeyId, secretAccessKey } }),
    maxAttempts: ATTEMPTS_MAX,
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, requestTimeout: answerTimeoutMs, throwOnRequestTimeout: true, socketTimeout: answerTimeoutMs }
  }
}

const WORDS: Readonly<Record<string, string>> = {
  AccessDeniedException: 'this login may not do that', AccessDenied: 'this login may not do that', 403: 'this login may not do that',
  CredentialsProviderError: 'no credentials were found', UnrecognizedClientException: 'the credentials are not accepted',
  InvalidClientTokenId: 'the credentials are not accepted', InvalidAccessKeyId: 'the credentials are not accepted',
  SignatureDoesNotMatch: 'the credentials are not accepted', InvalidSignatureException: 'the credentials are not accepted',
  ExpiredToken: 'the credentials have expired', ExpiredTokenException: 'the credentials have expired',
  ThrottlingException: 'it is asked too often', TooManyRequestsException: 'it is asked too often', SlowDown: 'it is asked too often', 429: 'it is asked too often', 503: 'it is asked too often, or does not serve',
  ECONNREFUSED: 'nothing listens there', ENOTFOUND: 'no such host', EAI_AGAIN: 'its name cannot be looked up', ECONNRESET: 'it broke off',
  EHOSTUNREACH: 'it cannot be reached', ETIMEDOUT: 'no answer', TimeoutError: 'no answer'
}

export const CHANGED_ON_THE_WAY = 'what arrived is not what is stored'

/** @param words of this service's own errors, by name. Never the service's text: it may hold names and ids. */
export function reasonOf (error: unknown, words: Readonly<Record<string, string>> = {}): string {
  if (!(error instanceof Error)) return 'unknown'
  if (/^Region (is missing|not accepted)/.test(error.message)) return 'no region was found, or one that is none'
  if (error.message.startsWith('Checksum mismatch')) return CHANGED_ON_THE_WAY
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } }
  return words[error.name] ?? WORDS[error.name] ?? WORDS[code] ?? WORDS[String($metadata?.httpStatusCode)] ?? (error.name === 'Error' ? code || 'unknown' : error.name)
}

export function unavailable (message: string, cause?: unknown): ServiceError {
  return new ServiceError('unavailable', 'STORE_UNAVAILABLE', message, { cause, retryAfterS: RETRY_AFTER_S })
}
