import { gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { TISSUE_OXYGEN_V1 } from '../../../src/ingest/decode/fixed-schemas.ts'
import { ServiceError } from '../../../src/model/errors.ts'
import type { ReasonCode } from '../../../src/model/reason.ts'
import { testDoor } from '../../support/ingest-door.ts'
import { container, framed, framedV1, framedV2, json, sentV1, sentV2, TAKEN_AT, V1_TYPE } from '../../support/telemetry.ts'

/** What comes in, and what docs/ingest.md says is answered: refused with a code, or a status with the reasons of records and fields. */
interface Case {
  bytes: Buffer
  type?: string
  encoding?: string
  refused?: string
  status?: 200 | 400
  received?: number
  rejected?: ReasonCode[]
  fields?: [field: string, reason: ReasonCode][]
}

const text = (body: string) => Buffer.from(body)
const v1Text = JSON.stringify(sentV1())
const v2Text = JSON.stringify(sentV2())
const unreadable = (bytes: Buffer, more: Partial<Case> = {}): Case => ({ bytes, status: 400, received: 1, rejected: ['malformed'], ...more })
const avro = { type: 'application/avro' }
const lines = { type: 'application/x-ndjson' }
const gzip = { encoding: 'gzip' }
const channel = sentV2().channels[0]!
const brokenTime = Buffer.concat([V1_TYPE.toBuffer(sentV1()).subarray(0, 10), Buffer.alloc(11, 0xff)])
const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(v1Text, 'utf16le')])

