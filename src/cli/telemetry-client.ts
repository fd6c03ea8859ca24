/** Records → `POST /ingest/telemetry`, as a device's gateway does it: a batch at a time, again when the server says "later". */

import { setTimeout as delay } from 'node:timers/promises'
import { ServiceError } from '../model/errors.ts'

/** `TissueOxygen` v2 in JSON (docs/ingest.md). */
export interface TelemetryRecord {
  deviceId: string
  patientId: string | null
  timestamp_utc: number
  sequence: number | null
  channels: readonly { metric: string, kind: string, unit: string, value: number }[]
  battery_mv: number | null
  firmware_version: string | null
  signal_quality: number | null
}

export interface TelemetryAnswer {
  received: number
  accepted: number
  quarantined: number
  rejected?: readonly { index: number, reason: string }[]
  fields?: readonly { index: number, field: string, reason: string }[]
}

const ATTEMPTS_MAX = 8

export interface TelemetryClient {
  /** Resolves once the server holds the records durably. @throws ServiceError unavailable after {@link ATTEMPTS_MAX} tries, forbidden, incorrect */
  send (records: readonly TelemetryRecord[]): Promise<TelemetryAnswer>
}

export interface TelemetryClientOptions {
  /** Base address of the server. */
  url: string
  /** Asked before each request: tokens end. */
  token: () => Promise<string>
  signal: AbortSignal
  timeoutMs?: number
}

export function createTelemetryClient ({ url, token, signal, timeoutMs = 30_000 }: TelemetryClientOptions): TelemetryClient {
  const address = new URL('/ingest/telemetry', url)
  return {
    send: async records => {
      const body = JSON.stringify(records)
      for (let attempt = 1; ; attempt++) {
        const answer = await post(address, await token(), body, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]))
        // 400 too may be an answer: nothing could be read, and all of it is in quarantine.
        const counts = answer?.status === 200 || answer?.status === 400 ? await countsOf(answer) : undefined
        if (counts !== undefined) return counts
        signal.throwIfAborted()
        if (answer !== undefined && answer.status !== 429 && answer.status < 500) throw refused(answer.status)
        if (attempt === ATTEMPTS_MAX) throw new ServiceError('unavailable', 'HTTP_UNREACHABLE', `the server did not take the readings in ${ATTEMPTS_MAX} tries`)
        const waitS = Number(answer?.headers.get('Retry-After') ?? Math.min(8, 2 ** (attempt - 2)))
        await delay(waitS * 1000, undefined, { signal })
      }
    }
  }
}

/** `undefined`: no answer. */
async function post (address: URL, token: string, body: string, signal: AbortSignal): Promise<Response | undefined> {
  try {
    return await fetch(address, { method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` }, body, signal })
  } catch {
    return undefined
  }
}

async function countsOf (answer: Response): Promise<TelemetryAnswer | undefined> {
  const body = await answer.json().catch(() => undefined) as Partial<TelemetryAnswer> | undefined
  return typeof body?.received === 'number' ? body as TelemetryAnswer : undefined
}

function refused (status: number): ServiceError {
  if (status === 401 || status === 403) return new ServiceError('forbidden', 'TOKEN_INVALID', `the server answered ${status}: the token must be its own and hold the scope __telemetry.write`)
  return new ServiceError('incorrect', 'HTTP_REFUSED', `the server answered ${status}`)
}
