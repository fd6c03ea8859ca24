import { afterAll, beforeAll, expect, test } from 'vitest'
import { RAW, READINGS } from '../../../../src/model/streams.ts'
import type { Bus } from '../../../../src/platform/bus/bus.ts'
import { openEmbeddedBus } from '../../../../src/platform/bus/embedded/embedded-bus.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { isLockWaited } from '../../../support/postgres.ts'
import { json, sentV2, TAKEN_AT } from '../../../support/telemetry.ts'

let system: IngestSystem
let beforePublish: (() => Promise<void>) | undefined

beforeAll(async () => {
  system = await ingestSystem(async (url, now): Promise<Bus> => {
    const bus = await openEmbeddedBus({ url, now, topics: [READINGS, RAW].map(topic => ({ topic, partitions: 4 })) })
    return { ...bus, backlog: bus.backlog, publish: async records => {
      await beforePublish?.()
      return bus.publish(records)
    } }
  })
  system.registered.add('device-1')
})
afterAll(() => system?.close())

const OPEN = { states: ['held', 'waiting'] as const, limit: 10 }

test('what is on its way to the bus is not said to be discarded, and what was discarded does not go there', async () => {
  const [server, verb] = [await system.open(), await system.open({ instance: 'verb' })]
  for (const sequence of [1, 2]) await server.accept({ bytes: json([sentV2({ deviceId: 'device-1', sequence })]), contentType: 'application/json', contentEncoding: '' })
  const [first, second] = (await server.review.list({ ...OPEN, states: [...OPEN.states] })).map(({ id }) => id)
  system.worn.push({ deviceId: 'device-1', sid: drawSid(), from: TAKEN_AT - 60_000 })
  let discarding: Promise<number> | undefined
  beforePublish = async () => {
    discarding ??= verb.review.discard([first!], 'wrong patient', 'os-user/a@b')
    await expect.poll(() => isLockWaited(system.pool)).toBe(true)
  }
  expect(await server.review.resubmit([first!])).toMatchObject({ resubmitted: 1 })
  beforePublish = undefined
  expect(await discarding).toBe(0)
  expect((await server.review.show(first!))!.head).toMatchObject({ state: 'resubmitted', note: undefined })
  // Read before it was discarded, and taken out behind it.
  expect(await verb.review.discard([second!], 'wrong patient', 'os-user/a@b')).toBe(1)
  expect(await server.review.resubmit([second!])).toMatchObject({ resubmitted: 0 })
  expect((await system.batches()).flatMap(({ readings }) => readings.map(({ sequence }) => sequence))).toEqual([1])
})
