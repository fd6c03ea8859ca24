/** `/metrics` in the Prometheus text format. Labels come from closed lists only (`observability/events.ts`). */

import type { FastifyPluginAsync } from 'fastify'
import type { Registry } from 'prom-client'

export function metricsRoutes (registry: Registry): FastifyPluginAsync {
  return async app => {
    app.get('/metrics', { config: { access: 'public', audit: 'none' } }, async (_request, reply) => {
      reply.type(registry.contentType)
      return registry.metrics()
    })
  }
}
