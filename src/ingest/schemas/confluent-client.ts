/** An external registry that speaks Confluent's API: an id → its schema and where it is registered, or that there is none, or that it does not answer. */

import { ServiceError } from '../../model/errors.ts'
import { type HttpAnswer, sendHttp } from '../../platform/http-client.ts'
import { SCHEMA_BYTES_MAX } from './compiled-schema.ts'

export interface ExternalRegistrySettings {
  /** Base URL, without a trailing slash. */
  url: string
  /** Value of the header; '' for none. */
  authorization: string
  /** Of one request. Default 5 s. */
  timeoutMs?: number
}

export interface SubjectVersion { subject: string, version: number }

export type Fetched =
  | { is: 'schema', type: string, text: string, hasReferences: boolean, versions: readonly SubjectVersion[] }
  | { is: 'unknown' }
  /** `detail` says what it answered, without anything that was sent. */
  | { is: 'unavailable', detail: string }

export type FetchSchema = (id: number) => Promise<Fetched>

const TIMEOUT_MS = 5_000
/** Each character of a schema may take several in its JSON. */
const RESPONSE_BYTES_MAX = 6 * SCHEMA_BYTES_MAX
const VERSIONS_MAX = 1_000

export function createConfluentClient ({ url, authorization, timeoutMs = TIMEOUT_MS }: ExternalRegistrySettings): FetchSchema {
  const origin = new URL(url).origin
  const headers = { Accept: 'application/vnd.schemaregistry.v1+json, application/json', ...(authorization === '' ? {} : { Authorization: authorization }) }
  const get = (path: string) => sendHttp({ method: 'GET', url: url + path, headers }, { timeoutMs, responseBytesMax: RESPONSE_BYTES_MAX, allowedOrigins: new Set([origin]) })
  return async id => {
    try {
      const answer = await get(`/schemas/ids/${id}`)
      if (answer.status === 404) return { is: 'unknown' }
      const schema = objectIn(answer)
      if (typeof schema['schema'] !== 'string') return unavailable(answer.status)
      const { schemaType = 'AVRO', references } = schema
      return { is: 'schema', type: String(schemaType), text: schema['schema'], hasReferences: Array.isArray(references) && references.length > 0, versions: versionsIn(await get(`/schemas/ids/${id}/versions?deleted=true`)) }
    } catch (error) {
      if (error instanceof ServiceError) return { is: 'unavailable', detail: error.message }
      throw error
    }
  }
}

function unavailable (status: number): Fetched { return { is: 'unavailable', detail: `the registry answered ${status}` } }

function objectIn ({ status, text }: HttpAnswer): Readonly<Record<string, unknown>> {
  const parsed = status === 200 ? parse(text) : undefined
  return typeof parsed === 'object' && parsed !== null ? parsed as Readonly<Record<string, unknown>> : {}
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A registry that does not know the question has no subjects for us. @throws ServiceError HTTP_UNREACHABLE when it fails to answer it */
function versionsIn (answer: HttpAnswer): SubjectVersion[] {
  if (answer.status === 404 || answer.status === 405) return []
  const parsed = answer.status === 200 ? parse(answer.text) : undefined
  if (!Array.isArray(parsed)) throw new ServiceError('unavailable', 'HTTP_UNREACHABLE', `the registry answered ${answer.status}`)
  return parsed.slice(0, VERSIONS_MAX).flatMap((entry: unknown) => {
    const { subject, version } = typeof entry === 'object' && entry !== null ? entry as { subject?: unknown, version?: unknown } : {}
    return typeof subject === 'string' && Number.isInteger(version) ? [{ subject, version: version as number }] : []
  })
}
