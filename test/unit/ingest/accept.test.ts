import { expect, test } from 'vitest'
import { decodeRawFrame, recordsOfFrame } from '../../../src/ingest/raw-frame.ts'
import { ServiceError } from '../../../src/model/errors.ts'
import { RAW, READINGS } from '../../../src/model/streams.ts'
import { rawContext } from '../../../src/security/data-keys.ts'
import { open } from '../../../src/security/envelope.ts'
import { DOOR_NOW, RAW_KEY, SID_1, SID_2, testDoor } from '../../support/ingest-door.ts'
import { framedV2, json, ndjson, sentV1, sentV2, TAKEN_AT } from '../../support/telemetry.ts'

const ofJson = (bytes: Buffer) => ({ bytes, contentType: 'application/json', contentEncoding: '' })

test('each sid gets one raw frame and one batch behind it, in order of arrival', async () => {
  for (const isSlow of [false, true]) {
    const door = testDoor({ isSlow })
    const sent = [sentV2({ sequence: 1 }), sentV2({ deviceId: 'device-2', sequence: 1 }), sentV2({ sequence: 2 })]
    const answer = await door.accept(ofJson(json(sent)))
    expect(answer).toEqual({ status: 200, body: { received: 3, accepted: 3, quarantined: 0, rejected: [], fields: [] } })
    expect(door.published.map(({ topic, key }) => [topic, key])).toEqual([[RAW, SID_1], [READINGS, SID_1], [RAW, SID_2], [READINGS, SID_2]])
    const [first] = door.batches()
    expect(first).toMatchObject({ sid: SID_1, model: 'Example Sensors Inc./TO2-READER-2', schemaId: 2, receivedAt: DOOR_NOW })
    expect(first!.readings.map(({ sequence, firmware, values }) => [sequence, firmware, values])).toEqual([[1, 7, [38.2, 97.5]], [2, 7, [38.2, 97.5]]])
    expect([door.items, door.accepted]).toEqual([[], 3])
  }
})

test('the raw frame holds the original bytes, sealed to its sid, with schema, source and time in its head', async () => {
  const door = testDoor()
  const body = framedV2([sentV2({ sequence: 1 }), sentV2({ sequence: 2 })])
  await door.accept({ bytes: body, contentType: 'application/avro', contentEncoding: '' })
  const frame = decodeRawFrame(door.published[0]!.value)
  expect(frame).toMatchObject({ content: 'avro', schemaId: 2, receivedAt: DOOR_NOW, way: 'arrived', origins: [{ inlet: 'http/test', number: 1, records: 2 }], runs: [{ origin: 0, first: 0, count: 2 }] })
  const originals = recordsOfFrame(frame, open(RAW_KEY, rawContext(SID_1), frame.sealed))
  expect(Buffer.concat(originals)).toEqual(body.subarray(5))
  expect(Buffer.from(door.published[0]!.value).includes('device-1')).toBe(false)
})

test('the places of a request stand in its raw frames and its items, each once, and how many there are in each', async () => {
  const door = testDoor()
  await door.accept(ofJson(json([sentV2({ sequence: 1 }), sentV2({ deviceId: 'spare', sequence: 1 }), sentV2({ deviceId: 'device-2', sequence: 1 }), sentV2({ sequence: 2 }), sentV2({ sequence: 3 })])))
  const frames = door.published.filter(({ topic }) => topic === RAW).map(({ value }) => decodeRawFrame(value))
  expect(frames.map(({ runs }) => runs)).toEqual([[{ origin: 0, first: 0, count: 1 }, { origin: 0, first: 3, count: 2 }], [{ origin: 0, first: 2, count: 1 }]])
  expect(frames.map(({ origins }) => origins)).toEqual(Array(2).fill([{ inlet: 'http/test', number: 1, records: 5 }]))
  expect(door.items.map(({ source, place, requestRecords }) => ({ source, place, requestRecords }))).toEqual([{ source: 'http/test/1', place: 1, requestRecords: 5 }])
})

