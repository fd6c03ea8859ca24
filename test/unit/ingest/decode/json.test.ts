import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeJson, decodeNdjson } from '../../../../src/ingest/decode/json.ts'
import { DECODE_LIMITS, type DecodedBody, type DecodedRecord, type RejectedRecord } from '../../../../src/ingest/decode/record.ts'
import { json, ndjson, sentV1, sentV2, TAKEN_AT } from '../../../support/telemetry.ts'

function read (body: DecodedBody): { records: readonly DecodedRecord[], rejected: readonly RejectedRecord[] } {
  if (body.unreadable !== undefined) throw new Error(`unreadable: ${body.unreadable}`)
  return body
}
const ofJson = (body: Buffer) => read(decodeJson(body, DECODE_LIMITS))
const ofLines = (body: Buffer) => read(decodeNdjson(body, DECODE_LIMITS))
const spanText = (record: { source: Buffer, start: number, end: number }) => record.source.toString('utf8', record.start, record.end)

test('one object is one record of schema v1 with its fields', () => {
  const [record] = ofJson(json(sentV1({ patientId: 'p1' }))).records
  expect(record).toMatchObject({
    index: 0, content: 'json', schemaId: 1, deviceId: 'device-1', patientId: 'p1', takenAt: TAKEN_AT, sequence: 0, channels: undefined,
    spo2: 97.5, tissueO2: 38.2, battery: 3700, quality: 92, firmware: '2.4.1'
  })
})

test('a body with channels is schema v2', () => {
  const [record] = ofJson(json(sentV2())).records
  expect(record).toMatchObject({ schemaId: 2, sequence: 7, spo2: undefined, tissueO2: undefined })
  expect(record!.channels).toEqual(sentV2().channels)
})

test('a missing field and null are both absent, and an absent sequence is 0', () => {
  const bare = { deviceId: 'd', timestamp_utc: TAKEN_AT, spo2: 97, local_tissue_o2: null }
  expect(ofJson(json(bare)).records[0]).toMatchObject({ spo2: 97, tissueO2: undefined, battery: undefined, quality: undefined, firmware: undefined, patientId: undefined })
  expect(ofJson(json(sentV2({ sequence: null }))).records[0]!.sequence).toBe(0)
})

test('each record keeps its own bytes as cut from the body, with the blanks inside it', () => {
  const first = '{ "deviceId":"a","timestamp_utc":1,\n "spo2":97 }'
  const second = '{"deviceId":"b,]}\\"","timestamp_utc":2,"spo2":1e1}'
  const { records } = ofJson(Buffer.from(` [ ${first} ,\t${second}\n] `))
  expect(records.map(spanText)).toEqual([first, second])
  expect(records[1]!.deviceId).toBe('b,]}"')
})

test('the bytes of any array are cut where its elements stand', () => {
  fc.assert(fc.property(fc.array(fc.jsonValue({ maxDepth: 3 })), fc.nat({ max: 3 }), (values, indent) => {
    const { records, rejected } = ofJson(Buffer.from(JSON.stringify(values, undefined, indent)))
    const cut = [...records, ...rejected].sort((a, b) => a.index - b.index).map(record => JSON.parse(spanText(record)))
    expect(cut).toEqual(JSON.parse(JSON.stringify(values)))
  }))
})

test('NDJSON gives the same records as an array of the same objects', () => {
  const sent = [sentV1(), sentV2(), sentV1({ spo2: 90 })]
  const lines = ofLines(ndjson(sent)).records
  expect(lines.map(({ source: _, start: __, end: ___, ...fields }) => fields))
    .toEqual(ofJson(json(sent)).records.map(({ source: _, start: __, end: ___, ...fields }) => fields))
  expect(lines.map(spanText)).toEqual(sent.map(record => JSON.stringify(record)))
})

test('NDJSON may end without a newline, use CRLF and have blank lines', () => {
  const line = JSON.stringify(sentV1())
  expect(ofLines(Buffer.from(line)).records).toHaveLength(1)
  expect(ofLines(Buffer.from(`${line}\r\n\r\n${line}\r\n`)).records).toHaveLength(2)
})

