/** What an EHR does: JSON requests with a token. */

export interface FhirAnswer<T = Record<string, unknown>> { status: number, headers: Headers, body: T }

export interface FhirClient {
  get<T = Bundle> (path: string, headers?: Record<string, string>): Promise<FhirAnswer<T>>
  send<T = Record<string, unknown>> (method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body: unknown, headers?: Record<string, string>): Promise<FhirAnswer<T>>
  /** Every entry of a search, `next` links followed. */
  all<T = Observation> (path: string): Promise<T[]>
  telemetry (body: string | Uint8Array, type: string, headers?: Record<string, string>): Promise<FhirAnswer<TelemetryAnswer>>
}

export interface TelemetryAnswer { received: number, accepted: number, quarantined: number, rejected: { index: number, reason: string, detail: string, field?: string }[], fields: { index: number, reason: string }[] }
export interface Bundle<T = Record<string, unknown>> { resourceType: 'Bundle', total?: number, link?: { relation: string, url: string }[], entry?: { resource: T, fullUrl?: string, response?: { status: string, location?: string } }[] }

/** As far as tests look. */
export interface Observation {
  resourceType: 'Observation'
  id: string
  meta: { versionId: string, lastUpdated: string, profile?: string[], tag?: { code: string }[] }
  status: string
  identifier: { system: string, value: string }[]
  code: { coding: { system: string, code: string }[] }
  subject: { reference: string }
  device?: { reference: string }
  effectivePeriod?: { start: string, end: string }
  effectiveDateTime?: string
  issued: string
  valueQuantity?: { value: number, unit: string, code: string }
  valueSampledData?: { origin: { value: number, code: string }, period: number, factor?: number, data: string }
  dataAbsentReason?: { coding: { code: string }[] }
}

export function createFhirClient (address: string, token: string): FhirClient {
  const call = async <T>(path: string, init: RequestInit): Promise<FhirAnswer<T>> => {
    const response = await fetch(new URL(path, address), { ...init, headers: { Authorization: `Bearer ${token}`, ...init.headers } })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: (text === '' ? undefined : JSON.parse(text)) as T }
  }
  const get = <T>(path: string, headers: Record<string, string> = {}) => call<T>(path, { headers })
  return {
    get: get as FhirClient['get'],
    send: (method, path, body, headers = {}) => call(path, { method, body: JSON.stringify(body), headers: { 'Content-Type': 'application/fhir+json', ...headers } }),
    all: async <T>(path: string) => {
      const resources: T[] = []
      for (let next: string | undefined = path; next !== undefined;) {
        const { status, body }: FhirAnswer<Bundle<T>> = await get<Bundle<T>>(next)
        if (status !== 200) throw new Error(`search answered ${status}`)
        resources.push(...(body.entry ?? []).map(entry => entry.resource))
        next = body.link?.find(link => link.relation === 'next')?.url
      }
      return resources
    },
    telemetry: (body, type, headers = {}) => call('/ingest/telemetry', { method: 'POST', body: body as string, headers: { 'Content-Type': type, ...headers } })
  }
}

/** Asks again until the answer holds, woken by nothing but time: the server tells nobody outside when a window has closed. @throws the last failure after `timeoutMs` */
export async function eventually<T> (ask: () => Promise<T>, timeoutMs = 30_000): Promise<T> {
  const until = Date.now() + timeoutMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (Date.now() > until) throw error
      await new Promise(resolve => { setTimeout(resolve, 100) })
    }
  }
}
