import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSid } from '../../../src/model/handle.ts'
import { drawSid, drawSubj, formatHandle, isSubj } from '../../../src/security/sid.ts'

const PATTERN = /^s1[0-7][0-9a-hjkmnp-tv-z]{26}$/
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const bits128 = fc.uint8Array({ minLength: 16, maxLength: 16 })

/** The definition of privacy.md §4.1, slowly. */
function reference (prefix: string, bytes: Uint8Array): string | undefined {
  let number = BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  const check = Number(number % 37n)
  if (check >= 32) return undefined
  let digits = ''
  for (let i = 0; i < 26; i++) { digits = ALPHABET[Number(number % 32n)] + digits; number /= 32n }
  return prefix + digits + ALPHABET[check]
}

test.each([
  [Buffer.alloc(16, 0x00), 's1000000000000000000000000000'],
  [Buffer.from(Array.from({ length: 16 }, (_, i) => i)), 's100041061050r3gg28a1c60t3gf6'],
  [Buffer.alloc(16, 0xa1), 's151m6gt38d1m6gt38d1m6gt38d17'],
  [Buffer.alloc(16, 0xff), undefined]
])('vector %#', (bytes, text) => {
  expect(formatHandle('s1', bytes)).toBe(text)
})

test('the text form is the definition, for any bits', () => {
  fc.assert(fc.property(bits128, bytes => {
    expect(formatHandle('s1', bytes)).toBe(reference('s1', bytes))
    expect(formatHandle('j1', bytes)).toBe(reference('j1', bytes))
  }))
})

test('bits without a check symbol are drawn again', () => {
  const draws = [Buffer.alloc(16, 0xff), Buffer.alloc(16, 0xa1)]
  expect(drawSid(() => draws.shift()!)).toBe('s151m6gt38d1m6gt38d1m6gt38d17')
})

test('1,000,000 draws are sids, all different', () => {
  // Random bytes for many draws at once: what is shown is the form, and the system's source is slow in small portions.
  const pool = randomBytes(1_000_000 * 20)
  let used = 0
  const draw = (size: number) => {
    used += size
    return pool.subarray(used - size, used)
  }
  const drawn = Array.from({ length: 1_000_000 }, () => drawSid(draw))
  expect(drawn.findIndex(sid => !PATTERN.test(sid) || !isSid(sid))).toBe(-1)
  expect(new Set(drawn).size).toBe(1_000_000)
}, 30_000)

test('a handle of a patient is not a sid', () => {
  const subj = drawSubj()
  expect(isSubj(subj)).toBe(true)
  expect(isSid(subj)).toBe(false)
  expect(isSubj(drawSid())).toBe(false)
})

test('changing one symbol never gives a sid', () => {
  fc.assert(fc.property(fc.nat({ max: 28 }), fc.constantFrom(...ALPHABET), (index, symbol) => {
    const sid = drawSid()
    fc.pre(sid[index] !== symbol)
    expect(isSid(sid.slice(0, index) + symbol + sid.slice(index + 1))).toBe(false)
  }))
})

test('upper case, another length and foreign symbols are refused', () => {
  const sid = 's100041061050r3gg28a1c60t3gf6'
  for (const text of [sid.toUpperCase(), `S1${sid.slice(2)}`, sid.slice(0, 28), `${sid}0`, ` ${sid}`, '', sid.replace('r', 'i'), sid.replace('r', 'é'), sid.replace('r', '*'),
    's1800000000000000000000000007']) expect(isSid(text)).toBe(false)
  expect(isSid(sid)).toBe(true)
})

test('any text agrees with the definition', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.stringMatching(PATTERN)), text => {
    const expected = PATTERN.test(text) && [...text.slice(2, 28)].reduce((rest, symbol) => (rest * 32 + ALPHABET.indexOf(symbol)) % 37, 0) === ALPHABET.indexOf(text[28]!)
    expect(isSid(text)).toBe(expected)
  }))
})
