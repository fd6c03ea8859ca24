import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSetAside } from '../../../../src/ingest/quarantine/set-aside.ts'
import { RAW, READINGS } from '../../../../src/model/streams.ts'
import { openEmbeddedBus } from '../../../../src/platform/bus/embedded/embedded-bus.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { json, sentV2, TAKEN_AT } from '../../../support/telemetry.ts'

const ROOM = 5
let system: IngestSystem
beforeAll(async () => {
  system = await ingestSystem((url, now) => openEmbeddedBus({ url, now, topics: [READINGS, RAW].map(topic => ({ topic, partitions: 4, backlogMax: ROOM })) }))
  system.registered.add('device-1')
  system.worn.push({ deviceId: 'device-1', sid: drawSid(), from: TAKEN_AT - 60_000 })
})
afterAll(() => system?.close())

test('where the bus is full a re-submission stops, says how many went, and leaves the rest as it was', async () => {
  const ingest = await system.open()
  const open = () => ingest.review.list({ states: ['held', 'waiting'], limit: 100 })
  const setAside = createSetAside(ingest.quarantine, () => system.now, READINGS)
  await setAside(Array.from({ length: ROOM + 3 }, (_, offset) => ({ partition: 0, offset, value: json(sentV2({ sequence: offset })) })))
  const before = await open()
  const { resubmitted, remaining, stoppedBy } = await ingest.review.resubmit(before.map(({ id }) => id))
  expect([resubmitted, remaining, stoppedBy?.code]).toEqual([ROOM, [], 'BUS_FULL'])
  expect(await open()).toEqual(before.slice(ROOM))
})
