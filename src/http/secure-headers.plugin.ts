/** Security headers on every answer. Helmet works them out anew for each request, though they never change: here it is asked once. */

import helmet, { type FastifyHelmetOptions } from '@fastify/helmet'
import fastify, { type FastifyInstance, type FastifyPluginAsync } from 'fastify'

/** To be registered before every route; sets what helmet with these options would. */
export function secureHeadersPlugin (options: FastifyHelmetOptions): FastifyPluginAsync {
  const plugin = async (app: FastifyInstance) => {
    const headers = await secureHeadersOf(options)
    app.addHook('onRequest', (_request, reply, done) => {
      reply.headers(headers)
      done()
    })
  }
  // Without its own encapsulation, so that the hook holds for the routes registered beside it.
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: 'secure-headers' })
}

/** What helmet sets on an answer that has nothing else. */
export async function secureHeadersOf (options: FastifyHelmetOptions): Promise<Record<string, string>> {
  const probe = fastify({ logger: false })
  await probe.register(helmet, options)
  let headers: Record<string, string> = {}
  probe.get('/', async (_request, reply) => {
    headers = reply.raw.getHeaders() as Record<string, string>
    return ''
  })
  await probe.inject('/')
  await probe.close()
  return { ...headers }
}
