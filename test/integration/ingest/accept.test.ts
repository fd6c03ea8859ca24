import { afterAll, beforeAll, expect, test } from 'vitest'
import { arrivalHours, quarantinedOf, refusedByStatus } from '../../../src/ingest/counters.ts'
import type { Ingest } from '../../../src/ingest/open-ingest.ts'
import type { Sid } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import { drawSid } from '../../../src/security/sid.ts'
import { MODELS } from '../../support/ingest-door.ts'
import { type IngestSystem, ingestSystem } from '../../support/ingest-system.ts'
import { framedV2, json, sentV1, sentV2, TAKEN_AT } from '../../support/telemetry.ts'

let system: IngestSystem
let ingest: Ingest
const sid: Sid = drawSid()
const PLANTED = { device: 'PLANTED-DEVICE-77', unknown: 'PLANTED-UNKNOWN-78', patient: 'PLANTED-PATIENT-79', firmware: 'PLANTED-FW-80' }

beforeAll(async () => {
  system = await ingestSystem()
  system.registered.add(PLANTED.device)
  system.worn.push({ deviceId: PLANTED.device, sid, from: TAKEN_AT - 60_000, patientId: PLANTED.patient })
  ingest = await system.open()
  await ingest.releaser.start()
})
afterAll(() => system?.close())

const post = (bytes: Buffer, contentType = 'application/json') => ingest.accept({ bytes, contentType, contentEncoding: '' })
const mine = (change: Partial<Parameters<typeof sentV1>[0]> = {}) => sentV1({ deviceId: PLANTED.device, patientId: PLANTED.patient, firmware_version: PLANTED.firmware, ...change })

test('what is answered is durable on the bus and in quarantine, and the counters add up', async () => {
  const { body } = await post(json([mine(), mine({ timestamp_utc: TAKEN_AT + 1_000, spo2: 140 }), mine({ deviceId: PLANTED.unknown }), mine({ patientId: 'other' }), null]))
  expect(body).toMatchObject({ received: 5, accepted: 2, quarantined: 3, fields: [{ index: 1, field: 'spo2', reason: 'range-hard' }] })
  await post(framedV2([sentV2({ deviceId: PLANTED.device })]), 'application/avro')
  await post(Buffer.from(`{"deviceId":"${PLANTED.unknown}"`))
  await ingest.counters.flush()
  const readings = (await system.batches()).flatMap(batch => batch.readings)
  expect(readings).toHaveLength(3)
  expect(await system.rawCount()).toBe(2)
  const heads = await ingest.review.list({ limit: 100 })
  expect(heads.map(({ kind, reason, state }) => [kind, reason, state]).sort()).toEqual([
    ['body', 'malformed', 'held'], ['field', 'range-hard', 'held'], ['record', 'device-unknown', 'waiting'], ['record', 'malformed', 'held'], ['record', 'patient-mismatch', 'held']
  ])
  const [hour] = await arrivalHours(system.pool, epochMs(0), epochMs(system.now + 1))
  expect(hour).toMatchObject({ received: 7, accepted: 3, quarantined: 4, fields: 1, released: 0 })
  expect(await quarantinedOf(system.pool, ingest.quarantine.deviceIndexOf(PLANTED.unknown))).toMatchObject({ records: 1, fields: 0 })
  expect(await quarantinedOf(system.pool, ingest.quarantine.deviceIndexOf(PLANTED.device))).toMatchObject({ records: 1, fields: 1 })
})

test('items are listed by reason, state, device and time, and shown in clear', async () => {
  const heads = await ingest.review.list({ deviceId: PLANTED.unknown.toLowerCase(), limit: 10 })
  expect(heads.map(({ reason }) => reason)).toEqual(['device-unknown'])
  const shown = await ingest.review.show(heads[0]!.id)
  expect(JSON.parse(shown!.bytes!.toString())).toEqual(mine({ deviceId: PLANTED.unknown }))
  expect(shown!.record).toMatchObject({ deviceId: PLANTED.unknown, spo2: 97.5 })
  expect(await ingest.review.list({ reasons: ['malformed'], states: ['held'], limit: 10 })).toHaveLength(2)
  expect(await ingest.review.list({ arrivedFrom: epochMs(system.now + 1), limit: 10 })).toEqual([])
  expect(await ingest.review.show('00000000-0000-4000-8000-000000000000')).toBeUndefined()
})

