/** A FHIR server as destination: transaction Bundles by POST to its base, asked again by search after a lost answer. */

import { readFile } from 'node:fs/promises'
import { ServiceError } from '../../model/errors.ts'
import { type HttpAnswer, type HttpLimits, type HttpRequest, sendHttp } from '../../platform/http-client.ts'
import { BUNDLE_ENTRIES_MAX, type Destination, type SendOutcome } from './destination.ts'

export interface FhirDestinationOptions {
  name: string
  /** Base URL, without a query. */
  baseUrl: string
  /** Read at every request, so that a token may be changed under way. */
  tokenFile?: string
  patientSystem?: string
  entriesMax?: number
  limits?: Partial<HttpLimits>
}

const LIMITS: HttpLimits = { timeoutMs: 30_000, responseBytesMax: 16 * 1024 * 1024 }

/** The Bundle is fine; the login, the moment or the other system is not. */
const RETRIED: ReadonlySet<number> = new Set([401, 403, 408, 409, 425, 429])

export function createFhirDestination (options: FhirDestinationOptions): Destination {
  const base = options.baseUrl.replace(/\/+$/, '')
  // The address a setting names is the only one this destination may ever call.
  const limits: HttpLimits = { ...LIMITS, allowedOrigins: new Set([new URL(base).origin]), ...options.limits }

  async function ask (request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const token = options.tokenFile === undefined ? undefined : (await readFile(options.tokenFile, 'utf8')).trim()
    const headers = { accept: 'application/fhir+json', ...request.headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
    return sendHttp({ ...request, headers }, limits, signal)
  }

  return {
    name: options.name,
    patientSystem: options.patientSystem,
    form: 'transaction',
    entriesMax: options.entriesMax ?? BUNDLE_ENTRIES_MAX,
    async send ({ text }, signal) {
      try {
        const headers = { 'content-type': 'application/fhir+json', prefer: 'return=minimal' }
        return outcomeOf(await ask({ method: 'POST', url: base, headers, body: text }, signal))
      } catch (error) {
        return { outcome: 'retry', reason: error instanceof ServiceError ? error.code : 'TOKEN_FILE' }
      }
    },
    async holds (query, issued, signal) {
      try {
        const answer = await ask({ method: 'GET', url: `${base}/Observation?${query}` }, signal)
        if (answer.status >= 400 && answer.status < 500 && !RETRIED.has(answer.status)) return false
        if (answer.status !== 200) return undefined
        return issuedTimes(answer.text).some(time => time >= issued)
      } catch {
        return undefined
      }
    }
  }
}

function outcomeOf (answer: HttpAnswer): SendOutcome {
  const { status } = answer
  if (status >= 200 && status < 300) {
    const receiverIds = receiverIdsOf(answer.text)
    return receiverIds === undefined ? { outcome: 'delivered' } : { outcome: 'delivered', receiverIds }
  }
  if (status < 400 || status >= 500 || RETRIED.has(status)) {
    const retryAfterMs = retryAfter(answer)
    return { outcome: 'retry', reason: `HTTP_${status}`, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  }
  const issues = issueCodes(answer.text)
  const reason = status === 412 ? 'patient-ambiguous' : 'refused'
  return { outcome: 'refused', reason: [reason, ...issues].join(' '), status }
}

function retryAfter (answer: HttpAnswer): number | undefined {
  const seconds = Number(answer.header('retry-after'))
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : undefined
}

interface AnswerBundle {
  entry?: { resource?: { resourceType?: unknown, issued?: unknown }, response?: { location?: unknown } }[]
  issue?: { code?: unknown }[]
}

function parsed (text: string): AnswerBundle | undefined {
  try {
    const body: unknown = JSON.parse(text)
    return typeof body === 'object' && body !== null ? body : undefined
  } catch {
    return undefined
  }
}

function receiverIdsOf (text: string): (string | undefined)[] | undefined {
  const entries = parsed(text)?.entry
  if (!Array.isArray(entries)) return undefined
  return entries.map(entry => {
    const location = entry?.response?.location
    return typeof location === 'string' ? /(?:^|\/)[A-Z][A-Za-z]+\/([A-Za-z0-9.-]{1,64})/.exec(location)?.[1] : undefined
  })
}

function issuedTimes (text: string): number[] {
  const entries = parsed(text)?.entry
  if (!Array.isArray(entries)) return []
  return entries.filter(entry => entry?.resource?.resourceType === 'Observation').map(entry => Date.parse(String(entry.resource?.issued))).filter(Number.isFinite)
}

/** Codes only: the text of an answer may name a patient. */
function issueCodes (text: string): string[] {
  const issues = parsed(text)?.issue
  if (!Array.isArray(issues)) return []
  return issues.map(issue => issue?.code).filter(code => typeof code === 'string' && /^[a-z-]{1,32}$/.test(code)).slice(0, 8) as string[]
}
