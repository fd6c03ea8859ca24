import { expect, test } from 'vitest'
import { epochMs } from '../../../src/model/units.ts'
import { createWriteClock } from '../../../src/platform/write-clock.ts'

function clockAt (start: number) {
  const time = { now: start }
  return { time, clock: createWriteClock(() => epochMs(time.now)) }
}

test('with nothing under way everything up to now is complete, and what begins in the same millisecond is later', async () => {
  const { clock } = clockAt(100)
  const write = clock.begin()
  write.end()
  expect([write.time, await clock.completeThrough(0)]).toEqual([100, 100])
  const next = clock.begin()
  next.end()
  expect([next.time, await clock.completeThrough(0)]).toEqual([101, 101])
})

test('what does not end in time, the oldest of it, bounds what is complete; what began since does not', async () => {
  const { time, clock } = clockAt(100)
  const first = clock.begin()
  time.now = 110
  const second = clock.begin()
  time.now = 120
  expect(await clock.completeThrough(0)).toBe(99)
  first.end()
  expect(await clock.completeThrough(0)).toBe(109)
  const waiting = clock.completeThrough(60_000)
  const third = clock.begin()
  second.end()
  expect([await waiting, third.time]).toEqual([120, 121])
})

test('a clock that is set back gives no time twice that a search has read up to', async () => {
  const { time, clock } = clockAt(100)
  expect(await clock.completeThrough(0)).toBe(100)
  time.now = 50
  expect([clock.isAhead(epochMs(100)), clock.isAhead(epochMs(101))]).toEqual([false, true])
  const write = clock.begin()
  write.end()
  expect([write.time, await clock.completeThrough(0)]).toEqual([101, 101])
})
