/** Routes → one Fastify app: every route must declare who may call it and what the audit says of it, or the start fails. */

import fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyReply, type FastifyRequest, type RouteOptions } from 'fastify'
import { ServiceError } from '../model/errors.ts'
import type { Events } from '../observability/events.ts'
import type { Logger } from '../observability/logger.ts'
import { answerError } from './error-handler.ts'
import { secureHeadersPlugin } from './secure-headers.plugin.ts'

export interface AppParts {
  log: Logger
  events: Pick<Events, 'request'>
  /** Verifies tokens and enforces each route's `access`; registered before every route. */
  auth: FastifyPluginAsync
  /** One per room, each with its prefix in its own routes. */
  routes: readonly FastifyPluginAsync[]
  /** Marks every response as demonstration data. */
  isDemo: boolean
  /** Largest body of a route that names no limit of its own. */
  bodyMax: number
}

export interface App {
  /** @returns `http://host:port` */
  listen (host: string, port: number): Promise<string>
  /** Takes no more requests; those running may end, and are cut after `timeoutMs`. */
  close (timeoutMs: number): Promise<void>
}

/** Not yet listening. @throws ServiceError ROUTE_UNDECLARED for a route without `config.access` or `config.audit` */
export async function createApp (parts: AppParts): Promise<App> {
  const app = await buildApp(parts)
  return {
    listen: (host, port) => app.listen({ host, port }),
    close: async timeoutMs => {
      const cut = setTimeout(() => { app.server.closeAllConnections() }, timeoutMs)
      try {
        await app.close()
      } finally {
        clearTimeout(cut)
      }
    }
  }
}

/** The app itself, for tests that inject requests. */
export async function buildApp (parts: AppParts): Promise<FastifyInstance> {
  const app = fastify({ logger: false, bodyLimit: parts.bodyMax, forceCloseConnections: 'idle', routerOptions: { maxParamLength: 256 } })
  app.addHook('onRoute', assertDeclared)
  await app.register(secureHeadersPlugin({ contentSecurityPolicy: { directives: PAGE_POLICY } }))
  app.setErrorHandler((error, request, reply) => { sendError(parts, error, request, reply) })
  app.setNotFoundHandler({}, (request, reply) => {
    sendError(parts, new ServiceError('not-found', 'FHIR_NOT_FOUND', 'there is nothing at this address'), request, reply)
  })
  app.addHook('onResponse', async (request, reply) => {
    parts.events.request(routeTemplate(request), request.method, reply.statusCode, reply.elapsedTime)
  })
  if (parts.isDemo) app.addHook('onSend', async (_request, reply) => { reply.header('Oxbow-Demo', 'DEMO') })
  await app.register(parts.auth)
  for (const routes of parts.routes) await app.register(routes)
  await app.ready()
  return app
}

/** The front page is plain HTML with its own style and pictures; nothing is loaded from elsewhere. */
const PAGE_POLICY = {
  defaultSrc: ["'none'"],
  styleSrc: ["'self'", "'unsafe-inline'"],
  imgSrc: ["'self'", 'data:'],
  connectSrc: ["'self'"],
  scriptSrc: ["'self'"],
  formAction: ["'none'"],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
  upgradeInsecureRequests: null
}

function assertDeclared (route: RouteOptions): void {
  const declared = route.config as { access?: unknown, audit?: unknown } | undefined
  if (declared?.access !== undefined && declared.audit !== undefined) return
  throw new ServiceError('fault', 'ROUTE_UNDECLARED', `route ${String(route.method)} ${route.url} declares no access or no audit kind`)
}

function sendError (parts: AppParts, error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const answer = answerError(error, request.url, parts.log, { route: routeTemplate(request), method: request.method })
  if (answer.retryAfterS !== undefined) reply.header('Retry-After', String(answer.retryAfterS))
  void reply.code(answer.status).type(answer.type).send(answer.body)
}

function routeTemplate (request: FastifyRequest): string { return request.routeOptions.url ?? 'none' }
