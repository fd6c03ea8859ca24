import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { arrivalHours } from '../../../../src/ingest/counters.ts'
import type { Ingest } from '../../../../src/ingest/open-ingest.ts'
import { createReleaser } from '../../../../src/ingest/quarantine/release.ts'
import { modelKey } from '../../../../src/model/device-model.ts'
import { ServiceError } from '../../../../src/model/errors.ts'
import { FLAG, type Sid } from '../../../../src/model/reading.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { READER } from '../../../support/ingest-door.ts'
import { framedV2, json, sentV2, TAKEN_AT } from '../../../support/telemetry.ts'

let system: IngestSystem
let ingest: Ingest
let deviceNumber = 0
let deviceId: string
let sid: Sid

beforeAll(async () => {
  system = await ingestSystem()
  ingest = await system.open({ releaseRetryMs: 20 })
  await ingest.releaser.start()
})
afterAll(() => system?.close())
beforeEach(() => {
  deviceId = `device-${++deviceNumber}`
  sid = drawSid()
  system.registered.add(deviceId)
  system.isLinkageUp = true
})

const sent = (second: number, change: Partial<Parameters<typeof sentV2>[0]> = {}) => sentV2({ deviceId, timestamp_utc: TAKEN_AT + second * 1_000, sequence: null, ...change })
const post = (records: object[], door = ingest) => door.accept({ bytes: json(records), contentType: 'application/json', contentEncoding: '' })
const wear = (from: number, until?: number, wornSid = sid) => { system.worn.push({ deviceId, sid: wornSid, from: TAKEN_AT + from * 1_000, ...(until === undefined ? {} : { until: TAKEN_AT + until * 1_000 }) }) }
/** Seconds of the readings of a sid, in the order of the bus. */
const published = async (ofSid = sid) => (await system.batches()).filter(batch => batch.sid === ofSid).flatMap(({ readings }) => readings.map(({ takenAt }) => (takenAt - TAKEN_AT) / 1_000))
const open = async () => (await ingest.review.list({ deviceId, states: ['waiting', 'held'], limit: 10_000 })).map(({ reason }) => reason)

test('what waited is released in order of event time once an association covers it, and the original bytes with it', async () => {
  await post([sent(3), sent(1)])
  await ingest.accept({ bytes: framedV2([sent(2)]), contentType: 'application/avro', contentEncoding: '' })
  const rawBefore = await system.rawCount()
  wear(0)
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  expect(await published()).toEqual([1, 2, 3])
  expect(await open()).toEqual([])
  expect(await system.rawCount() - rawBefore).toBe(3)
  const states = (await ingest.review.list({ deviceId, limit: 10 })).map(({ state }) => state)
  expect(states).toEqual(['released', 'released', 'released'])
})

test('what is released keeps the places of its requests, and says that it was released', async () => {
  await post([sent(5), sent(1), { ...sent(2), deviceId: 'nobody' }])
  await post([sent(3)])
  const items = await ingest.review.list({ deviceId, limit: 10 })
  expect(items.map(({ place, requestRecords }) => [place, requestRecords])).toEqual([[0, 3], [1, 3], [0, 1]])
  const before = await system.rawFrames()
  wear(0)
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  const added = (await system.rawFrames()).filter(({ head }) => !before.some(known => known.head.equals(head)))
  const origins = [items[0]!.source, items[2]!.source].map((source, place) => ({ inlet: 'http/test', number: Number(source.slice('http/test/'.length)), records: [3, 1][place] }))
  expect(added.map(({ way, origins, runs }) => ({ way, origins, runs }))).toEqual([{
    way: 'released', origins, runs: [{ origin: 0, first: 1, count: 1 }, { origin: 1, first: 0, count: 1 }, { origin: 0, first: 0, count: 1 }]
  }])
})

test('items that no association covers stay waiting and block nobody', async () => {
  await post([sent(1), sent(10), sent(20)])
  wear(5, 15)
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  expect([await published(), await open()]).toEqual([[10], ['not-associated', 'not-associated']])
  expect((await post([sent(11)])).body.accepted).toBe(1)
  expect(await published()).toEqual([10, 11])
})

