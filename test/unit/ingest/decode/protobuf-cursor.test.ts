import fc from 'fast-check'
import protobuf from 'protobufjs'
import { expect, test } from 'vitest'
import { ProtobufCursor } from '../../../../src/ingest/decode/protobuf-cursor.ts'

const KINDS = ['int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64', 'fixed32', 'fixed64', 'sfixed32', 'sfixed64', 'float', 'double'] as const
const READ: Readonly<Record<(typeof KINDS)[number], (cursor: ProtobufCursor) => number>> = {
  int32: cursor => cursor.whole(), int64: cursor => cursor.whole(), uint32: cursor => cursor.wholeUnsigned(), uint64: cursor => cursor.wholeUnsigned(),
  sint32: cursor => cursor.zigzag(), sint64: cursor => cursor.zigzag(), fixed32: cursor => cursor.fixed32(), fixed64: cursor => cursor.fixed64(),
  sfixed32: cursor => cursor.sfixed32(), sfixed64: cursor => cursor.sfixed64(), float: cursor => cursor.float(), double: cursor => cursor.double()
}

function numbersOf (kind: (typeof KINDS)[number]): fc.Arbitrary<number> {
  switch (kind) {
    case 'int32': case 'sint32': case 'sfixed32': return fc.integer()
    case 'uint32': case 'fixed32': return fc.nat({ max: 2 ** 32 - 1 })
    case 'uint64': case 'fixed64': return fc.maxSafeNat()
    case 'float': return fc.float()
    case 'double': return fc.double()
    default: return fc.maxSafeInteger()
  }
}

test.each(KINDS)('%s is read as another writer wrote it', kind => {
  fc.assert(fc.property(numbersOf(kind), value => {
    const writer = new protobuf.Writer()
    writer[kind](value)
    const bytes = Buffer.from(writer.finish())
    const cursor = new ProtobufCursor(bytes, 0, bytes.length)
    expect(READ[kind](cursor)).toBe(value)
    expect([cursor.failed, cursor.position]).toEqual([false, bytes.length])
  }))
})

test('what does not fit 2^53 exactly is not a number', () => {
  const bytes = Buffer.from([...Array.from({ length: 9 }, () => 0xff), 0x01])
  expect(new ProtobufCursor(bytes, 0, 10).wholeUnsigned()).toBeNaN()
  expect(new ProtobufCursor(bytes, 0, 10).whole()).toBe(-1)
  expect(new ProtobufCursor(Buffer.from('0000000000000080', 'hex'), 0, 8).sfixed64()).toBeNaN()
})

test('nothing is read past the end, and a cut is told', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 12 }), fc.constantFrom(...KINDS), (bytes, kind) => {
    const cursor = new ProtobufCursor(Buffer.from(bytes), 0, bytes.length)
    for (let i = 0; i < 4; i++) READ[kind](cursor)
    for (const wireType of [0, 1, 2, 3, 5, 7]) cursor.skip(wireType)
    cursor.text(4)
    expect(cursor.position).toBeLessThanOrEqual(bytes.length)
  }))
  const long = new ProtobufCursor(Buffer.from([5, 1, 2]), 0, 3)
  expect([long.text(10), long.failed]).toEqual([undefined, true])
})
