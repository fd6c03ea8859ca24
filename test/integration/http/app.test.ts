/** The door itself: what is answered where there is nothing, and how it closes. */

import { Registry } from 'prom-client'
import type { FastifyPluginAsync } from 'fastify'
import { afterEach, expect, test } from 'vitest'
import { type App, buildApp, createApp } from '../../../src/http/app.ts'
import { epochMs } from '../../../src/model/units.ts'
import { createEvents } from '../../../src/observability/events.ts'
import { createLogger } from '../../../src/observability/logger.ts'

const open = { access: 'public', audit: 'none' } as const
let received = 0
const routes: FastifyPluginAsync = async app => {
  app.post('/ingest/telemetry', { config: open }, async () => ({ received: 0 }))
  app.get('/fhir/Patient/:id', { config: open }, async () => ({}))
  app.get('/slow', { config: open }, async () => {
    received++
    await new Promise(resolve => { setImmediate(resolve) })
    return { done: true }
  })
}
const log = createLogger('error', () => {})
const parts = { log, events: createEvents(new Registry(), log, () => epochMs(0)), auth: async () => {}, routes: [routes], isDemo: true, bodyMax: 1_024 }

let listening: App | undefined
afterEach(async () => {
  await listening?.close(0)
  listening = undefined
})

test('another method at a known address is 405 with Allow, whatever the body is', async () => {
  const app = await buildApp(parts)
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'] as const) {
    const answer = await app.inject({ method, url: '/ingest/telemetry?x=1', ...(method === 'PUT' ? { payload: 'x', headers: { 'content-type': 'application/avro' } } : {}) })
    expect([method, answer.statusCode, answer.headers.allow]).toEqual([method, 405, 'POST'])
    if (method !== 'HEAD') expect(answer.json()).toEqual({ error: 'METHOD_NOT_ALLOWED', message: 'this address takes POST only' })
  }
  const fhir = await app.inject({ method: 'DELETE', url: '/fhir/Patient/p1' })
  expect([fhir.statusCode, fhir.headers.allow, fhir.json().resourceType]).toEqual([405, 'GET, HEAD', 'OperationOutcome'])
  await app.close()
})

test('where there is nothing, FHIR answers below /fhir and plain words elsewhere', async () => {
  const app = await buildApp(parts)
  const plain = await app.inject('/nothing')
  expect([plain.statusCode, plain.json()]).toEqual([404, { error: 'NOT_FOUND', message: 'there is nothing at this address' }])
  const fhir = await app.inject('/fhir/Nothing')
  expect([fhir.statusCode, fhir.json()]).toMatchObject([404, { resourceType: 'OperationOutcome', issue: [{ code: 'not-found' }] }])
  await app.close()
})

test('an address that cannot be read is refused like everything else, with all headers', async () => {
  const app = await buildApp(parts)
  const fhir = await app.inject('/fhir/%zz')
  expect([fhir.statusCode, fhir.headers['content-type']]).toEqual([400, 'application/fhir+json; charset=utf-8'])
  expect(fhir.json()).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'structure' }] })
  expect(fhir.headers).toMatchObject({ 'oxbow-demo': 'DEMO', 'x-content-type-options': 'nosniff' })
  expect((await app.inject('/%zz')).json()).toMatchObject({ error: 'INPUT_UNREADABLE' })
  expect((await app.inject(`/fhir/Patient/${'a'.repeat(300)}`)).statusCode).toBe(404)
  await app.close()
})

test('plain HTTP does not ask for TLS', async () => {
  const app = await buildApp(parts)
  expect((await app.inject('/nothing')).headers).not.toHaveProperty('strict-transport-security')
  await app.close()
})

test('closing under a client that asks again and again cuts no request and needs no timer', async () => {
  const app = await createApp(parts)
  listening = app
  received = 0
  const address = await app.listen('127.0.0.1', 0)
  const answers: { status: number, body: unknown }[] = []
  let begun: () => void = () => {}
  const warm = new Promise<void>(resolve => { begun = resolve })
  const loop = (async () => {
    for (;;) {
      // Refused once nobody listens any more.
      const answer = await fetch(`${address}/slow`).catch(() => undefined)
      if (answer === undefined) return
      answers.push({ status: answer.status, body: await answer.json() })
      if (answers.length === 20) begun()
    }
  })()
  await warm
  const { wasCut } = await app.close(8_000)
  listening = undefined
  expect(wasCut).toBe(false)
  await loop
  expect(answers).toHaveLength(received)
  expect(answers.every(({ status, body }) => status === 200 && (body as { done: boolean }).done)).toBe(true)
})

test('a port that is taken is said in words', async () => {
  const first = await createApp(parts)
  const address = await first.listen('127.0.0.1', 0)
  const second = await createApp(parts)
  const port = Number(new URL(address).port)
  await expect(second.listen('127.0.0.1', port)).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(`port ${port} is in use`) })
  await Promise.all([first.close(1_000), second.close(1_000)])
})