test('readings of a device of which nothing waits pass from the moment its association is announced', async () => {
  wear(0)
  ingest.releaser.associationRecorded([deviceId])
  expect((await post([sent(1)])).body).toMatchObject({ accepted: 1, quarantined: 0 })
  expect(await published()).toEqual([1])
})

test('a newer reading waits behind those being released, whatever the moment', async () => {
  await post(Array.from({ length: 50 }, (_, i) => sent(i)))
  wear(0)
  ingest.releaser.associationRecorded([deviceId])
  const answers = []
  for (let second = 50; second < 80; second++) answers.push((await post([sent(second)])).body.accepted)
  await ingest.releaser.settled()
  expect(await published()).toEqual(Array.from({ length: 80 }, (_, i) => i))
  expect(answers[0]).toBe(0)
  expect(await open()).toEqual([])
  expect((await post([sent(80)])).body.accepted).toBe(1)
})

test('many doors at once never let a newer reading pass one that waits', async () => {
  await post(Array.from({ length: 200 }, (_, i) => sent(i)))
  wear(0)
  ingest.releaser.associationRecorded([deviceId])
  await Promise.all(Array.from({ length: 40 }, async (_, i) => {
    await new Promise(resolve => setImmediate(resolve))
    return post([sent(200 + i)])
  }))
  await ingest.releaser.settled()
  const order = await published()
  expect(order.slice(0, 200)).toEqual(Array.from({ length: 200 }, (_, i) => i))
  expect(order.slice(200).sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => 200 + i))
})

test('an association recorded while a reading is identified releases that reading too', async () => {
  let answer: () => void = () => {}
  const asked = new Promise<void>(resolve => { answer = resolve })
  const slow = await system.open({ resolve: async () => { await asked; return { reason: 'not-associated' } }, releaseRetryMs: 20 })
  const storing = slow.accept({ bytes: json([sent(1)]), contentType: 'application/json', contentEncoding: '' })
  wear(0)
  slow.releaser.associationRecorded([deviceId])
  await slow.releaser.settled()
  answer()
  await storing
  // This releaser still gets the old answer; the item was looked at again and stays, and the next look finds it.
  await slow.releaser.settled()
  await ingest.releaser.releaseAll()
  await ingest.releaser.settled()
  expect(await published()).toEqual([1])
})

test('a sid seen for the first time on a device with waiting items shows that an association is new, even before it is announced', async () => {
  await post([sent(1), sent(2)])
  wear(0)
  const { body } = await post([sent(3)])
  expect(body.rejected).toMatchObject([{ reason: 'behind-waiting' }])
  await ingest.releaser.settled()
  expect(await published()).toEqual([1, 2, 3])
})

test('while the identity store does not answer readings wait, and are released by themselves when it does', async () => {
  wear(0)
  system.isLinkageUp = false
  expect((await post([sent(1)])).body.rejected).toMatchObject([{ reason: 'linkage-unavailable' }])
  system.isLinkageUp = true
  expect((await post([sent(2)])).body.rejected).toMatchObject([{ reason: 'behind-waiting' }])
  await expect.poll(async () => (await open()).length).toBe(0)
  expect(await published()).toEqual([1, 2])
  expect((await post([sent(3)])).body.accepted).toBe(1)
})

test('at a start what waits is looked at before newer readings of the device pass', async () => {
  await post([sent(1), sent(2)])
  wear(0)
  const restarted = await system.open({ releaseRetryMs: 20 })
  await restarted.releaser.start()
  const { body } = await restarted.accept({ bytes: json([sent(3)]), contentType: 'application/json', contentEncoding: '' })
  expect(body.rejected).toMatchObject([{ reason: 'behind-waiting' }])
  await restarted.releaser.settled()
  expect(await published()).toEqual([1, 2, 3])
})