test('no planted identifier stands anywhere in the bus database, in any row of any table', async () => {
  const { rows: tables } = await system.database.owner.query<{ name: string }>(
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
  expect(tables.map(({ name }) => name)).toEqual(expect.arrayContaining(['quarantine.item', 'bus.batch', 'ingest.quarantined']))
  for (const { name } of tables) {
    const { rows } = await system.database.owner.query<{ line: string }>(`SELECT t::text AS line FROM ${name} AS t`)
    for (const { line } of rows) {
      for (const planted of [...Object.values(PLANTED), PLANTED.device.toLowerCase()]) {
        for (const encoding of ['utf8', 'hex', 'base64', 'utf16le'] as const) {
          const form = encoding === 'utf8' ? planted : encoding === 'utf16le' ? Buffer.from(planted, 'utf16le').toString('hex') : Buffer.from(planted).toString(encoding).replace(/=+$/, '')
          expect(line.includes(form), `${name} holds a planted identifier`).toBe(false)
        }
      }
    }
  }
})

test('a field is re-submitted alone, once its cause is fixed', async () => {
  const [head] = await ingest.review.list({ reasons: ['range-hard'], states: ['held'], limit: 1 })
  expect(await ingest.review.resubmit([head!.id])).toEqual({ resubmitted: 0, remaining: [{ id: head!.id, reason: 'range-hard' }] })
  const before = (await system.batches()).length
  const wide = await system.open({ models: new Map([...MODELS].map(([key, model]) => [key, {
    ...model, channels: model.channels.map(channel => channel.kind === 'spo2' ? { ...channel, kind: 'tissue-po2' as const, technicalRange: { low: 0, high: 150 } } : channel)
  }])) })
  expect(await wide.review.resubmit([head!.id])).toEqual({ resubmitted: 1, remaining: [] })
  const batches = await system.batches()
  expect(batches.slice(before).flatMap(({ readings }) => readings)).toMatchObject([{ takenAt: TAKEN_AT + 1_000, values: [undefined, 140], battery: undefined, quality: undefined }])
  const item = await ingest.review.show(head!.id)
  expect(item).toMatchObject({ head: { state: 'resubmitted' }, bytes: undefined })
})

test('a record is re-submitted after the association was corrected, and a body after its cause is fixed comes in anew', async () => {
  const [mismatch] = await ingest.review.list({ reasons: ['patient-mismatch'], limit: 1 })
  system.worn[0]!.patientId = 'other'
  expect(await ingest.review.resubmit([mismatch!.id])).toEqual({ resubmitted: 1, remaining: [] })
  system.worn[0]!.patientId = PLANTED.patient
  const [body] = await ingest.review.list({ states: ['held'], reasons: ['malformed'], limit: 10 }).then(heads => heads.filter(({ kind }) => kind === 'body'))
  expect(await ingest.review.resubmit([body!.id])).toEqual({ resubmitted: 0, remaining: [{ id: body!.id, reason: 'malformed' }] })
})

test('discarding needs a reason and ends an item for good', async () => {
  const ids = (await ingest.review.list({ states: ['held'], limit: 10 })).map(({ id }) => id)
  expect(() => ingest.review.discard(ids, ' ', 'os-user/a@b')).toThrowError(expect.objectContaining({ code: 'USAGE' }))
  expect(await ingest.review.discard(ids, 'sender was broken', 'os-user/a@b')).toBe(ids.length)
  expect(await ingest.review.discard(ids, 'again', 'os-user/a@b')).toBe(0)
  expect((await ingest.review.show(ids[0]!))!.head).toMatchObject({ state: 'discarded', note: 'sender was broken', settledBy: 'os-user/a@b' })
  const [hour] = await arrivalHours(system.pool, epochMs(0), epochMs(system.now + 1))
  expect(hour).toMatchObject({ quarantined: 4, released: 1, discarded: 2 })
})

test('refused requests are counted by status', async () => {
  ingest.counters.refused(system.now, 413)
  ingest.counters.refused(system.now, 413)
  ingest.counters.refused(system.now, 401)
  await ingest.counters.flush()
  expect(await refusedByStatus(system.pool)).toEqual(new Map([[401, 1], [413, 2]]))
})

test('many requests at once share commits of quarantine and all are kept', async () => {
  const before = (await ingest.review.list({ limit: 100_000 })).length
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => post(json(Array.from({ length: 20 }, (_, j) => mine({ deviceId: `crowd-${i}`, timestamp_utc: TAKEN_AT + j }))))))
  expect(answers.every(({ body }) => body.quarantined === 20)).toBe(true)
  expect((await ingest.review.list({ limit: 100_000 })).length - before).toBe(1_000)
})

