import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CONTENT_LIMITS } from '../../../../src/ingest/decode/content.ts'
import { decodeBody } from '../../../../src/ingest/decode/decode-body.ts'
import { FIXED_SCHEMAS } from '../../../../src/ingest/decode/fixed-readers.ts'
import { DECODE_LIMITS, type DecodedBody, type DecodedRecord, type RejectedRecord } from '../../../../src/ingest/decode/record.ts'
import { TISSUE_OXYGEN_V1, TISSUE_OXYGEN_V2 } from '../../../../src/ingest/decode/fixed-schemas.ts'
import { container, framed, framedV1, framedV2, type SentV2, sentV1, sentV2, TAKEN_AT, V1_TYPE, V2_TYPE } from '../../../support/telemetry.ts'

const INFLATED_MAX = 1_000_000

function decodeAvro (bytes: Buffer, limits: typeof DECODE_LIMITS, inflatedBytesMax: number): DecodedBody {
  const decoded = decodeBody({ bytes, contentType: '', contentEncoding: '' }, 'avro', { ...CONTENT_LIMITS, ...limits, inflatedBytesMax }, FIXED_SCHEMAS)
  if (decoded instanceof Promise) throw new Error('the schemas of the product are known at once')
  return decoded
}

function read (body: DecodedBody): { records: readonly DecodedRecord[], rejected: readonly RejectedRecord[] } {
  if (body.unreadable !== undefined) throw new Error(`unreadable: ${body.unreadable}`)
  return body
}
const decode = (body: Buffer) => read(decodeAvro(body, DECODE_LIMITS, INFLATED_MAX))
const spanOf = (record: { source: Buffer, start: number, end: number }) => record.source.subarray(record.start, record.end)

test('framed records of v1 are read with their fields and bytes', () => {
  const sent = [sentV1(), sentV1({ deviceId: 'other', patientId: 'p', spo2: 88 })]
  const { records } = decode(framedV1(sent))
  expect(records[1]).toMatchObject({
    index: 1, content: 'avro', schemaId: 1, deviceId: 'other', patientId: 'p', takenAt: TAKEN_AT, sequence: 0, channels: undefined, spo2: 88, tissueO2: 38.2,
    battery: 3700, quality: 92, firmware: '2.4.1'
  })
  expect(records.map(record => V1_TYPE.fromBuffer(spanOf(record)))).toEqual(sent)
})

// The library's own writer is exact only below 2^52.
const whole = fc.integer({ min: -(2 ** 52), max: 2 ** 52 })

const sentAny: fc.Arbitrary<SentV2> = fc.record({
  deviceId: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).map(text => `d${text.replace(/\p{Cc}/gu, '')}`),
  patientId: fc.option(fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 20 })),
  timestamp_utc: whole,
  sequence: fc.option(whole.map(Math.abs)),
  channels: fc.array(fc.record({ metric: fc.string(), kind: fc.string(), unit: fc.string(), value: fc.double() }), { minLength: 1, maxLength: 8 }),
  battery_mv: fc.option(fc.integer()),
  firmware_version: fc.option(fc.string({ unit: 'grapheme-ascii', maxLength: 60 })),
  signal_quality: fc.option(fc.integer())
})

test('decoding gives what another library encoded', () => {
  fc.assert(fc.property(fc.array(sentAny, { maxLength: 5 }), sent => {
    const { records, rejected } = decode(framedV2(sent))
    expect(rejected).toEqual([])
    expect(records.map(r => ({
      deviceId: r.deviceId, patientId: r.patientId ?? null, timestamp_utc: r.takenAt as number, sequence: r.sequence, channels: r.channels, battery_mv: r.battery ?? null,
      firmware_version: r.firmware ?? null, signal_quality: r.quality ?? null
    }))).toEqual(sent.map(record => ({ ...record, sequence: record.sequence ?? 0 })))
    expect(records.map(record => Buffer.from(spanOf(record)))).toEqual(sent.map(record => V2_TYPE.toBuffer(record)))
  }))
})

