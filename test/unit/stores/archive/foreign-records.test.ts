import { createSecretKey, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { encodeRawFrame, type RawHead } from '../../../../src/ingest/raw-frame.ts'
import { ServiceError } from '../../../../src/model/errors.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { rawContext } from '../../../../src/security/data-keys.ts'
import { open, seal } from '../../../../src/security/envelope.ts'
import { drawSid } from '../../../../src/security/sid.ts'
import { createDoubts, type FramedRecord, sortOut } from '../../../../src/stores/archive/foreign-records.ts'

const SID = drawSid()
const SEALED_AT = epochMs(Date.UTC(2026, 2, 1))
const HEAD: RawHead = { content: 'json', schemaId: 1, receivedAt: SEALED_AT, way: 'arrived', origins: [{ inlet: 'http/a', number: 1, records: 1 }], runs: [{ origin: 0, first: 0, count: 1 }] }
const keyOf = (madeAt: number) => ({ id: 'id', key: createSecretKey(randomBytes(32)), madeAt: epochMs(madeAt) })
const OLD = keyOf(SEALED_AT - 1)
const NEW = keyOf(SEALED_AT + 1)

const value = (key = OLD, head: RawHead = HEAD) => encodeRawFrame(head, [{ source: Buffer.from('{}'), start: 0, end: 2 }], clear => seal(key.key, rawContext(SID), clear))
const record = (bytes: Uint8Array, key: string = SID) => ({ offset: 3, key, value: bytes })
const framed = (bytes: Uint8Array): FramedRecord => sortOut([record(bytes)]).ours[0]!
const opening = ({ frame }: FramedRecord, key: typeof OLD) => () => open(key.key, rawContext(SID), frame.sealed)

test.each([
  ['a key that is no sid', record(value(), 'device-42')],
  ['a sid with a wrong check symbol', record(value(), SID.slice(0, -1) + (SID.endsWith('0') ? '1' : '0'))],
  ['no bytes', record(Buffer.alloc(0))],
  ['another format', record(Buffer.from('{"deviceId":"x"}'))],
  ['a head that ends too early', record(value().subarray(0, 20))],
  ['a place of a request that it does not name', record(value(OLD, { ...HEAD, runs: [{ origin: 1, first: 0, count: 1 }] }))],
  ['more places than records', record(value(OLD, { ...HEAD, runs: [{ origin: 0, first: 0, count: 2 }] }))],
  ['sealed bytes that are not as long as its records', record(value().subarray(0, -1))]
])('%s tells that a record is foreign', (_, one) => { expect(sortOut([one])).toEqual({ ours: [], strange: [one] }) })

test('what Oxbow writes is ours by its form', () => { expect(sortOut([record(value())]).strange).toEqual([]) })

const other = () => framed(value(keyOf(0)))

test('what does not open under a key that is older than it is foreign', async () => {
  const doubts = createDoubts()
  const one = other()
  expect(doubts.opened(one, OLD, opening(one, OLD))).toBeUndefined()
  expect(await doubts.foreign(async () => new Set([SID]))).toEqual([one.record])
})

test('what does not open under a newer key stops, where the sid was given out', async () => {
  const doubts = createDoubts()
  const one = other()
  expect(doubts.opened(one, NEW, opening(one, NEW))).toBeUndefined()
  await expect(doubts.foreign(async () => new Set([SID]))).rejects.toMatchObject({ code: 'KEY_CONTEXT' })
  expect(await doubts.foreign(async () => new Set())).toEqual([one.record])
})

test('a record before it that opened proves the key; one behind it does not', async () => {
  const [one, ours] = [other(), framed(value(NEW))]
  const [proved, late] = [createDoubts(), createDoubts()]
  expect(proved.opened(ours, NEW, opening(ours, NEW))?.toString()).toBe('{}')
  expect(proved.opened(one, NEW, opening(one, NEW))).toBeUndefined()
  expect(await proved.foreign(async () => new Set([SID]))).toEqual([one.record])
  late.opened(one, NEW, opening(one, NEW))
  late.opened(ours, NEW, opening(ours, NEW))
  await expect(late.foreign(async () => new Set([SID]))).rejects.toMatchObject({ code: 'KEY_CONTEXT' })
})

test('any other failure is handed on', () => {
  const doubts = createDoubts()
  expect(() => doubts.opened(other(), OLD, () => { throw new ServiceError('unavailable', 'STORE_UNAVAILABLE', 'away') })).toThrow('away')
})
