/** Routes → one Fastify app: every route must declare who may call it and what the audit says of it, or the start fails. */

import { setTimeout as delay } from 'node:timers/promises'
import fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifyReply, type FastifyRequest, type RouteOptions } from 'fastify'
import { ServiceError } from '../model/errors.ts'
import type { Events } from '../observability/events.ts'
import type { Logger } from '../observability/logger.ts'
import { createRouteTable, type RouteTable } from './allowed-methods.ts'
import { answerError } from './error-handler.ts'
import { secureHeadersOf, secureHeadersPlugin } from './secure-headers.plugin.ts'

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
  /** @returns `http://host:port` @throws ServiceError CONFIG_INVALID when the address cannot be had */
  listen (host: string, port: number): Promise<string>
  /** Answers with `Connection: close` from now on, then takes nothing new and lets what runs come to its end. What is
   *  open after `timeoutMs` is cut. @returns whether something was */
  close (timeoutMs: number): Promise<{ wasCut: boolean }>
}

/** Not yet listening. @throws ServiceError ROUTE_UNDECLARED for a route without `config.access` or `config.audit` */
export async function createApp (parts: AppParts): Promise<App> {
  let isClosing = false
  const app = await buildApp(parts, () => isClosing)
  return {
    listen: (host, port) => app.listen({ host, port }).catch((cause: unknown) => { throw cannotListen(cause, port) }),
    close: async timeoutMs => {
      let wasCut = false
      const cut = setTimeout(() => {
        wasCut = true
        app.server.closeAllConnections()
      }, timeoutMs)
      // A connection whose request ended after closing began is idle only then.
      const sweep = setInterval(() => { app.server.closeIdleConnections() }, SWEEP_MS)
      isClosing = true
      try {
        // A connection that is ended between two requests may meet the next one on its way: first everybody hears `Connection: close`.
        if (await hasConnections(app)) await delay(DRAIN_MS)
        await app.close()
      } finally {
        clearTimeout(cut)
        clearInterval(sweep)
      }
      return { wasCut }
    }
  }
}

function cannotListen (cause: unknown, port: number): unknown {
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE': return new ServiceError('incorrect', 'CONFIG_INVALID', `http.port: port ${port} is in use: set another (OXBOW_HTTP_PORT; 0 takes any free one)`, { cause })
    case 'EACCES': return new ServiceError('incorrect', 'CONFIG_INVALID', `http.port: this user may not listen on port ${port}: set another (OXBOW_HTTP_PORT; 0 takes any free one)`, { cause })
    case 'EADDRNOTAVAIL': case 'ENOTFOUND': return new ServiceError('incorrect', 'CONFIG_INVALID', 'http.host: this machine has no such address (OXBOW_HTTP_HOST)', { cause })
    default: return cause
  }
}

/** The app itself, for tests that inject requests. */
export async function buildApp (parts: AppParts, isClosing: () => boolean = () => false): Promise<FastifyInstance> {
  const headers = await secureHeadersOf(HELMET)
  const app = fastify({
    logger: false,
    bodyLimit: parts.bodyMax,
    forceCloseConnections: 'idle',
    // Answered, with `Connection: close`, rather than refused: everything behind the door stops only after it.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 256 },
    frameworkErrors: (error, request, reply) => {
      // No hook runs for an address that cannot be read.
      reply.headers(headers)
      if (parts.isDemo) reply.header(...DEMO)
      sendError(parts, error, request, reply)
    }
  })
  app.addHook('onSend', async (_request, reply) => { if (isClosing()) reply.header('Connection', 'close') })
  const routes = createRouteTable()
  app.addHook('onRoute', route => {
    assertDeclared(route)
    routes.add(route.url, [route.method].flat())
  })
  await app.register(secureHeadersPlugin(HELMET))
  app.setErrorHandler((error, request, reply) => { sendError(parts, error, request, reply) })
  // Before the body is read, whose type does not matter then.
  app.addHook('onRequest', async (request, reply) => { if (request.is404) throw nothingThere(routes, request, reply) })
  app.setNotFoundHandler({}, (request, reply) => { sendError(parts, nothingThere(routes, request, reply), request, reply) })
  app.addHook('onResponse', async (request, reply) => {
    parts.events.request(routeTemplate(request), request.method, reply.statusCode, reply.elapsedTime)
  })
  if (parts.isDemo) app.addHook('onSend', async (_request, reply) => { reply.header(...DEMO) })
  await app.register(parts.auth)
  for (const routes of parts.routes) await app.register(routes)
  await app.ready()
  return app
}

const DEMO = ['Oxbow-Demo', 'DEMO'] as const
/** How often connections that became idle while closing are ended. */
const SWEEP_MS = 50
/** How long answers say `Connection: close` before nothing new is taken. */
const DRAIN_MS = 250

function hasConnections (app: FastifyInstance): Promise<boolean> {
  return new Promise(resolve => { app.server.getConnections((error, count) => { resolve(error === null && count > 0) }) })
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

/** This server speaks plain HTTP: a proxy that speaks TLS adds Strict-Transport-Security. */
const HELMET = { contentSecurityPolicy: { directives: PAGE_POLICY }, strictTransportSecurity: false } as const

/** 404, or 405 with `Allow` where other methods are taken (RFC 9110 §15.5.6). */
function nothingThere (routes: RouteTable, request: FastifyRequest, reply: FastifyReply): ServiceError {
  const allowed = routes.methodsAt(request.url.split('?', 1)[0]!)
  if (allowed.length === 0) return new ServiceError('not-found', 'NOT_FOUND', 'there is nothing at this address')
  reply.header('Allow', allowed.join(', '))
  return new ServiceError('unsupported', 'METHOD_NOT_ALLOWED', `this address takes ${allowed.join(', ')} only`)
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
