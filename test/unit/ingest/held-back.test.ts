import { expect, test } from 'vitest'
import { createHeldBack } from '../../../src/ingest/held-back.ts'
import { epochMs } from '../../../src/model/units.ts'

const MINUTE = 60_000
const START = Date.UTC(2026, 2, 1)
const at = (minutes: number) => epochMs(START + minutes * MINUTE)

test('who is refused again and again for ten minutes counts, until it is over', () => {
  const heldBack = createHeldBack()
  for (let minute = 0; minute <= 9; minute++) heldBack.refused('a', 1_000, at(minute))
  expect(heldBack.longCount(at(9.9))).toBe(0)
  heldBack.refused('a', 1_000, at(10))
  heldBack.refused('b', 1_000, at(10))
  expect(heldBack.longCount(at(10))).toBe(1)
  expect(heldBack.longCount(at(10 + 61 / 60))).toBe(1)
  expect(heldBack.longCount(at(12))).toBe(0)
})

test('who waits as long as told, and comes back over the limit, is still held back', () => {
  const heldBack = createHeldBack()
  for (let minute = 0; minute <= 20; minute += 5) heldBack.refused('a', 5 * MINUTE, at(minute))
  expect(heldBack.longCount(at(20))).toBe(1)
  expect(heldBack.longCount(at(26))).toBe(1)
  expect(heldBack.longCount(at(26.1))).toBe(0)
})

test('a pause begins anew, and so does a clock that went back', () => {
  const heldBack = createHeldBack()
  heldBack.refused('a', 1_000, at(0))
  heldBack.refused('a', 1_000, at(5))
  heldBack.refused('a', 1_000, at(6))
  expect(heldBack.longCount(at(10))).toBe(0)
  heldBack.refused('b', 60 * MINUTE, at(60))
  heldBack.refused('b', 1_000, at(0))
  expect(heldBack.longCount(at(1))).toBe(0)
})

test('no more than so many are watched', () => {
  const heldBack = createHeldBack(0, 2)
  for (const key of ['a', 'b', 'c']) heldBack.refused(key, 1_000, at(0))
  expect(heldBack.longCount(at(0))).toBe(2)
})
