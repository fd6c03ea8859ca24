import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { arrivalHours } from '../../../../src/ingest/counters.ts'
import type { Ingest } from '../../../../src/ingest/open-ingest.ts'
import type { ItemHead } from '../../../../src/ingest/quarantine/quarantine-item.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { ServiceError } from '../../../../src/model/errors.ts'
import { arrivalDay } from '../../../../src/security/data-keys.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { type IngestSystem, ingestSystem } from '../../../support/ingest-system.ts'
import { chanceOfRun } from '../../../support/random.ts'
import { framedV1, json, sentV1, TAKEN_AT } from '../../../support/telemetry.ts'

const DAY_MS = 86_400_000
const BY = 'os-user/nurse@ward'
let system: IngestSystem
let ingest: Ingest
let deviceNumber = 0
let deviceId: string

beforeAll(async () => {
  system = await ingestSystem()
  ingest = await system.open()
  await ingest.releaser.start()
})
afterAll(() => system?.close())
beforeEach(() => { deviceId = `repeating-${++deviceNumber}` })

const post = (body: Buffer, contentType = 'application/json', door = ingest) => door.accept({ bytes: body, contentType, contentEncoding: '' })
const record = (change: Partial<Parameters<typeof sentV1>[0]> = {}) => sentV1({ deviceId, ...change })
const itemsOf = (ofDevice = deviceId) => ingest.review.list({ deviceId: ofDevice, limit: 100_000 })
const bytesOf = async (head: ItemHead | undefined) => (await ingest.review.show(head!.id))!.bytes!.toString()

interface Sums { records: number, returned: number, repeated: number, fields: number, released: number, resubmitted: number, discarded: number }

/** Over everything in the database: what the counters say, what the items say, which places of requests are kept. */
async function books () {
  const { rows: [sums] } = await system.pool.query<Sums>(`SELECT sum(records)::int AS records, sum(returned)::int AS returned, sum(repeated)::int AS repeated,
    sum(fields)::int AS fields, sum(released)::int AS released, sum(resubmitted)::int AS resubmitted, sum(discarded)::int AS discarded FROM ingest.quarantined`)
  const { rows: [items] } = await system.pool.query<{ open: number, seen: number }>(`SELECT count(*) FILTER (WHERE state IN ('waiting', 'held'))::int AS open,
    sum(times_seen)::int AS seen FROM quarantine.item WHERE kind <> 'field'`)
  const { rows: places } = await system.pool.query<{ source: string, place: number }>(`
    SELECT source, place FROM quarantine.item WHERE kind <> 'field' UNION ALL
    SELECT source, generate_series(lower(part), upper(part) - 1) AS place FROM quarantine.book, unnest(places) AS part ORDER BY source, place`)
  return { sums: sums!, ...items!, places: places.map(({ source, place }) => `${source}#${place}`) }
}

async function expectBalanced (): Promise<void> {
  const { sums, open, seen, places } = await books()
  expect(sums.records + sums.returned).toBe(open + sums.repeated + sums.released + sums.resubmitted + sums.discarded)
  expect([sums.records + sums.returned, places.length]).toEqual([seen, seen])
  expect(new Set(places).size).toBe(places.length)
}

test('a record that is sent again is one item, seen first and last, and every place of every request is accounted for', async () => {
  const first = system.now
  const answers = [await post(json([record(), record({ timestamp_utc: TAKEN_AT + 1 })]))]
  system.now = epochMs(first + 60_000)
  for (let i = 0; i < 3; i++) answers.push(await post(json([record()])))
  expect(answers.map(({ body }) => [body.received, body.quarantined, body.rejected[0]!.reason])).toEqual([2, 1, 1, 1].map(count => [count, count, 'device-unknown']))
  expect((await itemsOf()).map(({ timesSeen, arrivedAt, lastSeenAt, eventTime, place }) => [timesSeen, arrivedAt, lastSeenAt, eventTime, place])).toEqual([
    [4, first, first + 60_000, TAKEN_AT, 0], [1, first, first, TAKEN_AT + 1, 1]
  ])
  expect((await books()).sums).toMatchObject({ records: 5, repeated: 3 })
  await expectBalanced()
  system.now = first
})

test('twice in one body is one item and two places', async () => {
  await post(Buffer.from('nonsense\nnonsense\nother nonsense\n'), 'application/x-ndjson')
  const heads = await ingest.review.list({ reasons: ['malformed'], limit: 10 })
  expect(heads.map(({ timesSeen, place }) => [timesSeen, place])).toEqual([[2, 0], [1, 2]])
  await expectBalanced()
})