test('records of one sid in two schemas are two batches', async () => {
  const door = testDoor()
  await door.accept(ofJson(json([sentV1(), sentV2()])))
  expect(door.batches().map(({ schemaId }) => schemaId)).toEqual([1, 2])
})

test('no device or patient id goes to the bus', async () => {
  const door = testDoor()
  await door.accept(ofJson(json(sentV1({ patientId: 'p1' }))))
  for (const { key, value } of door.published) {
    expect(key).toBe(SID_1)
    for (const id of ['device-1', 'p1"', '2.4.1']) expect(Buffer.from(value).includes(id)).toBe(false)
  }
})

test.each([
  ['nobody', {}, 'device-unknown'],
  ['spare', {}, 'not-associated'],
  ['later', {}, 'linkage-unavailable'],
  ['odd', {}, 'model-unknown'],
  ['device-1', { patientId: 'other' }, 'patient-mismatch'],
  ['spare', { timestamp_utc: TAKEN_AT + 400_000 }, 'time-future'],
  ['nobody', { timestamp_utc: TAKEN_AT + 400_000 }, 'device-unknown'],
  ['device-1', { timestamp_utc: 1_700_000_000 }, 'time-implausible']
] as const)('a record of %s %j is quarantined as %s and named in the answer', async (deviceId, change, reason) => {
  const door = testDoor()
  const { status, body } = await door.accept(ofJson(json([sentV1(), sentV1({ deviceId, ...change })])))
  expect(status).toBe(200)
  expect(body).toMatchObject({ received: 2, accepted: 1, quarantined: 1, rejected: [{ index: 1, reason }] })
  expect(door.items).toMatchObject([{ kind: 'record', reason, schemaId: 1, content: 'json', source: 'http/test/1', place: 1, deviceId, arrivedAt: DOOR_NOW }])
  expect(JSON.stringify(body)).not.toContain(deviceId)
})

test('a failed field is quarantined with its record, and the reading goes on', async () => {
  const door = testDoor()
  const { body } = await door.accept(ofJson(json(sentV1({ spo2: 140 }))))
  expect(body).toMatchObject({ received: 1, accepted: 1, quarantined: 0, rejected: [], fields: [{ index: 0, field: 'spo2', reason: 'range-hard' }] })
  expect(door.items).toMatchObject([{ kind: 'field', field: 'spo2', reason: 'range-hard', deviceId: 'device-1' }])
  expect(door.batches()[0]!.readings[0]!.values).toEqual([38.2])
})

test('of a record whose measured fields fail for different reasons each is told', async () => {
  const door = testDoor()
  const { body } = await door.accept(ofJson(json([sentV1({ local_tissue_o2: 4_000, spo2: 0.5 })])))
  expect(body.rejected).toMatchObject([{ index: 0, reason: 'no-channel-left' }])
  expect(body.rejected[0]).not.toHaveProperty('field')
  expect(body.fields).toMatchObject([{ index: 0, field: 'spo2', reason: 'fraction-as-percent' }, { index: 0, field: 'local_tissue_o2', reason: 'range-hard' }])
  expect(door.items).toMatchObject([{ kind: 'record', reason: 'no-channel-left' }])
})

test('SpO2 sent as fractions by one device does not touch another', async () => {
  const door = testDoor()
  const { body } = await door.accept(ofJson(json([sentV1({ spo2: 0.97 }), sentV1({ spo2: 0.98 }), sentV1({ deviceId: 'device-2', spo2: 98 })])))
  expect(body.fields.map(({ index, reason }) => [index, reason])).toEqual([[0, 'fraction-as-percent'], [1, 'fraction-as-percent']])
  expect(body.accepted).toBe(3)
})