test('a reading that fails otherwise when it is released is held under that reason, one that loses a field goes without it', async () => {
  await post([sent(1, { patientId: 'somebody' }), sent(2, { channels: [{ ...sentV2().channels[0]!, value: 400 }, sentV2().channels[1]!] }), sent(3)])
  wear(0)
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  expect(await published()).toEqual([2, 3])
  const heads = await ingest.review.list({ deviceId, states: ['held', 'waiting'], limit: 10 })
  expect(heads.map(({ kind, reason, field, state }) => [kind, reason, field, state])).toEqual([
    ['record', 'patient-mismatch', undefined, 'held'], ['field', 'range-hard', 'channels[0]', 'held']
  ])
})

const sentSpo2 = (second: number, spo2: number, change: Partial<Parameters<typeof sentV2>[0]> = {}) => {
  const [tissue, saturation] = sentV2().channels
  return sent(second, { channels: [tissue!, { ...saturation!, value: spo2 }], ...change })
}
/** SpO2 by second of the readings of the sid. */
const publishedSpo2 = async () => new Map((await system.batches()).filter(batch => batch.sid === sid)
  .flatMap(({ readings }) => readings.map(({ takenAt, values }) => [(takenAt - TAKEN_AT) / 1_000, values[1]])))

test('a fraction is judged by the body in which it came, whatever is released with it', async () => {
  for (const second of [0, 1, 2]) await post([sentSpo2(second, 0.97)])
  for (const second of [3, 4]) await post([sentSpo2(second, 97)])
  await post([sentSpo2(5, 0.97), sentSpo2(6, 97)])
  wear(0)
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  expect(await publishedSpo2()).toEqual(new Map([[0, undefined], [1, undefined], [2, undefined], [3, 97], [4, 97], [5, 0.97], [6, 97]]))
  expect(await open()).toEqual(Array(3).fill('fraction-as-percent'))
})

test('a fraction is judged by the body in which it came when records are re-submitted together', async () => {
  for (const [second, spo2] of [[0, 0.97], [1, 97]] as const) await post([sentSpo2(second, spo2, { patientId: 'somebody' })])
  wear(0)
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  system.worn.at(-1)!.patientId = 'somebody'
  const held = await ingest.review.list({ deviceId, states: ['held'], limit: 10 })
  expect((await ingest.review.resubmit(held.map(({ id }) => id))).resubmitted).toBe(2)
  expect(await publishedSpo2()).toEqual(new Map([[0, undefined], [1, 97]]))
  expect(await open()).toEqual(['fraction-as-percent'])
})

test('a fraction is judged by the body in which it came when fields are re-submitted together', async () => {
  const [tissue, saturation] = READER.channels
  const narrow = { ...READER, channels: [tissue!, { ...saturation!, technicalRange: { low: 98, high: 100 } }] }
  const strict = await system.open({ models: new Map([[modelKey(READER), narrow]]) })
  wear(0)
  await post([sentSpo2(0, 0.97)], strict)
  await post([sentSpo2(1, 0.97), sentSpo2(2, 97)], strict)
  expect(await open()).toEqual(Array(3).fill('range-hard'))
  const held = await ingest.review.list({ deviceId, states: ['held'], limit: 10 })
  const { resubmitted, remaining } = await ingest.review.resubmit(held.map(({ id }) => id))
  expect([resubmitted, remaining]).toEqual([2, [{ id: held[0]!.id, reason: 'fraction-as-percent' }]])
  expect(await publishedSpo2()).toEqual(new Map([[0, undefined], [1, 0.97], [2, 97]]))
})

test('a crash between the append and its mark repeats the readings, which their identity suppresses', async () => {
  await post([sent(1)])
  wear(0)
  const items = await ingest.quarantine.waitingOf(ingest.quarantine.deviceIndexOf(deviceId), 0, undefined, 10)
  let failures = 0
  const releaser = createReleaser({
    quarantine: ingest.quarantine, report: { failing: () => { failures++ }, fine: () => {} }, retryMs: 1_000_000,
    releaseItems: async () => { throw new Error('killed') }
  })
  await releaser.start()
  releaser.associationRecorded([deviceId])
  await releaser.settled()
  expect(failures).toBeGreaterThan(0)
  await releaser.close()
  expect(items).toHaveLength(1)
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  expect(await published()).toEqual([1])
})