test('the book knows the places of repeats, and how many records their request had', async () => {
  await post(json([record(), record({ timestamp_utc: TAKEN_AT + 1 })]))
  const before = (await system.pool.query('SELECT source FROM quarantine.book')).rows.map(({ source }) => source)
  await post(json([record({ timestamp_utc: TAKEN_AT + 2 }), record(), record({ timestamp_utc: TAKEN_AT + 1 }), record({ timestamp_utc: TAKEN_AT + 3 })]))
  await post(Buffer.from('{"never'))
  await post(Buffer.from('{"never'))
  const { rows } = await system.pool.query('SELECT kind, state, request_records AS records, places FROM quarantine.book WHERE source <> ALL($1) ORDER BY kind', [before])
  expect(rows).toEqual([{ kind: 'body', state: 'repeated', records: 1, places: '{[0,1)}' }, { kind: 'record', state: 'repeated', records: 4, places: '{[1,3)}' }])
})

test('other bytes never become one item, though device, time and sequence are the same', async () => {
  await post(json([record({ spo2: 96 })]))
  await post(json([record({ spo2: 97 })]))
  await post(framedV1([record({ spo2: 96 })]), 'application/avro')
  await post(json([record({ spo2: 96 })]))
  const heads = await itemsOf()
  expect(heads.map(({ timesSeen, content, eventTime, sequence }) => [timesSeen, content, eventTime, sequence]))
    .toEqual([[2, 'json', TAKEN_AT, 0], [1, 'json', TAKEN_AT, 0], [1, 'avro', TAKEN_AT, 0]])
  expect([await bytesOf(heads[0]), await bytesOf(heads[1])]).toEqual([JSON.stringify(record({ spo2: 96 })), JSON.stringify(record({ spo2: 97 }))])
})

test('under another reason it is another item; under the reason the item has now it is counted there', async () => {
  await post(json([record()]))
  system.registered.add(deviceId)
  await post(json([record()]))
  expect((await itemsOf()).map(({ reason, timesSeen }) => [reason, timesSeen])).toEqual([['device-unknown', 1], ['not-associated', 1]])
  await ingest.releaser.releaseAll()
  await ingest.releaser.settled()
  await post(json([record()]))
  expect((await itemsOf()).map(({ reason, timesSeen }) => [reason, timesSeen])).toEqual([['not-associated', 2], ['not-associated', 1]])
  await expectBalanced()
})

test('a field is kept once however often its record comes', async () => {
  system.registered.add(deviceId)
  system.worn.push({ deviceId, sid: drawSid(), from: TAKEN_AT - 60_000 })
  const { sums: { fields, records } } = await books()
  for (let i = 0; i < 3; i++) await post(json([record({ spo2: 140, battery_mv: 99_999 })]))
  expect((await itemsOf()).map(({ kind, field, timesSeen }) => [kind, field, timesSeen])).toEqual([['field', 'spo2', 3], ['field', 'battery_mv', 3]])
  expect((await books()).sums).toMatchObject({ fields: fields + 6, records })
  await expectBalanced()
})

test('what waits is released once though it was sent three times, and sent again later it is no repeat', async () => {
  const sid = drawSid()
  for (let i = 0; i < 3; i++) await post(json([record()]))
  system.registered.add(deviceId)
  system.worn.push({ deviceId, sid, from: TAKEN_AT - 60_000 })
  ingest.releaser.associationRecorded([deviceId])
  await ingest.releaser.settled()
  expect((await itemsOf()).map(({ state, timesSeen }) => [state, timesSeen])).toEqual([['released', 3]])
  expect((await system.batches()).filter(batch => batch.sid === sid).flatMap(({ readings }) => readings)).toHaveLength(1)
  system.worn.pop()
  await post(json([record()]))
  expect((await itemsOf()).map(({ state, timesSeen }) => [state, timesSeen])).toEqual([['released', 3], ['waiting', 1]])
  await expectBalanced()
})

test('a re-submission that fails again makes no copy', async () => {
  await post(Buffer.from('{"deviceId'))
  await post(json([record({ timestamp_utc: 1_000 })]))
  system.registered.add(deviceId)
  await post(json([record({ timestamp_utc: 1_000 })]))
  const held = () => ingest.review.list({ states: ['held'], limit: 1_000 })
  const before = await held()
  for (let i = 0; i < 3; i++) expect((await ingest.review.resubmit(before.map(({ id }) => id))).resubmitted).toBe(0)
  expect((await held()).map(({ id, attempts, timesSeen }) => [id, attempts, timesSeen])).toEqual(before.map(({ id, timesSeen }) => [id, 3, timesSeen]))
  await expectBalanced()
})

test('what came again does not end in an item whose key is gone', async () => {
  await post(json([record()]))
  const day = arrivalDay(system.now)
  system.now = epochMs(system.now + DAY_MS)
  const destroyed = new ServiceError('not-found', 'KEY_DESTROYED', 'gone')
  const forDay = (asked: string) => asked === day ? Promise.reject(destroyed) : system.dataKeys.forDay(asked)
  const bereft = await system.open({ dataKeys: { ...system.dataKeys, forDay }, instance: 'bereft' })
  for (let i = 0; i < 2; i++) await post(json([record()]), 'application/json', bereft)
  expect((await itemsOf()).map(({ timesSeen, arrivedAt }) => [timesSeen, arrivedAt])).toEqual([[1, system.now - DAY_MS], [2, system.now]])
  system.now = epochMs(system.now - DAY_MS)
  await expectBalanced()
})

