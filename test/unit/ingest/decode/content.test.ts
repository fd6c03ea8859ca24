import { gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { bodyKind, CONTENT_LIMITS, inflated } from '../../../../src/ingest/decode/content.ts'

const body = (bytes: Buffer, contentEncoding: string) => ({ bytes, contentType: 'application/json', contentEncoding })
const code = (name: string) => expect.objectContaining({ code: name })

test('three content types are taken, with or without a UTF-8 charset', () => {
  expect(['application/json', 'Application/JSON; charset=UTF-8', 'application/x-ndjson', 'application/avro'].map(bodyKind)).toEqual(['json', 'json', 'ndjson', 'avro'])
})

test('Protobuf is one message, or many where it says so', () => {
  expect(['application/x-protobuf', 'application/protobuf', 'application/x-protobuf; encoding=delimited', 'application/x-protobuf;Encoding="Delimited"'].map(bodyKind))
    .toEqual(['protobuf', 'protobuf', 'protobuf-delimited', 'protobuf-delimited'])
  expect(bodyKind('application/avro; encoding=delimited')).toBe('avro')
})

test('any other type or charset is refused', () => {
  for (const type of ['', 'text/plain', 'application/fhir+json', 'application/json; charset=utf-16', 'application/x-www-form-urlencoded', '__proto__']) {
    expect(() => bodyKind(type)).toThrowError(code('INPUT_TYPE'))
  }
})

test('gzip and zstd are inflated, identity is given as it is', async () => {
  const bytes = Buffer.from('{"a":1}')
  expect(inflated(body(bytes, ''), CONTENT_LIMITS)).toBe(bytes)
  expect(inflated(body(bytes, 'identity'), CONTENT_LIMITS)).toBe(bytes)
  expect(await inflated(body(gzipSync(bytes), 'GZIP'), CONTENT_LIMITS)).toEqual(bytes)
  expect(await inflated(body(zstdCompressSync(bytes), 'zstd'), CONTENT_LIMITS)).toEqual(bytes)
})

test('what is compressed otherwise or twice is refused', () => {
  for (const encoding of ['br', 'deflate', 'gzip, gzip', 'x']) expect(() => inflated(body(Buffer.alloc(1), encoding), CONTENT_LIMITS)).toThrowError(code('INPUT_ENCODING'))
})

test('a compressed body that is cut short or damaged is unreadable', async () => {
  const bytes = Buffer.from('x'.repeat(1_000))
  for (const damaged of [gzipSync(bytes).subarray(0, -3), Buffer.concat([gzipSync(bytes), Buffer.from('x')]), Buffer.alloc(0), bytes]) {
    expect(await inflated(body(damaged, 'gzip'), CONTENT_LIMITS)).toBeUndefined()
  }
  expect(await inflated(body(zstdCompressSync(bytes).subarray(0, -3), 'zstd'), CONTENT_LIMITS)).toBeUndefined()
})

test('a body that is too large, or grows too large, is refused', async () => {
  expect(() => inflated(body(Buffer.alloc(11), ''), { ...CONTENT_LIMITS, bodyBytesMax: 10 })).toThrowError(code('INPUT_TOO_LARGE'))
  const zeros = Buffer.alloc(5_000_000)
  for (const [bytes, encoding] of [[gzipSync(zeros), 'gzip'], [zstdCompressSync(zeros), 'zstd']] as const) {
    await expect(inflated(body(bytes, encoding), { ...CONTENT_LIMITS, inflatedBytesMax: 1_000_000 })).rejects.toThrowError(code('INPUT_TOO_LARGE'))
  }
})
