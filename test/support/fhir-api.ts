/** The FHIR API over a test ward, asked as a caller with given scopes. */

import type { Bundle, OperationOutcome } from '@medplum/fhirtypes'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { authPlugin } from '../../src/auth/auth.plugin.ts'
import type { Principal } from '../../src/auth/principal.ts'
import { type ExtensionScope, type Grant, parseScopes } from '../../src/auth/scope.ts'
import { fhirRoutes } from '../../src/fhir/api/fhir.routes.ts'
import { buildApp } from '../../src/http/app.ts'
import type { EpochMs } from '../../src/model/units.ts'
import { BASE_URL } from './linkage-fixtures.ts'
import type { Ward } from './views.ts'

export interface Asking {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  url: string
  body?: unknown
  headers?: Record<string, string>
}

export interface Caller {
  scope?: string
  patient?: string
  fhirUser?: string
  subject?: string
}

export interface FhirApi {
  app: FastifyInstance
  /** Asks as a system client that may do everything unless told otherwise. */
  ask (asking: Asking, caller?: Caller): Promise<LightMyRequestResponse>
  close (): Promise<void>
}

const EVERYTHING = 'system/*.cruds'

/** The token of a test is its caller as JSON. */
export async function fhirApi (ward: Pick<Ward, 'repository' | 'observations'>, options: { now: () => EpochMs, countMax?: number, entriesMax?: number }): Promise<FhirApi> {
  const app = await buildApp({
    log: { debug () {}, info () {}, warn () {}, error () {} } as never,
    events: { request () {} },
    auth: authPlugin({ verify: async token => principalOf(JSON.parse(Buffer.from(token, 'base64url').toString()) as Caller) }),
    routes: [fhirRoutes({
      store: ward.repository,
      searchObservations: ward.observations.search,
      readObservation: ward.observations.read,
      readObservationHistory: ward.observations.history,
      limits: { countDefault: 100, countMax: options.countMax ?? 1_500, bundleEntriesMax: options.entriesMax ?? 1_000, findingsMax: 50 },
      baseUrl: () => BASE_URL,
      pageKey: Buffer.alloc(32, 5),
      version: '0.1.0',
      now: options.now
    })],
    isDemo: false,
    bodyMax: 8 * 1024 * 1024
  })
  return {
    app,
    ask: ({ method = 'GET', url, body, headers = {} }, caller = {}) => app.inject({
      method,
      url: `/fhir${url}`,
      headers: {
        authorization: `Bearer ${Buffer.from(JSON.stringify(caller)).toString('base64url')}`,
        ...(body === undefined ? {} : { 'content-type': typeof body === 'string' ? 'application/x-www-form-urlencoded' : 'application/fhir+json' }),
        ...headers
      },
      ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) })
    }),
    close: () => app.close()
  }
}

function principalOf ({ scope = EVERYTHING, patient, fhirUser, subject = 'tester' }: Caller): Principal {
  const { scopes } = parseScopes(scope)
  return {
    subject,
    clientId: 'test',
    grants: scopes.filter((one): one is Grant => one.kind === 'grant'),
    extensions: scopes.flatMap(one => one.kind === 'extension' ? [one.name as ExtensionScope] : []),
    ...(patient === undefined ? {} : { patient }),
    ...(fhirUser === undefined ? {} : { fhirUser })
  }
}

export function bundleOf (answer: LightMyRequestResponse): Bundle { return answer.json() as Bundle }

/** `status code`, and the code of the first issue: `400 invalid`. */
export function refusal (answer: LightMyRequestResponse): string {
  return `${answer.statusCode} ${(answer.json() as OperationOutcome).issue?.[0]?.code}`
}
