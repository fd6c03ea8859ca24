/** `/fhir`: one explicit route for each interaction of each type; HTTP → interaction → answer → HTTP. */

import { randomUUID } from 'node:crypto'
import type { Bundle, OperationOutcome, Resource } from '@medplum/fhirtypes'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { RouteDeclaration } from '../../auth/access.ts'
import { mayInteract, type Principal } from '../../auth/principal.ts'
import type { Letter } from '../../auth/scope.ts'
import { ServiceError } from '../../model/errors.ts'
import type { EpochMs } from '../../model/units.ts'
import { unsupported } from './bundle-entry.ts'
import { capabilityStatement } from './capability.ts'
import { acceptsJson, parseJsonBody, parsePrefer, type Preference } from './http-request.ts'
import { type Answer, type Caller, type FhirDeps, type Interaction, type InteractionCode, INTERACTIONS, isStored, LETTER } from './interaction.ts'
import type { Visibility } from '../words/search-words.ts'
import { outcome } from './outcome.ts'
import type { SearchableType } from './search-parameters.ts'
import { interact, processBundle } from './transaction.ts'
import { profilesOf, validateForWrite } from '../validation/validate.ts'

export interface FhirRoutesDeps extends Omit<FhirDeps, 'validate' | 'newId'> {
  now: () => EpochMs
  /** Version of the software, for the CapabilityStatement. */
  version: string
}

const FHIR_JSON = 'application/fhir+json; charset=utf-8'

/** Everything but GET metadata needs a token; every body limit is the app's. */
export function fhirRoutes (parts: FhirRoutesDeps): FastifyPluginAsync {
  const deps: FhirDeps = { ...parts, validate: resource => validateForWrite(resource, { findingsMax: parts.limits.findingsMax }), newId: randomUUID }
  return async app => {
    readBodies(app)
    app.addHook('preValidation', refuseOtherFormats)
    const since = parts.now()
    const open: RouteDeclaration = { access: 'public', audit: 'none' }
    app.get('/fhir/metadata', { config: open }, async (_request, reply) =>
      send(reply, 200, JSON.stringify(capabilityStatement({ baseUrl: deps.baseUrl(), version: parts.version, since, profiles: profilesOf }))))
    const bundle: RouteDeclaration = { access: 'token', audit: 'fhir.operation' }
    app.post('/fhir', { config: bundle }, async (request, reply) => {
      const { lenient, return: wanted } = preferenceOf(request)
      const answer = await processBundle(request.body, callerOf(request, parts.now()), deps, { lenient, withResources: wanted === 'representation' })
      return send(reply, 200, JSON.stringify(answer))
    })
    for (const type of Object.keys(INTERACTIONS) as SearchableType[]) {
      for (const code of INTERACTIONS[type]) addInteraction(app, type, code, deps, parts.now)
      refuseRest(app, type)
    }
  }
}

const AUDIT: Record<InteractionCode, RouteDeclaration['audit']> = {
  read: 'fhir.read', vread: 'fhir.vread', 'history-instance': 'fhir.history', 'search-type': 'fhir.search', create: 'fhir.create', update: 'fhir.update'
}

const ROUTE: Record<InteractionCode, readonly (readonly ['GET' | 'POST' | 'PUT', string])[]> = {
  read: [['GET', '/:id']],
  vread: [['GET', '/:id/_history/:versionId']],
  'history-instance': [['GET', '/:id/_history']],
  'search-type': [['GET', ''], ['POST', '/_search']],
  create: [['POST', '']],
  update: [['PUT', '/:id']]
}

function addInteraction (app: FastifyInstance, type: SearchableType, code: InteractionCode, deps: FhirDeps, now: () => EpochMs): void {
  const config: RouteDeclaration = { access: { letter: LETTER[code], type }, audit: AUDIT[code] }
  for (const [method, path] of ROUTE[code]) {
    app.route({
      method,
      url: `/fhir/${type}${path}`,
      config,
      handler: async (request, reply) => {
        const answer = await interact(interactionOf(request, type, code), callerOf(request, now()), deps)
        return sendAnswer(request, reply, code, answer, deps.baseUrl())
      }
    })
  }
}

/** What a type does not offer is answered 405 with what to do instead, after the token was checked. */
function refuseRest (app: FastifyInstance, type: SearchableType): void {
  const config: RouteDeclaration = { access: 'token', audit: 'none' }
  const refuse = (method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: '' | '/:id', code: string): void => {
    const allowed = allowOf(type, path)
    const answer = async (_request: FastifyRequest, reply: FastifyReply) => {
      reply.header('Allow', allowed)
      throw unsupported(code, type)
    }
    // Before the body: a patch comes in formats that nothing here reads.
    app.route({ method, url: `/fhir/${type}${path}`, config, onRequest: answer, handler: answer })
  }
  refuse('PATCH', '/:id', 'patch')
  refuse('DELETE', '/:id', 'delete')
  refuse('PUT', '', 'conditional update')
  refuse('PATCH', '', 'conditional patch')
  refuse('DELETE', '', 'conditional delete')
  if (isStored(type)) return
  refuse('POST', '', 'create')
  refuse('PUT', '/:id', 'update')
}