test('readings keep the hour in which they arrived when they are released', async () => {
  const start = system.now
  await post([sent(1)])
  system.now = epochMs(start + 3 * 3_600_000)
  wear(0)
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  const [batch] = (await system.batches()).filter(one => one.sid === sid)
  expect(batch!.receivedAt).toBe(start)
  const hours = await arrivalHours(system.pool, epochMs(start - 3_600_000), epochMs(start + 3_600_000))
  expect(hours).toHaveLength(1)
  system.now = start
})

test('readings that the series store gives back wait as readings of their device', async () => {
  await ingest.requarantine(deviceId, [
    { reading: { takenAt: epochMs(TAKEN_AT + 1_000), sequence: 4, values: [38.2, undefined], battery: undefined, quality: undefined, flags: 0 }, model: READER, firmware: '2.4.1' },
    { reading: { takenAt: epochMs(TAKEN_AT + 2_000), sequence: 0, values: [], battery: undefined, quality: undefined, flags: 0 }, model: READER, firmware: undefined }
  ])
  expect(await open()).toEqual(['not-associated', 'not-associated'])
  wear(0)
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  const [batch] = (await system.batches()).filter(one => one.sid === sid)
  expect(batch).toMatchObject({ schemaId: 2, readings: [{ sequence: 4, values: [38.2], firmware: 3 }, { takenAt: TAKEN_AT + 2_000, sequence: 0, firmware: 0 }] })
  expect(batch!.readings[1]!.values.every(value => value === undefined)).toBe(true)
})

test('a quality that was refused at the door stays unknown through quarantine and back, without a second item for it', async () => {
  wear(0)
  await post([sent(1, { signal_quality: 101 }), sent(2, { signal_quality: null })])
  expect(await open()).toEqual(['range-hard'])
  const [stored] = (await system.batches()).filter(one => one.sid === sid)
  expect(stored!.readings.map(({ flags }) => flags)).toEqual([FLAG['quality-unknown'], 0])
  await ingest.requarantine(deviceId, stored!.readings.map(reading => ({ reading, model: READER, firmware: '2.4.1' })))
  expect(await open()).toEqual(['range-hard', 'not-associated', 'not-associated'])
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  const [, released] = (await system.batches()).filter(one => one.sid === sid)
  expect(released!.readings).toEqual(stored!.readings)
  expect(await open()).toEqual(['range-hard'])
})

test('a record without any value stays malformed when it comes from outside, at the door and re-submitted', async () => {
  const empty = { deviceId, timestamp_utc: TAKEN_AT, sequence: 1, channels: [] }
  await ingest.accept({ bytes: json([empty]), contentType: 'application/json', contentEncoding: '' })
  const items = await ingest.review.list({ reasons: ['malformed'], states: ['held'], deviceId, limit: 10 })
  expect(items).toHaveLength(1)
  expect(await ingest.review.resubmit([items[0]!.id])).toEqual({ resubmitted: 0, remaining: [{ id: items[0]!.id, reason: 'malformed' }] })
})

test('devices with more waiting items than one page are drained whole', async () => {
  await post(Array.from({ length: 2_500 }, (_, i) => sent(-(i % 1_250), { sequence: Math.floor(i / 1_250) })))
  wear(-2_000)
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  expect((await published()).map(second => second + 1_249)).toEqual(Array.from({ length: 2_500 }, (_, i) => Math.floor(i / 2)))
})

test('a bus that is full in the middle of a release delays it and loses nothing', async () => {
  let calls = 0
  const stumbling = await system.open({
    releaseRetryMs: 20,
    bus: { publish: async records => {
      if (++calls === 2) throw new ServiceError('busy', 'BUS_FULL', 'full')
      return system.bus.publish(records)
    } }
  })
  // Older readings arrive last, so that numbers and times run against each other.
  await post(Array.from({ length: 1_500 }, (_, i) => sent(-i)), stumbling)
  wear(-2_000)
  stumbling.releaser.associationRecorded([deviceId])
  await expect.poll(async () => (await open()).length, { timeout: 10_000 }).toBe(0)
  expect(calls).toBeGreaterThanOrEqual(3)
  expect((await published()).map(second => second + 1_499)).toEqual(Array.from({ length: 1_500 }, (_, i) => i))
})