test('records cut at any byte keep those before the cut, and the rest is one malformed record', () => {
  const whole = framedV2([sentV2(), sentV2({ sequence: 8 }), sentV2({ sequence: 9 })])
  const recordLength = (whole.length - 5) / 3
  for (let length = 5; length < whole.length; length++) {
    const { records, rejected } = decode(whole.subarray(0, length))
    expect(records).toHaveLength(Math.floor((length - 5) / recordLength))
    expect(rejected.map(({ reason }) => reason)).toEqual((length - 5) % recordLength === 0 ? [] : ['malformed'])
  }
})

test('trailing bytes are one malformed record', () => {
  const { records, rejected } = decode(Buffer.concat([framedV1([sentV1()]), Buffer.from([1, 2, 3])]))
  expect([records.length, rejected.length, rejected[0]!.reason]).toEqual([1, 1, 'malformed'])
})

test('a long above 2^53 makes its record malformed, and the next one goes on', () => {
  const good = V1_TYPE.toBuffer(sentV1())
  const huge = Buffer.from(good)
  const time = V1_TYPE.toBuffer(sentV1({ timestamp_utc: TAKEN_AT }))
  const start = 1 + 'device-1'.length + 1
  const varint = (value: bigint) => { const out: number[] = []; let z = value << 1n; while (z > 127n) { out.push(Number(z & 127n) | 128); z >>= 7n } out.push(Number(z)); return Buffer.from(out) }
  const timeLength = varint(BigInt(TAKEN_AT)).length
  for (const [value, isGood] of [[2n ** 53n - 1n, true], [2n ** 53n, false], [2n ** 62n, false]] as const) {
    const record = Buffer.concat([huge.subarray(0, start), varint(value), huge.subarray(start + timeLength)])
    const { records, rejected } = decode(framed(1, [record, time]))
    expect(records.map(({ index }) => index)).toEqual(isGood ? [0, 1] : [1])
    if (!isGood) expect(rejected[0]).toMatchObject({ reason: 'malformed', field: 'timestamp_utc', deviceId: 'device-1' })
    else expect(records[0]!.takenAt).toBe(Number.MAX_SAFE_INTEGER)
  }
})

test('a record whose fields break a rule is malformed by name, and the next one goes on', () => {
  const cases: [sent: SentV2, field: string][] = [
    [sentV2({ deviceId: '' }), 'deviceId'], [sentV2({ deviceId: 'x'.repeat(129) }), 'deviceId'], [sentV2({ deviceId: 'a\nb' }), 'deviceId'],
    [sentV2({ patientId: '' }), 'patientId'], [sentV2({ sequence: -1 }), 'sequence'], [sentV2({ firmware_version: 'ü' }), 'firmware_version'],
    [sentV2({ channels: Array(40).fill(sentV2().channels[0]) }), 'channels'], [sentV2({ channels: [{ ...sentV2().channels[0]!, unit: 'x'.repeat(65) }] }), 'channels[0]'],
    [sentV2({ channels: [], battery_mv: null, signal_quality: null }), 'channels']
  ]
  for (const [sent, field] of cases) {
    const { records, rejected } = decode(framedV2([sent, sentV2()]))
    expect(records.map(({ index }) => index)).toEqual([1])
    expect(rejected).toMatchObject([{ index: 0, reason: 'malformed', field }])
  }
})

test('NaN and infinities pass to the check of each field', () => {
  const { records } = decode(framedV1([sentV1({ spo2: Number.NaN, local_tissue_o2: Number.POSITIVE_INFINITY })]))
  expect([records[0]!.spo2, records[0]!.tissueO2]).toEqual([Number.NaN, Number.POSITIVE_INFINITY])
})

test('text that is not UTF-8 is malformed', () => {
  const record = V1_TYPE.toBuffer(sentV1())
  record[2] = 0xff
  expect(decode(framed(1, [record])).rejected[0]).toMatchObject({ reason: 'malformed', field: 'deviceId' })
})

test('a schema id that is not registered is said so', () => {
  expect(decodeAvro(framed(99, [V1_TYPE.toBuffer(sentV1())]), DECODE_LIMITS, INFLATED_MAX)).toMatchObject({ unreadable: 'schema-unknown' })
})

test('what is neither framed nor a container is unreadable', () => {
  for (const body of [Buffer.from([1, 2, 3]), Buffer.from('{"deviceId":"x"}'), Buffer.from([0, 0, 0]), Buffer.from('Obj\x01'), Buffer.from('Obj\x01\x02')]) {
    expect(decodeAvro(body, DECODE_LIMITS, INFLATED_MAX)).toMatchObject({ unreadable: 'malformed' })
  }
})

