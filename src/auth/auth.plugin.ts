/** Enforcement at the door: takes each route's `config.access`, gives `request.principal`, or refuses before the body is read. */

import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { ServiceError } from '../model/errors.ts'
import type { Access, AuditDeclaration } from './access.ts'
import { mayInteract, mayUse, type Principal } from './principal.ts'
import { isResourceType } from './resource-types.ts'
import { tokenInvalid, type VerifyToken } from './verify-token.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
    audit?: AuditDeclaration
  }
  interface FastifyRequest {
    /** Who calls; `null` on routes that are public. */
    principal: Principal | null
  }
}

const CHALLENGE = 'Bearer realm="fhir"'

/** Registered before every route it shall guard. */
export function authPlugin (deps: { verify: VerifyToken }): FastifyPluginAsync {
  const plugin = async (app: FastifyInstance) => {
    app.decorateRequest('principal', null)
    app.addHook('onRequest', async (request, reply) => {
      const { access } = request.routeOptions.config
      if (access === 'public' || request.is404) return
      if (access === undefined) throw new ServiceError('fault', 'ROUTE_UNDECLARED', 'this address does not say who may call it')
      request.principal = await identify(deps.verify, request, reply)
      const missing = missingScope(request.principal, access, request)
      if (missing !== undefined) throw insufficient(reply, missing)
    })
    // A handler that refuses an interaction inside a request has no reply to write the challenge to.
    app.addHook('onSend', async (_request, reply) => {
      if (reply.statusCode === 403 && !reply.hasHeader('WWW-Authenticate')) challengeScope(reply, '')
    })
  }
  // Without its own encapsulation, so that the hooks hold for the routes registered beside it.
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: 'auth' })
}

/** The one token of the header. @throws ServiceError unauthorized TOKEN_MISSING without any, TOKEN_INVALID for more or another scheme */
export function bearerToken (authorizations: readonly string[]): string {
  const [only, ...more] = authorizations
  if (only === undefined) throw new ServiceError('unauthorized', 'TOKEN_MISSING', 'a bearer token is needed: Authorization: Bearer …')
  const token = /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i.exec(only)?.[1]
  if (more.length > 0 || token === undefined) throw tokenInvalid('header')
  return token
}

async function identify (verify: VerifyToken, request: FastifyRequest, reply: FastifyReply): Promise<Principal> {
  try {
    return await verify(bearerToken(authorizationsOf(request.raw.rawHeaders)))
  } catch (error) {
    if (error instanceof ServiceError && error.category === 'unauthorized') {
      reply.header('WWW-Authenticate', error.code === 'TOKEN_MISSING' ? CHALLENGE : `${CHALLENGE}, error="invalid_token"`)
    }
    throw error
  }
}

/** From the raw headers: Node keeps the first of several `Authorization` and drops the others. */
function authorizationsOf (rawHeaders: readonly string[]): string[] {
  const found: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 13 && name.toLowerCase() === 'authorization') found.push(rawHeaders[i + 1]!)
  }
  return found
}

/** What would have sufficed; `''` when that cannot be said; `undefined` when nothing is missing. */
function missingScope (principal: Principal, access: Exclude<Access, 'public'>, request: FastifyRequest): string | undefined {
  if (access === 'token') return undefined
  if ('scope' in access) return mayUse(principal, access.scope) ? undefined : access.scope
  const type = access.type ?? (request.params as { type?: string }).type ?? ''
  if (mayInteract(principal, type, access.letter).length > 0) return undefined
  // The type comes from the address: only a known name may stand in a header.
  return isResourceType(type) ? `user/${type}.${access.letter}` : ''
}

function insufficient (reply: FastifyReply, scope: string): ServiceError {
  challengeScope(reply, scope)
  return new ServiceError('forbidden', 'SCOPE_INSUFFICIENT', 'the token does not allow this')
}

function challengeScope (reply: FastifyReply, scope: string): void {
  reply.header('WWW-Authenticate', `${CHALLENGE}, error="insufficient_scope"${scope === '' ? '' : `, scope="${scope}"`}`)
}
