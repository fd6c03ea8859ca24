import { createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ENVELOPE_BYTES, open, seal } from '../../../src/security/envelope.ts'

const key = Buffer.alloc(32, 0x22)
const context = { store: 'archive', object: 's1000000000000000000000000000', purpose: 'raw' }
const notOpening = expect.objectContaining({ code: 'KEY_CONTEXT', category: 'fault' })

test('what was sealed opens under the same key and context', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 5_000 }), fc.record({ store: fc.string(), object: fc.string(), purpose: fc.string() }), (plaintext, anyContext) => {
    const sealed = seal(key, anyContext, plaintext)
    expect(sealed.length).toBe(plaintext.length + ENVELOPE_BYTES)
    expect(open(key, { ...anyContext }, sealed)).toEqual(Buffer.from(plaintext))
  }))
})

test('a key object and its bytes are the same key', () => {
  expect(open(key, context, seal(createSecretKey(key), context, Buffer.from('reading'))).toString()).toBe('reading')
  expect(open(createSecretKey(key), context, seal(key, context, Buffer.from('reading'))).toString()).toBe('reading')
})

test('the form is 0x01, IV, ciphertext, tag, with the canonical context as additional data', () => {
  const sealed = seal(key, context, Buffer.from('reading'))
  expect(sealed[0]).toBe(1)
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 13))
  decipher.setAAD(Buffer.from('{"o":"s1000000000000000000000000000","p":"raw","s":"archive","t":"default"}'))
  decipher.setAuthTag(sealed.subarray(-16))
  expect(decipher.update(sealed.subarray(13, -16)).toString() + decipher.final().toString()).toBe('reading')
})

test('the same bytes are never sealed to the same bytes', () => {
  const sealed = Array.from({ length: 1_000 }, () => seal(key, context, Buffer.from('reading')).toString('hex'))
  expect(new Set(sealed.map(hex => hex.slice(2, 26))).size).toBe(1_000)
})

test('a changed, missing or added byte does not open', () => {
  const sealed = seal(key, context, Buffer.from('reading'))
  for (let i = 0; i < sealed.length; i++) {
    const changed = Buffer.from(sealed)
    changed[i]! ^= 1
    expect(() => open(key, context, changed)).toThrow(notOpening)
    expect(() => open(key, context, sealed.subarray(0, i))).toThrow(notOpening)
  }
  expect(() => open(key, context, Buffer.concat([sealed, Buffer.alloc(1)]))).toThrow(notOpening)
})

test('another context or key does not open', () => {
  const sealed = seal(key, context, Buffer.from('reading'))
  for (const other of [{ ...context, store: 'series' }, { ...context, object: 'x' }, { ...context, purpose: 'derived' }, { store: context.object, object: context.store, purpose: context.purpose }]) {
    expect(() => open(key, other, sealed)).toThrow(notOpening)
  }
  expect(() => open(randomBytes(32), context, sealed)).toThrow(notOpening)
})

test('contexts whose parts run together stay apart', () => {
  const sealed = seal(key, { store: 'a', object: 'b","p":"c', purpose: 'd' }, Buffer.from('reading'))
  expect(() => open(key, { store: 'a', object: 'b', purpose: 'c","p":"d' }, sealed)).toThrow(notOpening)
})
