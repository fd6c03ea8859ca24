/** `POST /ingest/telemetry`: a request's bytes → `accept`, its answer → the caller (docs/ingest.md). */

import type { FastifyPluginAsync } from 'fastify'
import type { RouteDeclaration } from '../auth/access.ts'
import { ServiceError } from '../model/errors.ts'
import type { EpochMs } from '../model/units.ts'
import type { Events } from '../observability/events.ts'
import type { Accept } from './accept.ts'
import type { ArrivalCounters } from './counters.ts'
import { schemaIdIn } from './decode/schemas.ts'

export interface IngestRoutesDeps {
  accept: Accept
  counters: Pick<ArrivalCounters, 'refused'>
  events: Pick<Events, 'refused'>
  now: () => EpochMs
  /** Largest body as sent, in bytes; larger: 413. */
  bodyBytesMax: number
}

/** Requests that are no input, in whole or (429) in part: what is refused is not kept. */
const REFUSALS: ReadonlySet<number> = new Set([401, 403, 413, 415, 429])
const NO_BYTES = Buffer.alloc(0)

export function ingestRoutes ({ accept, counters, events, now, bodyBytesMax }: IngestRoutesDeps): FastifyPluginAsync {
  return async app => {
    // Every type is taken as bytes: `accept` decides which it reads, so that no parser of the framework sees them.
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: bodyBytesMax }, (_request, bytes, done) => { done(null, bytes) })
    app.addHook('onResponse', async (_request, reply) => {
      if (!REFUSALS.has(reply.statusCode)) return
      counters.refused(now(), reply.statusCode)
      events.refused(reply.statusCode)
    })
    const config: RouteDeclaration = { access: { scope: '__telemetry.write' }, audit: 'ingest.batch' }
    app.post('/ingest/telemetry', { config, bodyLimit: bodyBytesMax }, async (request, reply) => {
      const { principal } = request
      const { status, body, retryAfterS } = await accept({
        bytes: Buffer.isBuffer(request.body) ? request.body : NO_BYTES,
        contentType: request.headers['content-type'] ?? '',
        contentEncoding: request.headers['content-encoding'] ?? '',
        schemaId: declaredSchema(request.headers['oxbow-schema-id'])
      }, principal === null ? '' : `${principal.clientId} ${principal.subject}`)
      if (retryAfterS !== undefined) reply.header('Retry-After', String(retryAfterS))
      return reply.code(status).send(body)
    })
  }
}

/** @throws ServiceError INPUT_TYPE when it is no id */
function declaredSchema (header: string | string[] | undefined): number | undefined {
  if (header === undefined) return undefined
  const id = typeof header === 'string' ? schemaIdIn(header) : 0
  if (id === 0) throw new ServiceError('unsupported', 'INPUT_TYPE', 'Oxbow-Schema-Id is the id of a schema, a whole number from 1')
  return id
}