test('a bad line of NDJSON is one malformed record and the others go on', () => {
  const good = JSON.stringify(sentV1())
  const cases = ['{', '{"a":', `${good},${good}`, `${good}${good}`, '[1', '2]', 'NaN', '"text"', 'null', good.replace('97.5', 'NaN'), '\ufeff{}', `${'['.repeat(40)}${']'.repeat(40)}`]
  for (const bad of cases) {
    const { records, rejected } = ofLines(Buffer.from(`${good}\n${bad}\n${good}\n`))
    expect(records.map(record => record.index)).toEqual([0, 2])
    expect(rejected.map(({ index, reason }) => [index, reason])).toEqual([[1, 'malformed']])
    expect(spanText(rejected[0]!)).toBe(bad)
  }
})

test('a line that is not UTF-8 is malformed', () => {
  const body = Buffer.concat([ndjson([sentV1()]), Buffer.from([0x7b, 0xff, 0x7d, 0x0a]), ndjson([sentV1()])])
  expect(ofLines(body).rejected.map(({ index }) => index)).toEqual([1])
})

test('a record that names a field twice is refused, also inside a channel', () => {
  const twice = JSON.stringify(sentV1()).replace('"spo2":97.5', '"spo2":97.5,"spo2":12')
  const inside = JSON.stringify(sentV2()).replace('"value":38.2', '"value":38.2,"value":38.3')
  const escaped = JSON.stringify(sentV1()).replace('"spo2":97.5', '"spo2":97.5,"sp\\u006f2":12')
  for (const body of [twice, inside, escaped]) expect(ofJson(Buffer.from(body)).rejected[0]!.reason).toBe('duplicate-key')
})

test('colons in texts are no members', () => {
  expect(ofJson(json(sentV1({ deviceId: 'urn:oid:1.2:"x"' }))).records[0]!.deviceId).toBe('urn:oid:1.2:"x"')
})

test('a field that the schema does not have makes the record malformed', () => {
  for (const extra of [{ ...sentV1(), signal_qualty: 3 }, { ...sentV1(), sequence: 1 }, { ...sentV2(), spo2: 97 }]) {
    expect(ofJson(json(extra)).rejected[0]).toMatchObject({ reason: 'malformed', field: 'unknown_field' })
  }
  expect(ofJson(Buffer.from(JSON.stringify(sentV1()).replace('{', '{"__proto__":{"spo2":1},'))).rejected[0]!.reason).toBe('malformed')
})

test('the field at fault is named in our words', () => {
  const cases: [change: object, field: string][] = [
    [{ deviceId: undefined }, 'deviceId'], [{ deviceId: '' }, 'deviceId'], [{ deviceId: 7 }, 'deviceId'], [{ deviceId: 'a\0b' }, 'deviceId'],
    [{ deviceId: 'x'.repeat(129) }, 'deviceId'], [{ deviceId: '\ud800' }, 'deviceId'], [{ patientId: '' }, 'patientId'], [{ patientId: {} }, 'patientId'],
    [{ timestamp_utc: undefined }, 'timestamp_utc'], [{ timestamp_utc: '2026-03-01T12:00:00Z' }, 'timestamp_utc'], [{ timestamp_utc: 1.5 }, 'timestamp_utc'],
    [{ timestamp_utc: 2 ** 53 }, 'timestamp_utc'], [{ firmware_version: 'x'.repeat(65) }, 'firmware_version'], [{ firmware_version: 'é' }, 'firmware_version'],
    [{ sequence: -1 }, 'sequence'], [{ sequence: 0.5 }, 'sequence'], [{ channels: {} }, 'channels'], [{ channels: Array(33).fill(sentV2().channels[0]) }, 'channels'],
    [{ channels: [null] }, 'channels[0]'], [{ channels: [{ ...sentV2().channels[0], unit: 3 }] }, 'channels[0]'], [{ channels: [{ ...sentV2().channels[0], value: {} }] }, 'channels[0]']
  ]
  for (const [change, field] of cases) {
    const { rejected } = ofJson(json({ ...sentV2(), ...change }))
    expect(rejected[0]).toMatchObject({ reason: 'malformed', field })
  }
})