/** What the routes of the type take at a path; where GET is taken, HEAD is. */
function allowOf (type: SearchableType, path: string): string {
  const routes = INTERACTIONS[type].flatMap(code => ROUTE[code]).filter(([, own]) => own === path)
  return routes.flatMap(([method]) => method === 'GET' ? ['GET', 'HEAD'] : [method]).join(', ')
}

function readBodies (app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(['application/fhir+json', 'application/json'], { parseAs: 'string' }, async (_request: FastifyRequest, text: string) => parseJsonBody(text))
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, async (_request: FastifyRequest, text: string) => text)
}

async function refuseOtherFormats (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  const format = new URLSearchParams(queryOf(request)).get('_format') ?? undefined
  if (acceptsJson(request.headers.accept, format)) return undefined
  return send(reply, 406, JSON.stringify(outcome('not-supported', 'only application/fhir+json is spoken here')))
}

const ID = /^[A-Za-z0-9\-.]{1,64}$/

function interactionOf (request: FastifyRequest, type: SearchableType, code: InteractionCode): Interaction {
  const { id, versionId } = request.params as { id?: string, versionId?: string }
  // What is no id names nothing: the same answer as for an absent resource.
  if ((id !== undefined && !ID.test(id)) || (versionId !== undefined && !ID.test(versionId))) throw new ServiceError('not-found', 'FHIR_NOT_FOUND', 'no such resource')
  const ifMatch = request.headers['if-match']
  const ifNoneExist = request.headers['if-none-exist']
  const isForm = typeof request.body === 'string'
  if (code === 'search-type' && request.method === 'POST' && request.body !== undefined && request.body !== null && !isForm) throw wrongBody()
  if ((code === 'create' || code === 'update') && isForm) throw wrongBody()
  return {
    code,
    type,
    ...(id === undefined ? {} : { id }),
    ...(versionId === undefined ? {} : { versionId }),
    query: queryOf(request),
    lenient: preferenceOf(request).lenient,
    ...(code === 'search-type' && isForm ? { form: request.body as string } : {}),
    ...(code === 'create' || code === 'update' ? { resource: (request.body ?? {}) as Resource } : {}),
    ...(code === 'update' && ifMatch !== undefined ? { ifMatch } : {}),
    ...(code === 'create' && typeof ifNoneExist === 'string' ? { ifNoneExist } : {})
  }
}

function wrongBody (): ServiceError {
  return new ServiceError('incorrect', 'INPUT_TYPE', 'resources come as application/fhir+json, the parameters of _search as application/x-www-form-urlencoded')
}

function callerOf (request: FastifyRequest, now: EpochMs): Caller {
  const { principal } = request
  if (principal === null) throw new ServiceError('fault', 'ROUTE_UNDECLARED', 'a FHIR route was reached without a token')
  return { name: `${principal.subject}|${principal.clientId}`, now, access: (type, letter) => visibilityOf(principal, type, letter) }
}

/** @throws ServiceError forbidden SCOPE_INSUFFICIENT when no grant fits */
function visibilityOf (principal: Principal, type: SearchableType, letter: Letter): Visibility {
  const reaches = mayInteract(principal, type, letter)
  if (reaches.length === 0) throw new ServiceError('forbidden', 'SCOPE_INSUFFICIENT', `the token does not allow this on ${type}`)
  return reaches.map(({ patientId, filters }) => patientId === undefined ? { filters } : { patientId, filters })
}

function sendAnswer (request: FastifyRequest, reply: FastifyReply, code: InteractionCode, answer: Answer, baseUrl: string): FastifyReply {
  const { versionId, lastUpdated, location, status } = answer
  if (versionId !== undefined) reply.header('ETag', `W/"${versionId}"`)
  if (lastUpdated !== undefined) reply.header('Last-Modified', new Date(lastUpdated).toUTCString())
  const writes = code === 'create' || code === 'update'
  if (writes && location !== undefined) reply.header('Location', `${baseUrl}/${location}/_history/${versionId}`)
  if (code === 'read' && versionId !== undefined && matchesEtag(request.headers['if-none-match'], versionId)) return reply.code(304).send()
  if (writes) return sendWritten(reply, status, answer, preferenceOf(request))
  return send(reply, status, answer.text ?? JSON.stringify(answer.resource))
}

function sendWritten (reply: FastifyReply, status: number, answer: Answer, preference: Preference): FastifyReply {
  if (preference.return === 'minimal') return reply.code(status).send()
  const body: Resource | Bundle | OperationOutcome | undefined = preference.return === 'OperationOutcome'
    ? outcome('informational', status === 201 ? 'created' : 'stored', 'information')
    : answer.resource
  return send(reply, status, JSON.stringify(body))
}

function matchesEtag (header: string | undefined, versionId: string): boolean {
  return header?.split(',').some(tag => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === `"${versionId}"`) ?? false
}

function send (reply: FastifyReply, status: number, body: string): FastifyReply { return reply.code(status).type(FHIR_JSON).send(body) }

function preferenceOf (request: FastifyRequest): Preference {
  const { prefer } = request.headers
  return parsePrefer(Array.isArray(prefer) ? prefer.join(',') : prefer)
}

function queryOf (request: FastifyRequest): string {
  const mark = request.url.indexOf('?')
  return mark < 0 ? '' : request.url.slice(mark + 1)
}
