import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refusedByStatus } from '../../../src/ingest/counters.ts'
import { ingestRoutes } from '../../../src/ingest/ingest.routes.ts'
import type { Ingest } from '../../../src/ingest/open-ingest.ts'
import { ServiceError } from '../../../src/model/errors.ts'
import type { Sid } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import { drawSid } from '../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../support/ingest-system.ts'
import { json, sentV2, TAKEN_AT } from '../../support/telemetry.ts'

let system: IngestSystem
let ingest: Ingest
let app: FastifyInstance
let ward = 0
const limited: unknown[][] = []

beforeAll(async () => {
  system = await ingestSystem()
  const events = { accepted () {}, quarantined () {}, repeated () {}, released () {}, discarded () {}, schema () {}, limited: (...told: unknown[]) => { limited.push(told) }, raise () {}, clear () {} }
  ingest = await system.open({ gatewayRate: { perSecond: 100, burst: 1_000 }, deviceRate: { perSecond: 10, burst: 100 }, events })
  await ingest.releaser.start()
  app = fastify()
  app.decorateRequest('principal', null)
  app.addHook('onRequest', async request => { request.principal = { clientId: '', subject: request.headers['x-gateway'] } as never })
  app.setErrorHandler((error, _request, reply) => {
    if (!(error instanceof ServiceError) || error.category !== 'busy') throw error
    void reply.code(429).header('Retry-After', String(error.retryAfterS)).send({ error: error.code })
  })
  await app.register(ingestRoutes({ accept: ingest.accept, counters: ingest.counters, events: { refused () {} }, now: () => system.now, bodyBytesMax: 10_000_000 }))
})
afterAll(async () => {
  await app?.close()
  await system?.close()
})
beforeEach(() => {
  ward++
  limited.length = 0
})

const gateway = (name: string) => `${ward}-${name}`
async function post (records: object[], from = gateway('g')) {
  const answer = await app.inject({ method: 'POST', url: '/ingest/telemetry', payload: json(records), headers: { 'content-type': 'application/json', 'x-gateway': from } })
  return { status: answer.statusCode, retryAfter: answer.headers['retry-after'], body: answer.json<{ received: number, accepted: number, limited?: number, error?: string, rejected: { index: number, reason: string }[] }>() }
}

/** A device that is worn, with its sid. */
function worn (name: string): { deviceId: string, sid: Sid } {
  const deviceId = `${ward}-${name}`
  const sid = drawSid()
  system.registered.add(deviceId)
  system.worn.push({ deviceId, sid, from: TAKEN_AT - 86_400_000 })
  return { deviceId, sid }
}

const readings = (deviceId: string, from: number, count: number) => Array.from({ length: count }, (_, i) => sentV2({ deviceId, sequence: from + i }))
async function sequencesOf (sid: Sid): Promise<number[]> {
  return (await system.batches()).filter(batch => batch.sid === sid).flatMap(batch => batch.readings.map(({ sequence }) => sequence))
}
const later = (seconds: number) => { system.now = epochMs(system.now + seconds * 1_000) }
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

test('a gateway with a backlog is paced by 429 and gets all of it in; nothing of a refused request is stored', async () => {
  const devices = upTo(15).map(i => worn(`backlog-${i}`))
  const bodies = upTo(10).map(part => devices.flatMap(({ deviceId }) => readings(deviceId, part * 10, 10)))
  let refusals = 0
  for (const body of bodies) {
    for (;;) {
      const stored = (await system.rawCount())
      const { status, retryAfter, body: answer } = await post(body)
      if (status === 200) { expect(answer).toMatchObject({ received: 150, accepted: 150 }); break }
      expect([status, answer]).toEqual([429, { error: 'RATE_LIMITED' }])
      expect(await system.rawCount()).toBe(stored)
      refusals++
      later(Number(retryAfter))
    }
  }
  // 1,000 at once, then 100 a second: each of the last four waits 2 s at most.
  expect(refusals).toBe(4)
  expect(limited).toEqual(Array.from({ length: refusals }, () => ['gateway', 150]))
  for (const { sid } of devices) expect((await sequencesOf(sid)).sort((a, b) => a - b)).toEqual(upTo(100))
  await ingest.counters.flush()
  expect((await refusedByStatus(system.pool)).get(429)).toBe(refusals)
})

test('a wild device holds back neither the other devices of its gateway nor another gateway', async () => {
  const wild = worn('wild')
  const calm = worn('calm')
  expect((await post(readings(wild.deviceId, 0, 100))).status).toBe(200)
  for (let round = 0; round < 50; round++) {
    const { status, retryAfter, body } = await post([...readings(wild.deviceId, 100, 80), ...readings(calm.deviceId, round * 2, 2)])
    expect([status, retryAfter]).toEqual([429, '8'])
    expect(body).toMatchObject({ received: 82, accepted: 2, quarantined: 0, limited: 80 })
    expect(body.rejected.map(({ index, reason }) => [index, reason])).toEqual(upTo(80).map(index => [index, 'rate-limited']))
    expect(JSON.stringify(body)).not.toContain(wild.deviceId)
  }
  expect(await sequencesOf(calm.sid)).toEqual(upTo(100))
  expect((await post(readings(worn('elsewhere').deviceId, 0, 100), gateway('other'))).status).toBe(200)
  later(8)
  expect((await post(readings(wild.deviceId, 100, 80))).body).toMatchObject({ accepted: 80 })
  expect(await sequencesOf(wild.sid)).toEqual(upTo(180))
})

test('the rest of a request is kept in quarantine as ever, and a re-submission has no limit', async () => {
  const wild = worn('wild')
  await post(readings(wild.deviceId, 0, 100))
  const stranger = `${ward}-stranger`
  const { status, body } = await post([...readings(wild.deviceId, 100, 1), ...readings(stranger, 0, 99)])
  expect([status, body]).toMatchObject([429, { received: 100, accepted: 0, quarantined: 99, limited: 1 }])
  const items = await ingest.review.list({ deviceId: stranger, limit: 1_000 })
  expect(items).toHaveLength(99)
  system.registered.add(stranger)
  const sid = drawSid()
  system.worn.push({ deviceId: stranger, sid, from: TAKEN_AT - 86_400_000 })
  expect(await ingest.review.resubmit(items.map(({ id }) => id))).toEqual({ resubmitted: 99, remaining: [] })
  expect(await sequencesOf(sid)).toEqual(upTo(99))
})

test('a full bus refuses under limits as without them', async () => {
  const { deviceId } = worn('device')
  const full = await system.open({
    gatewayRate: { perSecond: 1, burst: 100 }, bus: { publish: async () => { throw new ServiceError('busy', 'BUS_FULL', 'full', { retryAfterS: 1 }) } }
  })
  await expect(full.accept({ bytes: json(readings(deviceId, 0, 1)), contentType: 'application/json', contentEncoding: '' }, 'g')).rejects.toMatchObject({ code: 'BUS_FULL' })
})