test('a time without zone is said apart', () => {
  for (const time of ['2026-03-01T12:00:00', '2026-03-01 12:00:00.250', '2026-03-01']) {
    expect(ofJson(json({ ...sentV1(), timestamp_utc: time })).rejected[0]!.reason).toBe('time-zone-missing')
  }
})

test('a value that is no number is kept as NaN, and the record goes on', () => {
  expect(ofJson(json({ ...sentV1(), spo2: '97' })).records[0]!.spo2).toBeNaN()
  expect(ofJson(json({ ...sentV1(), battery_mv: 3700.5 })).records[0]!.battery).toBeNaN()
  expect(ofJson(json(sentV2({ channels: [{ ...sentV2().channels[0]!, value: null as never }] }))).records[0]!.channels![0]!.value).toBeNaN()
  expect(ofJson(Buffer.from(JSON.stringify(sentV1()).replace('97.5', '1e999'))).records[0]!.spo2).toBe(Number.POSITIVE_INFINITY)
})

test('a record without any value is malformed', () => {
  expect(ofJson(json({ deviceId: 'd', timestamp_utc: 1 })).rejected[0]!.reason).toBe('malformed')
  expect(ofJson(json({ deviceId: 'd', timestamp_utc: 1, channels: [], battery_mv: 3600 })).records).toHaveLength(1)
})

test('a body that is no JSON, no object, not UTF-8 or too deep is unreadable as a whole', () => {
  const good = JSON.stringify(sentV1())
  const bodies = ['{', `[${good},]`, `${good} x`, `[${good}`, '5', '"x"', 'null', '', ' ', `\ufeff${good}`, good.replace('97.5', 'NaN'), good.replace('97.5', 'Infinity'), "{'a':1}", `${'['.repeat(50_000)}`, `{"a":${'['.repeat(20)}${']'.repeat(20)}}`]
  for (const body of bodies) expect(decodeJson(Buffer.from(body), DECODE_LIMITS)).toMatchObject({ unreadable: 'malformed' })
  for (const body of [Buffer.from(good, 'utf16le'), Buffer.from(good.replace('device-1', 'd\u00e9'), 'latin1')]) {
    expect(decodeJson(body, DECODE_LIMITS)).toMatchObject({ unreadable: 'malformed' })
  }
})

test('elements of an array that are no objects are malformed records, the others go on', () => {
  const { records, rejected } = ofJson(json([null, sentV1(), [sentV1()], 5, 'x', sentV1()]))
  expect(records.map(({ index }) => index)).toEqual([1, 5])
  expect(rejected.map(({ index, reason }) => [index, reason])).toEqual([[0, 'malformed'], [2, 'malformed'], [3, 'malformed'], [4, 'malformed']])
})

test('an empty array holds no record', () => {
  expect(ofJson(Buffer.from(' [ ] '))).toEqual({ records: [], rejected: [] })
})

test('too many records are refused before they are parsed, a record that is too large is one rejected record', () => {
  expect(() => decodeJson(json([sentV1(), sentV1(), sentV1()]), { ...DECODE_LIMITS, recordsMax: 2 })).toThrowError(expect.objectContaining({ code: 'INPUT_TOO_LARGE' }))
  expect(() => decodeNdjson(ndjson([sentV1(), sentV1(), sentV1()]), { ...DECODE_LIMITS, recordsMax: 2 })).toThrowError(expect.objectContaining({ code: 'INPUT_TOO_LARGE' }))
  const { records, rejected } = ofJson(json([sentV1(), { ...sentV1(), deviceId: 'x'.repeat(70_000) }]))
  expect([records.length, rejected[0]!.reason]).toEqual([1, 'record-too-large'])
})

test('no bytes whatsoever make it throw anything but a limit', () => {
  const bytes = fc.uint8Array({ maxLength: 200 }).map(array => Buffer.from(array))
  const jsonLike = fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', ' ', '1', 'a', '\n') }).map(text => Buffer.from(text))
  fc.assert(fc.property(fc.oneof(bytes, jsonLike), body => {
    decodeJson(body, DECODE_LIMITS)
    decodeNdjson(body, DECODE_LIMITS)
  }))
})
