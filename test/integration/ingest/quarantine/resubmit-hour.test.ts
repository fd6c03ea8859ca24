import { afterAll, beforeAll, expect, test } from 'vitest'
import { arrivalHours } from '../../../../src/ingest/counters.ts'
import type { Ingest } from '../../../../src/ingest/open-ingest.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { MODELS } from '../../../support/ingest-door.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { json, sentV1, TAKEN_AT } from '../../../support/telemetry.ts'

const HOUR_MS = 3_600_000
let system: IngestSystem
let ingest: Ingest

beforeAll(async () => {
  system = await ingestSystem()
  system.registered.add('device-1')
  system.worn.push({ deviceId: 'device-1', sid: drawSid(), from: TAKEN_AT - 60_000, patientId: 'one' })
  ingest = await system.open()
  await ingest.releaser.start()
})
afterAll(() => system?.close())

test('a record re-submitted in a later hour is counted in the hour in which it arrived, at the door and on the bus', async () => {
  await ingest.accept({ bytes: json([sentV1({ deviceId: 'device-1', patientId: 'other' })]), contentType: 'application/json', contentEncoding: '' })
  const arrived = Math.floor(system.now / HOUR_MS) * HOUR_MS
  system.now = epochMs(system.now + 3 * HOUR_MS)
  system.worn[0]!.patientId = 'other'
  const [held] = await ingest.review.list({ reasons: ['patient-mismatch'], limit: 1 })
  expect(await ingest.review.resubmit([held!.id])).toEqual({ resubmitted: 1, remaining: [] })
  const [batch] = await system.batches()
  expect(Math.floor(batch!.receivedAt / HOUR_MS) * HOUR_MS).toBe(arrived)
  expect(await arrivalHours(system.pool, epochMs(0), epochMs(system.now + HOUR_MS))).toMatchObject([{ hour: arrived, received: 1, quarantined: 1, released: 1 }])
})

test('a field re-submitted in a later hour is counted apart, and what the store counts of it never raises what was accepted', async () => {
  const model = MODELS.values().next().value!
  const wide = await system.open({ models: new Map([...MODELS.keys()].map(key => [key, { ...model, batteryRange: { low: 0, high: 9_000 } }])) })
  const arrived = epochMs(Math.floor(system.now / HOUR_MS) * HOUR_MS)
  await ingest.accept({ bytes: json([sentV1({ deviceId: 'device-1', patientId: 'other', battery_mv: 7_000 })]), contentType: 'application/json', contentEncoding: '' })
  await ingest.counters.flush()
  system.now = epochMs(system.now + 3 * HOUR_MS)
  const [held] = await ingest.review.list({ reasons: ['range-hard'], states: ['held'], limit: 1 })
  expect(held).toMatchObject({ kind: 'field', field: 'battery_mv' })
  expect(await wide.review.resubmit([held!.id])).toEqual({ resubmitted: 1, remaining: [] })
  const batches = (await system.batches()).filter(batch => batch.readings.some(({ battery }) => battery === 7_000))
  expect(batches.map(({ receivedAt }) => Math.floor(receivedAt / HOUR_MS) * HOUR_MS)).toEqual([arrived])
  await ingest.counters.settle(async () => new Map([[arrived, 2]]))
  expect((await arrivalHours(system.pool, epochMs(0), epochMs(system.now + HOUR_MS))).filter(({ hour }) => hour === arrived))
    .toMatchObject([{ received: 1, accepted: 1, quarantined: 0, fields: 1, fieldsResubmitted: 1, discarded: 0 }])
})

test('its time is judged by the hour in which it is re-submitted', async () => {
  const ahead = system.now + 2 * HOUR_MS
  await ingest.accept({ bytes: json([sentV1({ deviceId: 'device-1', patientId: 'other', timestamp_utc: ahead })]), contentType: 'application/json', contentEncoding: '' })
  const [held] = await ingest.review.list({ reasons: ['time-future'], limit: 1 })
  expect((await ingest.review.resubmit([held!.id])).resubmitted).toBe(0)
  system.now = epochMs(ahead)
  expect(await ingest.review.resubmit([held!.id])).toEqual({ resubmitted: 1, remaining: [] })
})
