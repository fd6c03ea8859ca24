import { afterAll, beforeAll, expect, test } from 'vitest'
import { drawSid } from '../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../support/ingest-system.ts'
import { json, sentV1, TAKEN_AT } from '../../support/telemetry.ts'

let system: IngestSystem
beforeAll(async () => {
  system = await ingestSystem()
  system.registered.add('device-1')
})
afterAll(() => system?.close())

const body = { bytes: json([sentV1({ deviceId: 'device-1' })]), contentType: 'application/json', contentEncoding: '' }

/** A bus whose appends wait to be let go. */
function slowBus () {
  const asked = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  const publish: IngestSystem['bus']['publish'] = async records => {
    asked.resolve()
    await go.promise
    return system.bus.publish(records)
  }
  return { publish, asked: asked.promise, go: go.resolve }
}

test('a release and a request are under way until their append is acknowledged', async () => {
  const door = slowBus()
  const ingest = await system.open({ bus: door })
  expect((await ingest.accept(body)).body.quarantined).toBe(1)
  system.worn.push({ deviceId: 'device-1', sid: drawSid(), from: TAKEN_AT - 60_000 })
  const before = ingest.inFlight.mark()
  await ingest.releaser.start()
  await door.asked
  const releasing = ingest.inFlight.mark()
  expect([before(), releasing()]).toEqual([true, false])
  door.go()
  await ingest.releaser.settled()
  expect(releasing()).toBe(true)

  const slow = slowBus()
  const other = await system.open({ bus: slow })
  const answering = other.accept(body)
  await slow.asked
  const accepting = other.inFlight.mark()
  expect(accepting()).toBe(false)
  slow.go()
  expect((await answering).body.accepted).toBe(1)
  expect(accepting()).toBe(true)
})
