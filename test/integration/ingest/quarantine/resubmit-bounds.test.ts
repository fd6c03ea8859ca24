import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Ingest } from '../../../../src/ingest/open-ingest.ts'
import { createSetAside } from '../../../../src/ingest/quarantine/set-aside.ts'
import type { SetAside } from '../../../../src/model/foreign-record.ts'
import type { Sid } from '../../../../src/model/reading.ts'
import { RAW, READINGS } from '../../../../src/model/streams.ts'
import { openEmbeddedBus } from '../../../../src/platform/bus/embedded/embedded-bus.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { json, sentV2, TAKEN_AT } from '../../../support/telemetry.ts'

const RECORD_BYTES_MAX = 2_000
const sid: Sid = drawSid()
let system: IngestSystem
let ingest: Ingest
let setAside: SetAside
let offset = 0

/** A bus that takes small records only. */
beforeAll(async () => {
  system = await ingestSystem((url, now) => openEmbeddedBus({
    url, now, recordBytesMax: RECORD_BYTES_MAX, topics: [READINGS, RAW].map(topic => ({ topic, partitions: 4 }))
  }))
  system.registered.add('device-1')
  ingest = await system.open({ limits: { recordsMax: 100 } })
  setAside = createSetAside(ingest.quarantine, () => system.now, READINGS)
})
afterAll(() => system?.close())

const readings = (from: number, count: number) => Array.from({ length: count }, (_, i) => sentV2({ deviceId: 'device-1', sequence: from + i }))
/** A body in quarantine that can be read. */
async function body (from: number, count: number): Promise<void> {
  await setAside([{ partition: 0, offset: ++offset, value: json(readings(from, count)) }])
}
const open = async () => await ingest.review.list({ states: ['held', 'waiting'], limit: 1_000 })
async function sequences (): Promise<number[]> {
  return (await system.batches()).flatMap(batch => batch.readings.map(({ sequence }) => sequence)).sort((a, b) => a - b)
}
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

test('a body over a limit stays under that reason, and those behind it go', async () => {
  system.worn.push({ deviceId: 'device-1', sid, from: TAKEN_AT - 60_000 })
  await body(0, 1)
  await body(10, 30)
  await body(100, 101)
  await body(1, 1)
  const items = await open()
  const ids = items.map(({ id }) => id)
  expect(await ingest.review.resubmit(ids)).toEqual({
    resubmitted: 2, remaining: [{ id: ids[1], reason: 'record-too-large' }, { id: ids[2], reason: 'record-too-large' }]
  })
  expect(await sequences()).toEqual([0, 1])
  expect(await open()).toMatchObject([{ id: ids[1], state: 'held', attempts: 1 }, { id: ids[2], state: 'held', attempts: 1 }])
  await ingest.review.discard([ids[1]!, ids[2]!], 'test', 'os-user/a@b')
})

test('records that fit no record of the bus together go in parts, and in their order', async () => {
  system.worn.length = 0
  await ingest.accept({ bytes: json(readings(2, 20)), contentType: 'application/json', contentEncoding: '' })
  const ids = (await open()).map(({ id }) => id)
  expect(ids).toHaveLength(20)
  system.worn.push({ deviceId: 'device-1', sid, from: TAKEN_AT - 60_000 })
  expect(await ingest.review.resubmit(ids)).toEqual({ resubmitted: 20, remaining: [] })
  const sent = (await system.batches()).flatMap(batch => batch.readings.map(({ sequence }) => sequence))
  expect(sent).toEqual(upTo(22))
})