test.each([{ itemsMax: 5 }, { bytesMax: 100 }])('a full quarantine (%j) refuses what would be quarantined, and nothing of the request is stored', async quarantineLimits => {
  system.raised.length = 0
  const small = await system.open({ quarantineLimits })
  const before = (await system.batches()).length
  await expect(small.accept({ bytes: json([mine(), mine({ deviceId: 'nobody' })]), contentType: 'application/json', contentEncoding: '' }))
    .rejects.toThrowError(expect.objectContaining({ code: 'QUARANTINE_FULL', category: 'busy' }))
  expect(system.raised).toContain('quarantine-full')
  expect((await system.batches()).length).toBe(before)
  expect((await small.accept({ bytes: json(mine()), contentType: 'application/json', contentEncoding: '' })).body.accepted).toBe(1)
})

test('an unregistered firmware raises one alarm, however many readings tell of it', async () => {
  system.raised.length = 0
  const strict = await system.open({ models: new Map([...MODELS].map(([key, model]) => [key, { ...model, firmware: ['1.0'] }])) })
  for (let i = 0; i < 3; i++) await strict.accept({ bytes: json([mine({ timestamp_utc: TAKEN_AT + i }), mine({ timestamp_utc: TAKEN_AT + 10 + i })]), contentType: 'application/json', contentEncoding: '' })
  expect(system.raised).toEqual(['firmware-unknown'])
})

test('held items are kept 30 days, waiting ones 180, and their end is announced 7 days before', async () => {
  await post(json(mine({ patientId: 'wrong' })))
  const openCount = async (states: ('held' | 'waiting')[]) => (await ingest.review.list({ states, limit: 100_000 })).length
  const waiting = await openCount(['waiting'])
  const start = system.now
  const arrivals = (await ingest.review.list({ limit: 100_000 })).filter(({ kind }) => kind !== 'field')
  system.raised.length = 0
  const day = 86_400_000
  system.now = epochMs(start + 22 * day)
  expect([await ingest.expire(), system.raised]).toEqual([0, []])
  system.now = epochMs(start + 24 * day)
  expect([await ingest.expire(), system.raised]).toEqual([0, ['quarantine-expiring']])
  system.now = epochMs(start + 30 * day + 1)
  expect([await ingest.expire(), await openCount(['held']), await openCount(['waiting'])]).toEqual([1, 0, waiting])
  system.now = epochMs(start + 180 * day + 1)
  expect([await ingest.expire(), await openCount(['held', 'waiting'])]).toEqual([waiting, 0])
  const sums = (await arrivalHours(system.pool, epochMs(0), epochMs(system.now))).map(({ quarantined, released, resubmitted, discarded }) => quarantined - released - resubmitted - discarded)
  expect(sums.every(open => open === 0)).toBe(true)
  system.now = epochMs(start + 211 * day)
  await ingest.expire()
  const onRecord = (await ingest.review.list({ limit: 100_000 })).filter(({ kind }) => kind !== 'field')
  expect(new Set(onRecord.map(({ state, eventTime, sequence }) => `${state} ${eventTime} ${sequence}`))).toEqual(new Set(['discarded undefined undefined']))
  const { rows: book } = await system.database.owner.query<{ source: string, kind: string, state: string, requestRecords: number, place: number }>(
    'SELECT source, kind, state, request_records AS "requestRecords", generate_series(lower(r), upper(r) - 1) AS place FROM quarantine.book, unnest(places) AS r')
  expect(new Set(book.map(({ state }) => state))).toEqual(new Set(['resubmitted']))
  const words = (items: readonly { source: string, place: number, kind: string, requestRecords: number | undefined }[]) =>
    items.map(({ source, place, kind, requestRecords }) => `${source} ${place} ${kind} ${requestRecords}`).sort()
  expect(words([...book, ...onRecord])).toEqual(words(arrivals))
  expect(book.length + onRecord.length).toBe((await system.database.owner.query<{ sum: number }>('SELECT sum(records)::bigint AS sum FROM ingest.quarantined')).rows[0]!.sum)
  system.now = start
})
