import { expect, test } from 'vitest'
import { epochMs } from '../../../src/model/units.ts'
import { clipWindow, expectedCount, windowStartOf } from '../../../src/stream/window.ts'

const at = epochMs

test('windows start at multiples of their size since 1970 and hold their start, not their end', () => {
  expect(windowStartOf(at(Date.parse('2026-02-11T08:30:59.999Z')), 60_000)).toBe(Date.parse('2026-02-11T08:30:00Z'))
  expect(windowStartOf(at(Date.parse('2026-02-11T08:31:00.000Z')), 60_000)).toBe(Date.parse('2026-02-11T08:31:00Z'))
  expect(windowStartOf(at(-1), 60_000)).toBe(-60_000)
})

test('an association that begins or ends inside a window clips it', () => {
  expect(clipWindow(at(60_000), 60_000, { validFrom: at(0) })).toEqual({ from: 60_000, until: 120_000 })
  expect(clipWindow(at(60_000), 60_000, { validFrom: at(75_500), validUntil: at(99_000) })).toEqual({ from: 75_500, until: 99_000 })
  expect(clipWindow(at(60_000), 60_000, { validFrom: at(120_000) })).toBeUndefined()
  expect(clipWindow(at(60_000), 60_000, { validFrom: at(0), validUntil: at(60_000) })).toBeUndefined()
})

test('the expected count follows the clipped length and is never zero', () => {
  expect(expectedCount({ from: at(0), until: at(60_000) }, 1000)).toBe(60)
  expect(expectedCount({ from: at(0), until: at(60_000) }, 100)).toBe(600)
  expect(expectedCount({ from: at(15_500), until: at(39_000) }, 1000)).toBe(24)
  expect(expectedCount({ from: at(0), until: at(100) }, 1000)).toBe(1)
})