const CASES: Record<string, Case> = {
  'an empty body': unreadable(text('')),
  'only blanks': unreadable(text(' \n ')),
  'a cut object': unreadable(text(v1Text.slice(0, -5))),
  'a cut array': unreadable(text(`[${v1Text}`)),
  'a trailing comma': unreadable(text(`[${v1Text},]`)),
  'trailing garbage': unreadable(text(`${v1Text} garbage`)),
  'a control character behind a JSON body': unreadable(text(`${v1Text}\x01\n`)),
  'a form feed in an array': unreadable(text(`[${v1Text},\x0c${v1Text}]`)),
  'two objects in one JSON body': unreadable(text(`${v1Text}${v1Text}`)),
  'single quotes': unreadable(text("{'deviceId':'device-1'}")),
  'a comment': unreadable(text(`// x\n${v1Text}`)),
  'the word NaN': unreadable(text(v1Text.replace('97.5', 'NaN'))),
  'the word Infinity': unreadable(text(v1Text.replace('97.5', '-Infinity'))),
  'a hexadecimal number': unreadable(text(v1Text.replace('97.5', '0x61'))),
  'a byte order mark': unreadable(text(`\ufeff${v1Text}`)),
  'UTF-16': unreadable(utf16),
  'Latin-1': unreadable(Buffer.from(v1Text.replace('device-1', 'ger\u00e4t'), 'latin1')),
  'a bare number': unreadable(text('42')),
  'a bare text': unreadable(text('"device-1"')),
  'a bare null': unreadable(text('null')),
  'nesting 100,000 deep': unreadable(text('['.repeat(100_000))),
  'a field nested too deep': unreadable(text(`{"deviceId":${'['.repeat(50)}${']'.repeat(50)}}`)),
  'a NUL in the middle': unreadable(text(v1Text.replace(',', '\0,'))),
  'HTML': unreadable(text('<html>')),
  'CSV': unreadable(text('deviceId,spo2\ndevice-1,97\n')),
  'gzip cut short': unreadable(gzipSync(text(v1Text)).subarray(0, -6), gzip),
  'gzip with garbage behind': unreadable(Buffer.concat([gzipSync(text(v1Text)), text('x')]), gzip),
  'said to be gzip and is not': unreadable(text(v1Text), gzip),
  'gzip that is not said': unreadable(gzipSync(text(v1Text))),
  'zstd cut short': unreadable(zstdCompressSync(text(v1Text)).subarray(0, -4), { encoding: 'zstd' }),
  'neither frame nor container': unreadable(Buffer.from([7, 1, 2, 3, 4, 5]), avro),
  'an Avro frame without a whole id': unreadable(Buffer.from([0, 0, 0]), avro),
  'a container cut in its header': unreadable(text('Obj\x01\x04'), avro),
  'JSON called Avro': unreadable(text(v1Text), avro),
  'an unknown schema id': { bytes: framed(99, [V1_TYPE.toBuffer(sentV1())]), ...avro, status: 400, received: 1, rejected: ['schema-unknown'] },
  'a first Avro record cut short': unreadable(framedV1([sentV1()]).subarray(0, 20), avro),
  'an Avro record whose varint never ends': unreadable(framed(1, [brokenTime]), avro),
  'an array of arrays': { bytes: json([[sentV1()]]), status: 400, received: 1, rejected: ['malformed'] },
  'a null record': { bytes: json([null, sentV1()]), status: 200, received: 2, rejected: ['malformed'] },
  'a record without device': { bytes: json({ ...sentV1(), deviceId: undefined }), status: 400, rejected: ['malformed'] },
  'an empty device': { bytes: json(sentV1({ deviceId: '' })), status: 400, rejected: ['malformed'] },
  'a device of 129 characters': { bytes: json(sentV1({ deviceId: 'x'.repeat(129) })), status: 400, rejected: ['malformed'] },
  'a field of 10 MB': { bytes: json(sentV1({ deviceId: 'x'.repeat(10_000_000) })), status: 400, rejected: ['record-too-large'] },
  'a lone surrogate': { bytes: text(v1Text.replace('device-1', '\\ud800')), status: 400, rejected: ['malformed'] },
  'a NUL in the device': { bytes: text(v1Text.replace('device-1', 'a\\u0000b')), status: 400, rejected: ['malformed'] },
  'a patient that is an object': { bytes: json({ ...sentV1(), patientId: { $ne: null } }), status: 400, rejected: ['malformed'] },
  'a time in words': { bytes: json({ ...sentV1(), timestamp_utc: 'yesterday' }), status: 400, rejected: ['malformed'] },
  'a time without zone': { bytes: json({ ...sentV1(), timestamp_utc: '2026-03-01T12:00:00' }), status: 400, rejected: ['time-zone-missing'] },
  'a time with a fraction': { bytes: json({ ...sentV1(), timestamp_utc: TAKEN_AT + 0.5 }), status: 400, rejected: ['malformed'] },
  'a time above 2^53': { bytes: text(v1Text.replace(String(TAKEN_AT), '9007199254740993')), status: 400, rejected: ['malformed'] },
  'a time of 1e400': { bytes: text(v1Text.replace(String(TAKEN_AT), '1e400')), status: 400, rejected: ['malformed'] },
  'a time six minutes ahead': { bytes: json(sentV1({ timestamp_utc: TAKEN_AT + 362_001 })), status: 200, rejected: ['time-future'] },
  'a time in seconds': { bytes: json(sentV1({ timestamp_utc: TAKEN_AT / 1_000 })), status: 200, rejected: ['time-implausible'] },
  'a negative time': { bytes: json(sentV1({ timestamp_utc: -1 })), status: 200, rejected: ['time-implausible'] },
  'a negative sequence': { bytes: json(sentV2({ sequence: -1 })), status: 400, rejected: ['malformed'] },
  'a sequence in v1': { bytes: json({ ...sentV1(), sequence: 1 }), status: 400, rejected: ['malformed'] },
  'a misspelled field': { bytes: json({ ...sentV1(), spo_2: 97 }), status: 400, rejected: ['malformed'] },
  'a field called __proto__': { bytes: text(v1Text.replace('{', '{"__proto__":{"spo2":1},')), status: 400, rejected: ['malformed'] },
  'a doubled key': { bytes: text(v1Text.replace('{', '{"spo2":12,')), status: 400, rejected: ['duplicate-key'] },
  'a doubled key in a channel': { bytes: text(v2Text.replace('"value":38.2', '"value":38.2,"value":1')), status: 400, rejected: ['duplicate-key'] },
  'a doubled channel': { bytes: json(sentV2({ channels: [channel, channel] })), status: 200, rejected: ['duplicate-key'] },
  'channels that are an object': { bytes: json({ ...sentV2(), channels: { spo2: 97 } }), status: 400, rejected: ['malformed'] },
  'a null channel': { bytes: json({ ...sentV2(), channels: [null] }), status: 400, rejected: ['malformed'] },
  'a thousand channels': { bytes: json(sentV2({ channels: Array(1_000).fill(channel) })), status: 400, rejected: ['record-too-large'] },
  'no value at all': { bytes: json({ deviceId: 'device-1', timestamp_utc: TAKEN_AT }), status: 400, rejected: ['malformed'] },
  'a firmware of control characters': { bytes: json(sentV1({ firmware_version: '1\n2' })), status: 400, rejected: ['malformed'] },
  'a value in words': { bytes: json({ ...sentV1(), spo2: 'high' }), status: 200, rejected: [], fields: [['spo2', 'not-a-number']] },
  'a number in quotes': { bytes: json({ ...sentV1(), spo2: '97.5' }), status: 200, rejected: [], fields: [['spo2', 'not-a-number']] },
  'a value of 1e999': { bytes: text(v1Text.replace('97.5', '1e999')), status: 200, rejected: [], fields: [['spo2', 'not-a-number']] },
  'a value of 1e308': { bytes: text(v1Text.replace('97.5', '1e308')), status: 200, rejected: [], fields: [['spo2', 'range-hard']] },
  'NaN in Avro': { bytes: framedV1([sentV1({ spo2: Number.NaN })]), ...avro, status: 200, rejected: [], fields: [['spo2', 'not-a-number']] },
  'every value NaN in Avro': { bytes: framedV1([sentV1({ spo2: Number.NaN, local_tissue_o2: Number.NaN })]), ...avro, status: 200, rejected: ['not-a-number'] },
  'a wrong unit': { bytes: json(sentV2({ channels: [{ ...channel, unit: 'kPa' }, sentV2().channels[1]!] })), status: 200, rejected: [], fields: [['channels[0]', 'unit-mismatch']] },
  'a wrong unit and nothing else': { bytes: json(sentV2({ channels: [{ ...channel, unit: 'kPa' }] })), status: 200, rejected: ['unit-mismatch'] },
  'a channel nobody knows': { bytes: json(sentV2({ channels: [channel, { metric: 'glucose', kind: 'glucose', unit: 'mg/dL', value: 90 }] })), status: 200, rejected: [], fields: [['channels[1]', 'channel-unknown']] },
  'a battery of a million volts': { bytes: json(sentV1({ battery_mv: 1e9 })), status: 200, rejected: [], fields: [['battery_mv', 'range-hard']] },
  'a quality of 150': { bytes: json(sentV1({ signal_quality: 150 })), status: 200, rejected: [], fields: [['signal_quality', 'range-hard']] },
  'a device nobody registered': { bytes: json(sentV1({ deviceId: "'; drop table quarantine.item; --" })), status: 200, rejected: ['device-unknown'] },
  'a bad line between good ones': { bytes: text(`${v1Text}\n{oops\n${v1Text}\n`), ...lines, status: 200, received: 3, rejected: ['malformed'] },
  'a line that holds two records': { bytes: text(`${v1Text},${v1Text}\n${v1Text}\n`), ...lines, status: 200, received: 2, rejected: ['malformed'] },
  'a control character behind each line': { bytes: text([1, 0x0b, 0x0c, 0x1f, 0].map(code => `${v1Text}${String.fromCharCode(code)}\n`).join('')), ...lines, status: 400, received: 5, rejected: Array(5).fill('malformed') },
  'a control character before a line': { bytes: text(`\x0c${v1Text}\n${v1Text}\n`), ...lines, status: 200, received: 2, rejected: ['malformed'] },
  'a form feed behind the last line': { bytes: text(`${v1Text}\n${v1Text}\x0c`), ...lines, status: 200, received: 2, rejected: ['malformed'] },
  'a line that is a form feed': { bytes: text(`${v1Text}\n\x0c\n`), ...lines, status: 200, received: 2, rejected: ['malformed'] },
  'NDJSON of nothing': unreadable(text('\n\n'), lines),
  'Avro cut in its second record': { bytes: framedV2([sentV2(), sentV2()]).subarray(0, -7), ...avro, status: 200, received: 2, rejected: ['malformed'] },
  'Avro with bytes behind the last record': { bytes: Buffer.concat([framedV2([sentV2()]), Buffer.from([9, 9])]), ...avro, status: 200, received: 2, rejected: ['malformed'] },
  'a zip bomb in gzip': { bytes: gzipSync(Buffer.alloc(80_000_000, 0x20)), ...gzip, refused: 'INPUT_TOO_LARGE' },
  'a zip bomb in zstd': { bytes: zstdCompressSync(Buffer.alloc(80_000_000, 0x20)), encoding: 'zstd', refused: 'INPUT_TOO_LARGE' },
  'a body over the limit': { bytes: Buffer.alloc(10 * 1024 * 1024 + 1, 0x20), refused: 'INPUT_TOO_LARGE' },
  'more records than the limit': { bytes: text(`[${Array(10_001).fill('1').join()}]`), refused: 'INPUT_TOO_LARGE' },
  'no content type': { bytes: text(v1Text), type: '', refused: 'INPUT_TYPE' },
  'XML': { bytes: text('<x/>'), type: 'application/xml', refused: 'INPUT_TYPE' },
  'a form': { bytes: text('a=b'), type: 'application/x-www-form-urlencoded', refused: 'INPUT_TYPE' },
  'JSON said to be UTF-16': { bytes: utf16, type: 'application/json; charset=utf-16', refused: 'INPUT_TYPE' },
  'brotli': { bytes: text(v1Text), encoding: 'br', refused: 'INPUT_ENCODING' },
  'gzip twice': { bytes: gzipSync(gzipSync(text(v1Text))), encoding: 'gzip, gzip', refused: 'INPUT_ENCODING' }
}