test('a container file is read with either codec, by the fingerprint of its schema', async () => {
  const documented = { ...TISSUE_OXYGEN_V2, doc: 'written by a gateway', aliases: ['Old'] }
  for (const codec of ['null', 'deflate'] as const) {
    expect(decode(await container(TISSUE_OXYGEN_V1, [sentV1(), sentV1()], codec)).records).toHaveLength(2)
    const { records } = decode(await container(documented, [sentV2(), sentV2({ sequence: 8 })], codec))
    expect(records.map(({ schemaId, sequence }) => [schemaId, sequence])).toEqual([[2, 7], [2, 8]])
    expect(records.map(record => V2_TYPE.fromBuffer(spanOf(record)))).toEqual([sentV2(), sentV2({ sequence: 8 })])
  }
})

test('a container file of another schema is unknown, of another codec unsupported', async () => {
  const other = { type: 'record', name: 'Other', fields: [{ name: 'x', type: 'int' }] }
  expect(decodeAvro(await container(other, [{ x: 1 }]), DECODE_LIMITS, INFLATED_MAX)).toMatchObject({ unreadable: 'schema-unknown' })
  const snappy = Buffer.from((await container(TISSUE_OXYGEN_V1, [sentV1()], 'deflate')).toString('latin1').replace('\x0edeflate', '\x0csnappy'), 'latin1')
  expect(() => decodeAvro(snappy, DECODE_LIMITS, INFLATED_MAX)).toThrowError(expect.objectContaining({ code: 'INPUT_ENCODING' }))
})

test('a container file cut at any byte behind its header keeps the records before the cut', async () => {
  const whole = await container(TISSUE_OXYGEN_V1, [sentV1(), sentV1({ spo2: 90 })])
  const recordLength = V1_TYPE.toBuffer(sentV1()).length
  const dataEnd = whole.length - 16
  for (let length = dataEnd - 2 * recordLength + 1; length < whole.length; length++) {
    const { records, rejected } = decode(whole.subarray(0, length))
    expect(records).toHaveLength(Math.min(2, Math.floor((length - (dataEnd - 2 * recordLength)) / recordLength)))
    expect(rejected.map(({ reason }) => reason)).toEqual(['malformed'])
  }
  expect(decode(whole).rejected).toEqual([])
})

test('a deflated block that is damaged is one malformed record, one that grows too large is refused', async () => {
  const whole = await container(TISSUE_OXYGEN_V1, [sentV1()], 'deflate')
  whole.fill(0xff, whole.length - 60, whole.length - 16)
  expect(decode(whole)).toMatchObject({ records: [], rejected: [{ reason: 'malformed' }] })
  const bomb = await container(TISSUE_OXYGEN_V1, [sentV1({ deviceId: 'x'.repeat(2_000_000) })], 'deflate')
  expect(() => decodeAvro(bomb, DECODE_LIMITS, INFLATED_MAX)).toThrowError(expect.objectContaining({ code: 'INPUT_TOO_LARGE' }))
})

test('a block that claims more channels or records than there are bytes is cut short', () => {
  const bytes = V2_TYPE.toBuffer(sentV2({ channels: [] }))
  const channels = bytes.length - 1 - 3 - 7 - 3
  const claim = Buffer.concat([bytes.subarray(0, channels), Buffer.from([0xfe, 0xff, 0xff, 0xff, 0xff, 0x7f])])
  expect(decode(framed(2, [claim])).rejected).toHaveLength(1)
})

test('too many records are refused', () => {
  expect(() => decodeAvro(framedV1([sentV1(), sentV1()]), { ...DECODE_LIMITS, recordsMax: 1 }, INFLATED_MAX)).toThrowError(expect.objectContaining({ code: 'INPUT_TOO_LARGE' }))
})

test('no bytes whatsoever make it throw anything but a limit', () => {
  const tail = fc.uint8Array({ maxLength: 100 }).map(array => Buffer.from(array))
  fc.assert(fc.property(tail, fc.constantFrom(1, 2), (bytes, schemaId) => { decode(framed(schemaId, [bytes])) }))
})
