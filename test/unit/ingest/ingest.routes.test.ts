import fastify, { type FastifyInstance } from 'fastify'
import { afterEach, expect, test } from 'vitest'
import { ingestRoutes } from '../../../src/ingest/ingest.routes.ts'
import { ServiceError } from '../../../src/model/errors.ts'
import { epochMs } from '../../../src/model/units.ts'
import type { IncomingBody } from '../../../src/ingest/decode/content.ts'

let app: FastifyInstance
afterEach(() => app?.close())

async function appWith (accept: (body: IncomingBody, gateway: string) => Promise<never> | Promise<object>, principal: object | null = null) {
  const refused: number[] = []
  app = fastify()
  app.decorateRequest('principal', null)
  app.addHook('onRequest', async request => { request.principal = principal as never })
  const declared: unknown[] = []
  app.addHook('onRoute', route => { declared.push(route.config) })
  app.setErrorHandler((error, _request, reply) => {
    const code = error instanceof ServiceError ? error.code : (error as { code: string }).code
    void reply.code(code === 'BUS_FULL' ? 429 : code === 'INPUT_TYPE' ? 415 : code === 'FST_ERR_CTP_BODY_TOO_LARGE' ? 413 : 503).send({ code })
  })
  await app.register(ingestRoutes({ accept: accept as never, counters: { refused: (_at, status) => { refused.push(status) } }, events: { refused () {} }, now: () => epochMs(0), bodyBytesMax: 1_000 }))
  return { refused, declared }
}

test('any type of body comes to accept as bytes, with its type and encoding', async () => {
  const seen: IncomingBody[] = []
  await appWith(async body => { seen.push(body); return { status: 200, body: { received: 0 } } })
  for (const type of ['application/json', 'application/avro', 'text/plain', 'multipart/form-data; boundary=x']) {
    const answer = await app.inject({ method: 'POST', url: '/ingest/telemetry', payload: Buffer.from('{"a":'), headers: { 'content-type': type, 'content-encoding': 'gzip' } })
    expect([answer.statusCode, answer.json()]).toEqual([200, { received: 0 }])
  }
  await app.inject({ method: 'POST', url: '/ingest/telemetry' })
  expect(seen.map(({ contentType, contentEncoding, bytes }) => [contentType, contentEncoding, bytes.length])).toEqual([
    ['application/json', 'gzip', 5], ['application/avro', 'gzip', 5], ['text/plain', 'gzip', 5], ['multipart/form-data; boundary=x', 'gzip', 5], ['', '', 0]
  ])
})

test('the header Oxbow-Schema-Id names the schema of a body without a frame, and nothing but an id may stand there', async () => {
  const seen: (number | undefined)[] = []
  await appWith(async body => { seen.push(body.schemaId); return { status: 200, body: {} } })
  const post = async (id?: string) => (await app.inject({ method: 'POST', url: '/ingest/telemetry', payload: Buffer.from('x'), headers: { 'content-type': 'application/avro', ...(id === undefined ? {} : { 'oxbow-schema-id': id }) } })).statusCode
  expect([await post('101'), await post(), await post('2147483647')]).toEqual([200, 200, 200])
  expect(seen).toEqual([101, undefined, 2_147_483_647])
  for (const id of ['0', '-1', '1.5', 'Patch', '2147483648', '', '1, 2']) expect(await post(id), id).toBe(415)
})

test('the route declares its scope and audit kind', async () => {
  const { declared } = await appWith(async () => ({ status: 200, body: {} }))
  expect(declared).toContainEqual(expect.objectContaining({ access: { scope: '__telemetry.write' }, audit: 'ingest.batch' }))
})

test('who sends is the client and subject of the token, and an answer that holds records back says when to come again', async () => {
  const gateways: string[] = []
  const { refused } = await appWith(async (_body, gateway) => {
    gateways.push(gateway)
    return { status: 429, body: { received: 2, limited: 1 }, retryAfterS: 4 }
  }, { clientId: 'ward', subject: 'https://idp.example|gateway-7' })
  const answer = await app.inject({ method: 'POST', url: '/ingest/telemetry', payload: '[]', headers: { 'content-type': 'application/json' } })
  expect([answer.statusCode, answer.headers['retry-after'], answer.json()]).toEqual([429, '4', { received: 2, limited: 1 }])
  expect(gateways).toEqual(['ward https://idp.example|gateway-7'])
  await expect.poll(() => refused).toEqual([429])
})

test('refused requests are counted, an unreadable body and a failure of ours are not', async () => {
  let error: unknown = new ServiceError('busy', 'BUS_FULL', 'full')
  const { refused } = await appWith(async () => { if (error === undefined) return { status: 400, body: {} }; throw error })
  const status = async (payload = '{}') => (await app.inject({ method: 'POST', url: '/ingest/telemetry', payload, headers: { 'content-type': 'application/json' } })).statusCode
  expect(await status()).toBe(429)
  error = new ServiceError('unsupported', 'INPUT_TYPE', 'type')
  expect(await status()).toBe(415)
  error = new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'down')
  expect(await status()).toBe(503)
  error = undefined
  expect(await status()).toBe(400)
  expect(await status('x'.repeat(1_001))).toBe(413)
  await expect.poll(() => refused).toEqual([429, 415, 413])
})