test.each(Object.entries(CASES))('%s has its documented answer, and nothing is half stored', async (_name, { bytes, type = 'application/json', encoding = '', ...expected }) => {
  const door = testDoor()
  const answer = await door.accept({ bytes, contentType: type, contentEncoding: encoding }).catch((error: unknown) => error)
  if (expected.refused !== undefined) {
    expect(answer).toBeInstanceOf(ServiceError)
    expect((answer as ServiceError).code).toBe(expected.refused)
    expect([door.published, door.items, door.accepted]).toEqual([[], [], 0])
    return
  }
  const { status, body } = answer as Awaited<ReturnType<typeof door.accept>>
  const readings = door.batches().flatMap(batch => batch.readings).length
  expect([status, body.rejected.map(({ reason }) => reason), body.fields.map(({ field, reason }) => [field, reason])])
    .toEqual([expected.status, expected.rejected, expected.fields ?? []])
  expect(body.received).toBe(expected.received ?? 1)
  expect(body.received).toBe(body.accepted + body.quarantined)
  expect([readings, door.accepted, door.items.length]).toEqual([body.accepted, body.accepted, body.quarantined + body.fields.length])
})

test('a container file whose codec is not read is refused', async () => {
  const file = Buffer.from((await container(TISSUE_OXYGEN_V1, [sentV1()], 'deflate')).toString('latin1').replace('\x0edeflate', '\x0asnapp'), 'latin1')
  await expect(testDoor().accept({ bytes: file, contentType: 'application/avro', contentEncoding: '' })).rejects.toThrowError(expect.objectContaining({ code: 'INPUT_ENCODING' }))
})

test('no message of an answer repeats what was sent', async () => {
  const door = testDoor()
  const planted = 'PLANTED-9f3'
  const { body } = await door.accept({
    bytes: json([{ ...sentV2(), deviceId: planted }, { ...sentV2(), [planted]: 1 }, sentV2({ patientId: planted }), sentV2({ channels: [channel, { metric: planted, kind: planted, unit: planted, value: 1 }] })]),
    contentType: 'application/json', contentEncoding: ''
  })
  expect(JSON.stringify(body)).not.toContain(planted)
})
