/** `/health/live`: the process answers. `/health/ready`: it takes readings, or the names of what is missing. */

import type { FastifyPluginAsync } from 'fastify'
import type { OperationalAlarm } from '../observability/events.ts'

export interface Health {
  /** Names of parts without which nothing can be taken in or answered; empty: ready. */
  missing (): Promise<readonly string[]>
  /** Conditions an operator must look at while the server goes on. */
  alarms (): readonly OperationalAlarm[]
  /** Facts that stand beside: rules without a signed limit, for example. */
  notes (): readonly string[]
}

export function healthRoutes (health: Health): FastifyPluginAsync {
  return async app => {
    app.get('/health/live', { config: { access: 'public', audit: 'none' } }, async () => ({ status: 'live' }))
    app.get('/health/ready', { config: { access: 'public', audit: 'none' } }, async (_request, reply) => {
      const missing = await health.missing()
      reply.code(missing.length === 0 ? 200 : 503)
      return { status: missing.length === 0 ? 'ready' : 'not-ready', missing, alarms: health.alarms(), notes: health.notes() }
    })
  }
}