test('when no record could be read the answer is 400 and everything is kept', async () => {
  const door = testDoor()
  const lines = await door.accept({ bytes: ndjson([null, 5]), contentType: 'application/x-ndjson', contentEncoding: '' })
  expect(lines).toMatchObject({ status: 400, body: { received: 2, accepted: 0, quarantined: 2 } })
  const body = await door.accept(ofJson(Buffer.from('{"deviceId": "secret-id"')))
  expect(body).toMatchObject({ status: 400, body: { received: 1, accepted: 0, quarantined: 1, rejected: [{ index: 0, reason: 'malformed' }] } })
  expect(door.items.map(({ kind }) => kind)).toEqual(['record', 'record', 'body'])
  expect(door.items[2]!.bytes.source.toString()).toBe('{"deviceId": "secret-id"')
  expect(JSON.stringify(body)).not.toContain('secret-id')
  expect(door.published).toEqual([])
})

test('a full bus or a full quarantine refuses the request before anything of it is stored', async () => {
  const full = new ServiceError('busy', 'BUS_FULL', 'full', { retryAfterS: 1 })
  const busFull = testDoor({ publish: async () => { throw full } })
  await expect(busFull.accept(ofJson(json([sentV1(), sentV1({ deviceId: 'nobody' })])))).rejects.toBe(full)
  expect([busFull.items, busFull.accepted]).toEqual([[], 0])
  const quarantineFull = testDoor({ assertRoom: () => { throw full } })
  await expect(quarantineFull.accept(ofJson(json([sentV1(), sentV1({ deviceId: 'nobody' })])))).rejects.toBe(full)
  expect(quarantineFull.published).toEqual([])
  expect((await quarantineFull.accept(ofJson(json(sentV1())))).status).toBe(200)
})

test('of a device over its limit nothing is kept, the others are, and the answer says which and when', async () => {
  const asked: unknown[][] = []
  const door = testDoor({ admit: (gateway, records, unreadCount) => {
    asked.push([gateway, records.length, unreadCount])
    return { devices: new Set(['device-1']), count: 2, retryAfterS: 7 }
  } })
  const sent = [sentV2(), sentV2({ deviceId: 'device-2' }), null, sentV2({ deviceId: 'nobody' }), sentV2({ sequence: 8 }), sentV2({ deviceId: 'device-2', signal_quality: 400 })]
  const { status, body, retryAfterS } = await door.accept(ofJson(json(sent)), 'gateway 7')
  expect([status, retryAfterS, asked]).toEqual([429, 7, [['gateway 7', 5, 1]]])
  expect(body).toMatchObject({ received: 6, accepted: 2, quarantined: 2, limited: 2, fields: [{ index: 5, field: 'signal_quality', reason: 'range-hard' }] })
  expect(body.rejected.map(({ index, reason }) => [index, reason])).toEqual([[0, 'rate-limited'], [2, 'malformed'], [3, 'device-unknown'], [4, 'rate-limited']])
  expect(door.batches().map(({ sid }) => sid)).toEqual([SID_2])
  // What is kept is numbered without gaps: 0 is the first of device-2.
  expect(door.items.map(({ deviceId, place }) => [deviceId, place])).toEqual([[undefined, 1], ['nobody', 2], ['device-2', 3]])
  expect(door.accepted).toBe(2)
})

test('a gateway over its limit is refused before anything is stored; a body that cannot be read weighs as one record', async () => {
  const limited = new ServiceError('busy', 'RATE_LIMITED', 'later', { retryAfterS: 3 })
  const asked: unknown[][] = []
  const door = testDoor({ admit: (_gateway, records, unreadCount) => { asked.push([records.length, unreadCount]); throw limited } })
  await expect(door.accept(ofJson(json([sentV1(), sentV1({ deviceId: 'nobody' }), null])))).rejects.toBe(limited)
  await expect(door.accept(ofJson(Buffer.from('{')))).rejects.toBe(limited)
  expect([door.published, door.items, door.accepted, asked]).toEqual([[], [], 0, [[2, 1], [0, 1]]])
})

test('an empty array is answered with zeros', async () => {
  expect(await testDoor().accept(ofJson(Buffer.from('[]')))).toEqual({ status: 200, body: { received: 0, accepted: 0, quarantined: 0, rejected: [], fields: [] } })
})
