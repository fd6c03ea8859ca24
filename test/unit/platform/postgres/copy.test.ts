import { expect, test } from 'vitest'
import { type CopyBuffer, createCopyBuffer } from '../../../../src/platform/postgres/copy.ts'

const HEADER = '5047434f50590aff0d0a00' + '00000000' + '00000000'

/** Hex of the fields that `write` adds to a buffer. */
function fieldsOf (write: (copy: CopyBuffer) => void): string {
  const copy = createCopyBuffer()
  write(copy)
  const hex = copy.bytes().toString('hex')
  expect(hex.startsWith(HEADER)).toBe(true)
  expect(hex.endsWith('ffff')).toBe(true)
  return hex.slice(HEADER.length, -4)
}

test('without rows there is the signature, flags, no extension, and the trailer', () => {
  expect(createCopyBuffer().bytes().toString('hex')).toBe(HEADER + 'ffff')
})

test('a row begins with its number of fields', () => {
  expect(fieldsOf(copy => { copy.row(3) })).toBe('0003')
})

test('NULL has the length -1 and no bytes', () => {
  expect(fieldsOf(copy => { copy.null() })).toBe('ffffffff')
})

test('whole numbers are big-endian two\'s complement after their length', () => {
  expect(fieldsOf(copy => { copy.int2(-2) })).toBe('00000002' + 'fffe')
  expect(fieldsOf(copy => { copy.int4(-2) })).toBe('00000004' + 'fffffffe')
  expect(fieldsOf(copy => { copy.int8(-2) })).toBe('00000008' + 'fffffffffffffffe')
  expect(fieldsOf(copy => { copy.int8(Number.MAX_SAFE_INTEGER) })).toBe('00000008' + '001fffffffffffff')
  expect(fieldsOf(copy => { copy.int8(Number.MIN_SAFE_INTEGER) })).toBe('00000008' + 'ffe0000000000001')
})

test('a whole number out of range is refused, not wrapped', () => {
  const copy = createCopyBuffer()
  expect(() => { copy.int2(32_768) }).toThrow(RangeError)
  expect(() => { copy.int4(2 ** 31) }).toThrow(RangeError)
  expect(() => { copy.int4(0.5) }).toThrow(RangeError)
  expect(() => { copy.int8(2 ** 53) }).toThrow(RangeError)
  expect(() => { copy.timestamptz(Number.NaN) }).toThrow(RangeError)
})

test('booleans are one byte', () => {
  expect(fieldsOf(copy => { copy.bool(true); copy.bool(false) })).toBe('0000000101' + '0000000100')
})

test('floats are IEEE 754', () => {
  expect(fieldsOf(copy => { copy.float4(1.5) })).toBe('00000004' + '3fc00000')
  expect(fieldsOf(copy => { copy.float8(-0.1) })).toBe('00000008' + 'bfb999999999999a')
})

test('a time is microseconds since 2000', () => {
  expect(fieldsOf(copy => { copy.timestamptz(Date.UTC(2000, 0, 1)) })).toBe('00000008' + '0000000000000000')
  expect(fieldsOf(copy => { copy.timestamptz(Date.UTC(2000, 0, 1) + 1) })).toBe('00000008' + '00000000000003e8')
  expect(fieldsOf(copy => { copy.timestamptz(Date.UTC(1999, 11, 31, 23, 59, 59, 999)) })).toBe('00000008' + 'fffffffffffffc18')
})

test('text is UTF-8 of the length it has, not of the room it was given', () => {
  expect(fieldsOf(copy => { copy.text('é€😀') })).toBe('00000009' + 'c3a9' + 'e282ac' + 'f09f9880')
  expect(fieldsOf(copy => { copy.text('') })).toBe('00000000')
})

test('a UUID is sixteen bytes, with hyphens or without', () => {
  const bytes = '00000010' + '00112233445566778899aabbccddeeff'
  expect(fieldsOf(copy => { copy.uuid('00112233-4455-6677-8899-aabbccddeeff') })).toBe(bytes)
  expect(fieldsOf(copy => { copy.uuid('00112233445566778899AABBCCDDEEFF') })).toBe(bytes)
})

test.each(['', '0011', '00112233445566778899aabbccddeeffaa', 'zz112233445566778899aabbccddeeff'])('%j is no UUID', text => {
  const copy = createCopyBuffer()
  expect(() => { copy.uuid(text) }).toThrow(RangeError)
})

test('an array says dimension, NULLs, element type, length and first index', () => {
  expect(fieldsOf(copy => { copy.int4Array([7]) })).toBe('0000001c' + '00000001' + '00000000' + '00000017' + '00000001' + '00000001' + '00000004' + '00000007')
  expect(fieldsOf(copy => { copy.int8Array([]) })).toBe('0000000c' + '00000000' + '00000000' + '00000014')
  expect(fieldsOf(copy => { copy.float4Array([1.5, undefined]) }))
    .toBe('00000020' + '00000001' + '00000001' + '000002bc' + '00000002' + '00000001' + '00000004' + '3fc00000' + 'ffffffff')
})

test('the buffer grows and keeps what it had', () => {
  const small = createCopyBuffer(1)
  const large = createCopyBuffer(1_000_000)
  for (const copy of [small, large]) {
    for (let row = 0; row < 1_000; row++) {
      copy.row(4)
      copy.int8(row)
      copy.text(`row ${row}`)
      copy.bytea(Buffer.alloc(row % 50, row))
      copy.float8Array([row, undefined])
    }
  }
  expect(small.bytes().equals(large.bytes())).toBe(true)
  expect(small.rowCount).toBe(1_000)
})

test('bytes may be asked for again and rows added after', () => {
  const copy = createCopyBuffer()
  copy.row(0)
  const first = copy.bytes().toString('hex')
  expect(copy.bytes().toString('hex')).toBe(first)
  copy.row(0)
  expect(copy.bytes().toString('hex')).toBe(HEADER + '00000000' + 'ffff')
})

test('reset leaves an empty buffer', () => {
  const copy = createCopyBuffer()
  copy.row(1)
  copy.int4(1)
  copy.reset()
  expect(copy.rowCount).toBe(0)
  expect(copy.bytes().toString('hex')).toBe(HEADER + 'ffff')
})
