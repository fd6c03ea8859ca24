import helmet from '@fastify/helmet'
import fastify from 'fastify'
import { expect, test } from 'vitest'
import { secureHeadersPlugin } from '../../../src/http/secure-headers.plugin.ts'

const OPTIONS = { contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], imgSrc: ["'self'"], upgradeInsecureRequests: null } } }
const OWN = new Set(['date', 'connection', 'content-length', 'content-type'])

async function headersOf (url: string, isOurs: boolean): Promise<object> {
  const app = fastify()
  await app.register(isOurs ? secureHeadersPlugin(OPTIONS) : helmet, OPTIONS)
  app.get('/', async () => 'text')
  app.get('/fails', async () => { throw new Error('on purpose') })
  const { headers } = await app.inject(url)
  await app.close()
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN.has(name)))
}

test('every answer has the headers that helmet sets: pages, errors, and addresses at which there is nothing', async () => {
  for (const url of ['/', '/fails', '/nothing']) {
    const ours = await headersOf(url, true)
    expect(ours).toEqual(await headersOf(url, false))
    expect(ours).toHaveProperty('content-security-policy', expect.stringContaining("default-src 'none'"))
  }
})