test('a sender that repeats itself without end does not fill the quarantine', async () => {
  const room = (await books()).open + (await system.pool.query(`SELECT 1 FROM quarantine.item WHERE kind = 'field' AND sealed IS NOT NULL`)).rowCount! + 2
  const small = await system.open({ quarantineLimits: { itemsMax: room }, instance: 'small' })
  for (let i = 0; i < 20; i++) expect((await post(json([record()]), 'application/json', small)).body.quarantined).toBe(1)
  expect((await itemsOf()).map(({ timesSeen }) => timesSeen)).toEqual([20])
})

test('no item is discarded without a person or the server, and a reason', async () => {
  await post(json([record()]))
  const [item] = await itemsOf()
  const end = (by: string | null, note: string | null) => system.pool.query(
    `UPDATE quarantine.item SET state = 'discarded', sealed = NULL, fingerprint = NULL, settled_at = now(), settled_by = $2, note = $3 WHERE id = $1`, [item!.id, by, note])
  await expect(end(null, 'why')).rejects.toMatchObject({ code: '23514' })
  await expect(end(BY, null)).rejects.toMatchObject({ code: '23514' })
})

test('whatever is sent, repeated, discarded and released at once, the books add up', async () => {
  const chance = chanceOfRun()
  const devices = Array.from({ length: 4 }, (_, i) => `${deviceId}-${i}`)
  const some = () => json(Array.from({ length: chance.whole(1, 12) }, () => chance.is(0.1) ? null
    : record({ deviceId: devices[chance.whole(0, devices.length)]!, timestamp_utc: chance.is(0.1) ? 1_000 : TAKEN_AT + chance.whole(0, 4), spo2: 90 + chance.whole(0, 2) })))
  const other = await system.open({ instance: 'other' })
  const discardSome = async () => {
    const ids = (await ingest.review.list({ states: ['waiting', 'held'], limit: 1_000 })).filter(() => chance.is(0.3)).map(({ id }) => id)
    await ingest.review.discard(ids, 'test', BY)
  }
  const appear = async () => {
    const device = devices[chance.whole(0, devices.length)]!
    system.registered.add(device)
    if (chance.is(0.3)) system.worn.push({ deviceId: device, sid: drawSid(), from: TAKEN_AT, until: TAKEN_AT + 2 })
    ingest.releaser.associationRecorded([device])
  }
  for (let round = 0; round < 25; round++) {
    await Promise.all(Array.from({ length: 6 }, () => chance.is(0.7) ? post(some(), 'application/json', chance.is(0.8) ? ingest : other) : chance.is(0.5) ? discardSome() : appear()))
  }
  await ingest.releaser.settled()
  await other.releaser.settled()
  await expectBalanced().catch(error => { throw new Error(`seed ${chance.seed}`, { cause: error }) })
  const { sums } = await books()
  const hours = await arrivalHours(system.pool, epochMs(0), epochMs(system.now + DAY_MS))
  expect(hours.reduce((sum, { repeated }) => sum + repeated, 0)).toBe(sums.repeated)
  expect(sums.repeated).toBeGreaterThan(20)
}, 60_000)

test('an item is kept from when it was seen last; its discard stays on record, without what tells of the device', async () => {
  const start = system.now
  await post(json([record({ timestamp_utc: TAKEN_AT + 2 }), record({ timestamp_utc: TAKEN_AT + 3 })]))
  system.now = epochMs(start + 100 * DAY_MS)
  await post(json([record({ timestamp_utc: TAKEN_AT + 2 })]))
  system.now = epochMs(start + 181 * DAY_MS)
  await ingest.expire()
  const [kept, expired] = await itemsOf()
  expect([kept, expired]).toMatchObject([{ state: 'waiting', timesSeen: 2 }, { state: 'discarded', note: 'expired', settledBy: 'oxbow' }])
  expect(JSON.parse(await bytesOf(kept))).toEqual(record({ timestamp_utc: TAKEN_AT + 2 }))
  expect(await ingest.review.discard([kept!.id], 'no such device was ever ours', BY)).toBe(1)
  system.now = epochMs(start + 500 * DAY_MS)
  await ingest.expire()
  expect(await itemsOf()).toEqual([])
  const { head, bytes } = (await ingest.review.show(kept!.id))!
  expect(bytes).toBeUndefined()
  expect(head).toMatchObject({
    state: 'discarded', settledBy: BY, note: 'no such device was ever ours', settledAt: start + 181 * DAY_MS, reason: 'device-unknown', timesSeen: 2, source: kept!.source,
    place: 0, arrivedAt: start, lastSeenAt: start + 100 * DAY_MS, eventTime: undefined, sequence: undefined
  })
  const { rows } = await system.pool.query(`SELECT 1 FROM quarantine.item WHERE state IN ('released', 'resubmitted') OR device_index IS NOT NULL AND state = 'discarded'`)
  expect(rows).toEqual([])
  system.now = start
})
