import type { FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import { afterEach, expect, test } from 'vitest'
import { totalOf } from '../../../src/dashboard/balance.ts'
import { type FrontPageParts, frontPageRoutes } from '../../../src/dashboard/front-page.routes.ts'
import { buildApp } from '../../../src/http/app.ts'
import { ServiceError } from '../../../src/model/errors.ts'
import { epochMs } from '../../../src/model/units.ts'
import { createEvents } from '../../../src/observability/events.ts'
import { createLogger } from '../../../src/observability/logger.ts'

const running: FastifyInstance[] = []
afterEach(async () => { for (const app of running.splice(0)) await app.close() })

async function serve (given: Partial<FrontPageParts> = {}): Promise<FastifyInstance> {
  const parts: FrontPageParts = {
    status: async () => ({ missing: [], parts: [], alarms: [] }),
    counts: async () => ({ hours: [], total: totalOf([]), backlog: 0, refused: 0, openItems: 0 }),
    curves: async () => [{ title: 'Demo-Ash', metric: 'tissue pO₂', unit: 'mmHg', digits: 1, points: [] }],
    devices: async () => [],
    isDemo: true,
    version: '0.1.0',
    address: () => 'http://127.0.0.1:8080',
    now: () => epochMs(1_700_000_000_000),
    ...given
  }
  const log = createLogger('error', () => {})
  const app = await buildApp({ log, events: createEvents(new Registry(), log, parts.now), auth: async () => {}, routes: [frontPageRoutes(parts)], isDemo: parts.isDemo, bodyMax: 1_024 })
  running.push(app)
  return app
}

test('the page is public HTML that may load nothing and run nothing from elsewhere', async () => {
  const answer = await (await serve()).inject({ method: 'GET', url: '/' })
  expect(answer.statusCode).toBe(200)
  expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
  expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
  expect(answer.headers['content-security-policy']).not.toContain("script-src 'unsafe-inline'")
  expect(answer.body).toContain('Demo-Ash')
})

test('a deployment without the ward is not even asked for curves', async () => {
  const asked: string[] = []
  const app = await serve({ isDemo: false, curves: async () => { asked.push('curves'); return [] }, devices: async () => { asked.push('devices'); return [] } })
  expect((await app.inject({ method: 'GET', url: '/' })).body).not.toContain('DEMO')
  expect(asked).toEqual([])
})

test('many viewers at once are one question to the stores, and a later one is a new one', async () => {
  let [asked, now] = [0, 1_700_000_000_000]
  const app = await serve({ now: () => epochMs(now), status: async () => { asked++; return { missing: [], parts: [], alarms: [] } } })
  await Promise.all(Array.from({ length: 20 }, () => app.inject({ method: 'GET', url: '/' })))
  expect(asked).toBe(1)
  now += 1_000
  await app.inject({ method: 'GET', url: '/' })
  expect(asked).toBe(2)
})

test('while a store does not answer the page still tells what runs', async () => {
  const fail = async (): Promise<never> => { throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'PostgreSQL cannot be reached') }
  const app = await serve({ counts: fail, curves: fail, devices: fail, status: async () => ({ missing: ['postgres'], parts: [], alarms: [] }) })
  const answer = await app.inject({ method: 'GET', url: '/' })
  expect(answer.statusCode).toBe(200)
  expect(answer.body).toContain('not ready: postgres')
  expect(answer.body).not.toContain('Every record is accounted for')
})
