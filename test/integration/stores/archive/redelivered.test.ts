/** Messages of a topic that are read again after a crash: kept twice, proved once. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { RAW } from '../../../../src/model/streams.ts'
import { type ArchiveSystem, archiveSystem } from '../../../support/archive-system.ts'
import { json, sentV2, TAKEN_AT } from '../../../support/telemetry.ts'

let system: ArchiveSystem
beforeAll(async () => { system = await archiveSystem() })
afterAll(() => system?.close())

test('what comes again from its place is no second arrival, and nothing is found', async () => {
  const { deviceId } = system.wornDevice()
  const reading = (second: number, device = deviceId) => sentV2({ deviceId: device, timestamp_utc: TAKEN_AT + second, sequence: null })
  const values = [json([reading(1), reading(2, 'nobody')]), Buffer.from('poison'), json([reading(3), null]), Buffer.from('poison'), json(reading(4))]
  const messages = values.map((bytes, number) => ({ bytes, contentType: 'application/json', contentEncoding: '', source: { inlet: 'kafka/vendor/0', number } }))
  const writer = await system.start()
  expect(await system.ingest.acceptMessages(messages)).toEqual({ received: 7, accepted: 3, quarantined: 4 })
  const before = await system.ingest.review.list({ limit: 100 })
  await system.ingest.acceptMessages(messages.slice(1))
  await system.archived()
  await writer.stop()
  expect(await system.ingest.review.list({ limit: 100 })).toEqual(before)
  // Of the two messages of poison one is counted on the item of the other.
  expect(await system.verify()).toMatchObject({ findings: [], requests: { complete: 3, redelivered: 2 }, quarantine: { waiting: 1, held: 2, repeated: 1 } })
})

test('a message of which a part is nowhere was never taken in whole, or that part is missing once its topic was read past it', async () => {
  const devices = Array.from({ length: 6 }, () => system.wornDevice().deviceId)
  const value = json(devices.map(deviceId => sentV2({ deviceId, timestamp_utc: TAKEN_AT + 20, sequence: null })))
  const { publish } = system.bus
  // One of its raw records is lost on the way.
  system.bus.publish = records => publish(records.filter((record, place) => record.topic !== RAW || place !== records.findIndex(({ topic }) => topic === RAW)))
  const writer = await system.start()
  await system.ingest.acceptMessages([{ bytes: value, contentType: 'application/json', contentEncoding: '', source: { inlet: 'kafka/other/0', number: 7 } }])
  system.bus.publish = publish
  await system.archived()
  await writer.stop()
  const readTo = (next: number) => system.database.owner.query("INSERT INTO ingest.topic_offset (topic, partition, next_offset) VALUES ('other', 0, $1) ON CONFLICT (topic, partition) DO UPDATE SET next_offset = $1", [next])
  await readTo(7)
  expect(await system.verify()).toMatchObject({ findings: [], requests: { unanswered: 1 } })
  await readTo(8)
  expect((await system.verify()).findings).toEqual([expect.objectContaining({ kind: 'place-missing', detail: expect.stringContaining('kafka/other/0/7') })])
  await readTo(7)
})

test('a place of a request at the door that is archived twice is found all the same', async () => {
  const { deviceId } = system.wornDevice()
  const value = json(sentV2({ deviceId, timestamp_utc: TAKEN_AT + 9, sequence: null }))
  const message = { bytes: value, contentType: 'application/json', contentEncoding: '', source: { inlet: 'http/test', number: 900 } }
  const writer = await system.start()
  await system.ingest.acceptMessages([message])
  await system.ingest.acceptMessages([message])
  await system.archived()
  await writer.stop()
  expect((await system.verify()).findings.map(({ kind }) => kind)).toEqual(['place-doubled'])
})
