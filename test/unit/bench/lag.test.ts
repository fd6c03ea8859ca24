import { expect, test } from 'vitest'
import { type Look, type Recovery, recoveryOf } from '../../bench/lag.bench.ts'

const look = (at: number, appended: number, consumed: number): Look => ({ at, appended, consumed, waiting: appended - consumed })
const STANDING = look(1_000, 500, 490)

test('a backlog shrinks by what is stored less what comes in meanwhile, and is judged against what comes in', () => {
  const { judged, stored, seconds } = recoveryOf({ standing: STANDING, still: look(11_000, 10_500, 490), done: look(13_000, 12_500, 11_490) }, 10, 1)
  expect(judged).toMatchObject({ limitBefore: 10_000, limitAfter: 10_000, ours: [45_000], ratio: 4.5, accepted: true })
  expect([stored, seconds]).toEqual([55_000, 2])
})

test('a stream that stores less than comes in makes nothing good', () => {
  expect(recoveryOf({ standing: STANDING, still: look(11_000, 10_500, 490), done: look(41_000, 40_500, 20_490) }, 10, 1).judged.ratio).toBeLessThan(0)
})

test('gateways that are held up while it recovers are no gain', () => {
  const done = { free: look(13_000, 12_500, 11_490), heldUp: look(13_000, 10_500, 11_490) }
  const [free, heldUp] = [done.free, done.heldUp].map(one => recoveryOf({ standing: STANDING, still: look(11_000, 10_500, 490), done: one }, 10, 1)) as [Recovery, Recovery]
  expect(heldUp.judged.ratio).toBe(free.judged.ratio)
  expect([free.arrivedMeanwhile, heldUp.arrivedMeanwhile]).toEqual([10_000, 0])
})
