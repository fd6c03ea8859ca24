import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { repeat } from '../../../src/platform/repeat.ts'

beforeEach(() => { vi.useFakeTimers() })
afterEach(() => { vi.useRealTimers() })

test('a run that takes longer than its interval is not joined by another', async () => {
  let begun = 0
  let end = Promise.withResolvers<void>()
  const repetition = repeat(10, () => {
    begun++
    return end.promise
  })
  await vi.advanceTimersByTimeAsync(35)
  expect(begun).toBe(1)
  end.resolve()
  end = Promise.withResolvers<void>()
  await vi.advanceTimersByTimeAsync(10)
  expect(begun).toBe(2)
  let isStopped = false
  const stopped = repetition.stop().then(() => { isStopped = true })
  await vi.advanceTimersByTimeAsync(50)
  expect([begun, isStopped]).toEqual([2, false])
  end.resolve()
  await stopped
})

test('a run that fails does not end the repetition', async () => {
  let begun = 0
  const repetition = repeat(10, async () => {
    begun++
    throw new Error('this time')
  })
  await vi.advanceTimersByTimeAsync(25)
  await repetition.stop()
  expect(begun).toBe(2)
})
