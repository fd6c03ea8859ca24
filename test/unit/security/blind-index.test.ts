import { createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createBlindIndex } from '../../../src/security/blind-index.ts'

const index = createBlindIndex(createSecretKey(Buffer.alloc(32, 0x33)))
const of = (value: string) => index('device', 'urn:oxbow:device-serial', value).toString('hex')

test('vector', () => {
  expect(of('LUM-000123')).toBe('5569abec1bf4196bd18821c02db85b79d47289dd46c5cbba803431435059eeed')
})

test('spellings of one identifier have one index', () => {
  for (const same of ['lum-000123', ' Lum-000123\t', 'ＬＵＭ－000123', 'LUM-000123\u00a0']) expect(of(same)).toBe(of('LUM-000123'))
})

test('nothing else is folded', () => {
  for (const other of ['LUM000123', 'LUM-123', 'LUM -000123', 'LUM-00012З']) expect(of(other)).not.toBe(of('LUM-000123'))
  expect(of('straße')).not.toBe(of('STRASSE'))
  expect(of('é')).not.toBe(of('É'))
})

test('device and patient, and identifiers of two systems, never share an index', () => {
  fc.assert(fc.property(fc.string(), fc.string(), fc.string(), (one, other, value) => {
    expect(index('device', one, value).equals(index('patient', one, value))).toBe(false)
    if (one !== other) expect(index('device', one, value).equals(index('device', other, value))).toBe(false)
  }))
})

test('another key gives another index', () => {
  const other = createBlindIndex(createSecretKey(Buffer.alloc(32, 0x34)))
  expect(other('device', 'urn:oxbow:device-serial', 'LUM-000123').toString('hex')).not.toBe(of('LUM-000123'))
})
