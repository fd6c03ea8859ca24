import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Ingest } from '../../../../src/ingest/open-ingest.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { json, sentV2, TAKEN_AT } from '../../../support/telemetry.ts'

const UNKNOWN_DEVICES = 20_000
const DEVICE = 'worn'

let system: IngestSystem
let first: Ingest
const sid = drawSid()
const late = drawSid()
/** Names for which the identity store was asked. */
const asked: string[] = []
/** Resolves questions about unknown devices; until then every look at one of them hangs. */
let unknownAnswered: () => void = () => {}
let answer: Promise<void> = Promise.resolve()

async function open (): Promise<Ingest> {
  return system.open({
    releaseRetryMs: 20,
    resolve: async (deviceId, takenAt) => {
      asked.push(deviceId)
      if (deviceId !== DEVICE) {
        await answer
        return { reason: 'device-unknown' }
      }
      const worn = system.worn.find(one => takenAt >= one.from && takenAt < (one.until ?? Number.POSITIVE_INFINITY))
      return worn === undefined ? { model: 'Example Sensors Inc./TO2-READER-2', reason: 'not-associated' } : { sid: worn.sid, model: 'Example Sensors Inc./TO2-READER-2' }
    }
  })
}

const sent = (second: number, deviceId = DEVICE) => sentV2({ deviceId, timestamp_utc: TAKEN_AT + second * 1_000, sequence: null })
const post = async (door: Ingest, records: object[]) => (await door.accept({ bytes: json(records), contentType: 'application/json', contentEncoding: '' })).body
const published = async (ofSid: string) => (await system.batches()).filter(batch => batch.sid === ofSid).flatMap(({ readings }) => readings.map(({ takenAt }) => (takenAt - TAKEN_AT) / 1_000))

beforeAll(async () => {
  system = await ingestSystem()
  first = await open()
  for (let at = 0; at < UNKNOWN_DEVICES; at += 1_000) await post(first, Array.from({ length: 1_000 }, (_, i) => sent(0, `unknown-${at + i}`)))
  system.worn.push({ deviceId: DEVICE, sid, from: TAKEN_AT })
  // Before the device was worn.
  expect((await post(first, [sent(-20), sent(-30)])).rejected.map(({ reason }) => reason)).toEqual(['not-associated', 'not-associated'])
})
afterAll(() => {
  unknownAnswered()
  answer = Promise.resolve()
  return system?.close()
})
beforeEach(() => {
  unknownAnswered()
  asked.length = 0
  answer = new Promise(resolve => { unknownAnswered = resolve })
})

test('at a start the readings of an associated device with an uncovered item are accepted at once, however many unknown devices wait', async () => {
  const door = await open()
  await door.releaser.start()
  // The looks at unknown devices hang, and none came before the one at the known device.
  expect(asked.indexOf(DEVICE)).toBe(0)
  expect((await post(door, [sent(1), sent(2)])).accepted).toBe(2)
  unknownAnswered()
  await door.close()
})

test('during a full sweep too, and a sweep by the clock asks for no unknown device', async () => {
  await first.releaser.sweep()
  await first.releaser.settled()
  expect(new Set(asked)).toEqual(new Set([DEVICE]))
  await first.releaser.releaseAll()
  await expect.poll(() => asked.some(name => name !== DEVICE)).toBe(true)
  expect((await post(first, [sent(3)])).accepted).toBe(1)
  // A second sweep finds the first one under way and adds nothing.
  await first.releaser.releaseAll()
  await first.releaser.sweep()
  expect((await post(first, [sent(4)])).accepted).toBe(1)
  expect(await published(sid)).toEqual([1, 2, 3, 4])
})

test('in the midst of it a recorded association releases in order, and newer readings follow', async () => {
  await first.releaser.releaseAll()
  system.worn.push({ deviceId: DEVICE, sid: late, from: TAKEN_AT - 60_000, until: TAKEN_AT })
  first.releaser.associationRecorded([DEVICE])
  expect((await post(first, [sent(-10)])).rejected).toMatchObject([{ reason: 'behind-waiting' }])
  await expect.poll(() => published(late)).toEqual([-30, -20, -10])
  expect((await post(first, [sent(5)])).accepted).toBe(1)
})

test('what a look finds releasable is released, and newer readings wait from then on', async () => {
  unknownAnswered()
  const other = await open()
  system.worn.splice(0)
  expect((await post(other, [sent(-50)])).accepted).toBe(0)
  const found = drawSid()
  system.worn.push({ deviceId: DEVICE, sid: found, from: TAKEN_AT - 60_000 })
  await other.releaser.start()
  expect((await post(other, [sent(-40)])).rejected).toMatchObject([{ reason: 'behind-waiting' }])
  await expect.poll(() => published(found)).toEqual([-50, -40])
  await other.close()
})
