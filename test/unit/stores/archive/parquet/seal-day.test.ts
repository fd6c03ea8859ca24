import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { assertObjectName, assertRemovable } from '../../../../../src/platform/objects/object-store.ts'
import { drawName, openDay, sealDay } from '../../../../../src/stores/archive/parquet/seal-day.ts'

const key = () => createSecretKey(randomBytes(32))
const doesNotOpen = expect.objectContaining({ code: 'KEY_CONTEXT' })

test('a file opens under its own key and name, whole, and under nothing else', () => {
  const [own, other] = [key(), key()]
  const file = randomBytes(1_000)
  const name = drawName()
  const sealed = sealDay(own, name, file)
  expect(openDay(own, name, sealed).equals(file)).toBe(true)
  expect(() => openDay(other, name, sealed)).toThrowError(doesNotOpen)
  expect(() => openDay(own, drawName(), sealed)).toThrowError(doesNotOpen)
  fc.assert(fc.property(fc.nat({ max: sealed.length - 1 }), fc.integer({ min: 1, max: 255 }), (place, change) => {
    const changed = Buffer.from(sealed)
    changed[place] = changed[place]! ^ change
    expect(() => openDay(own, name, changed)).toThrowError(doesNotOpen)
    expect(() => openDay(own, name, sealed.subarray(0, place))).toThrowError(doesNotOpen)
  }))
})

test('a name is drawn anew each time, is one of the store and can be removed', () => {
  const names = Array.from({ length: 1_000 }, drawName)
  expect(new Set(names).size).toBe(1_000)
  for (const name of names) {
    expect(name).toMatch(/^parquet\/([0-9a-f]{2})\/\1[0-9a-f]{30}$/)
    assertObjectName(name)
    assertRemovable(name)
  }
})
