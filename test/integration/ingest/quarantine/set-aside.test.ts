import { afterAll, beforeAll, expect, test } from 'vitest'
import { arrivalHours } from '../../../../src/ingest/counters.ts'
import type { Ingest } from '../../../../src/ingest/open-ingest.ts'
import { createSetAside } from '../../../../src/ingest/quarantine/set-aside.ts'
import type { SetAside } from '../../../../src/model/foreign-record.ts'
import { READINGS } from '../../../../src/model/streams.ts'
import { epochMs, HOUR_MS } from '../../../../src/model/units.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { json, sentV1, TAKEN_AT } from '../../../support/telemetry.ts'

const LOST = json([sentV1({ deviceId: 'device-1' })])
let system: IngestSystem
let ingest: Ingest
let setAside: SetAside
const counted: number[] = []

beforeAll(async () => {
  system = await ingestSystem()
  system.registered.add('device-1')
  system.worn.push({ deviceId: 'device-1', sid: drawSid(), from: TAKEN_AT - 60_000 })
  ingest = await system.open({ events: { accepted: () => {}, quarantined: (_reason, count) => { counted.push(count) }, repeated: () => {}, released: () => {}, discarded: () => {}, limited: () => {}, schema: () => {}, raise: () => {}, clear: () => {} } })
  setAside = createSetAside(ingest.quarantine, () => system.now, READINGS)
})
afterAll(() => system?.close())

const held = () => ingest.review.list({ reasons: ['foreign-record'], states: ['held'], limit: 100 })
const hours = () => arrivalHours(system.pool, epochMs(0), epochMs(system.now + HOUR_MS))

test('what is none of ours is kept sealed, byte for byte, and counted as come in and quarantined', async () => {
  const whole = Buffer.from('before \u0000\u00ff after')
  await setAside([{ partition: 3, offset: 70, value: whole.subarray(7, 10) }, { partition: 3, offset: 71, value: new Uint8Array() }, { partition: 2, offset: 70, value: LOST }])
  const items = await held()
  expect(items.map(({ kind, source }) => [kind, source])).toEqual([
    ['body', 'bus/oxbow.readings.v1/3/70'], ['body', 'bus/oxbow.readings.v1/3/71'], ['body', 'bus/oxbow.readings.v1/2/70']
  ])
  expect((await ingest.review.show(items[0]!.id))?.bytes).toEqual(whole.subarray(7, 10))
  expect((await ingest.review.show(items[1]!.id))?.bytes).toEqual(Buffer.alloc(0))
  expect(await hours()).toMatchObject([{ received: 3, accepted: 0, quarantined: 3 }])
  expect(counted).toEqual([3])
})

test('handed over again, also with others and by two at once, each is kept and counted once', async () => {
  const [again, fresh] = [{ partition: 3, offset: 70, value: Buffer.from('x') }, { partition: 3, offset: 72, value: Buffer.from('y') }]
  await Promise.all([setAside([again]), setAside([again, fresh]), createSetAside((await system.open()).quarantine, () => system.now, READINGS)([fresh])])
  expect(await held()).toHaveLength(4)
  expect(await hours()).toMatchObject([{ received: 4, quarantined: 4 }])
})

test('telemetry that was sent to the wrong topic can be re-submitted; what is nothing stays', async () => {
  const ids = (await held()).map(({ id }) => id)
  expect(await ingest.review.resubmit(ids)).toMatchObject({ resubmitted: 1, remaining: [{}, {}, {}] })
  expect(await system.batches()).toMatchObject([{ readings: [{ takenAt: TAKEN_AT }] }])
  expect((await held()).map(({ source }) => source)).not.toContain('bus/oxbow.readings.v1/2/70')
})
