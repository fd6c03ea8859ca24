import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startUpkeep } from '../../../src/ingest/upkeep.ts'
import { epochMs } from '../../../src/model/units.ts'

beforeEach(() => { vi.useFakeTimers() })
afterEach(() => { vi.useRealTimers() })

test('counters are settled once the stream has caught up, and again every ten minutes in which it has', async () => {
  const start = Date.UTC(2026, 2, 1, 12)
  vi.setSystemTime(start)
  let backlog = 3
  const spans: [number, number][] = []
  const nothing = async () => {}
  const upkeep = startUpkeep({
    ingest: {
      releaser: { sweep: nothing, releaseAll: nothing } as never, expire: async () => 0, reportLimits: () => {},
      counters: { settle: async (countedByHour: () => Promise<unknown>) => { await countedByHour() } } as never
    },
    backlog: () => backlog,
    countedByHour: async (from, until) => {
      spans.push([from, until])
      return new Map()
    },
    events: { raise: () => {}, clear: () => {} },
    now: () => epochMs(Date.now())
  })
  await vi.advanceTimersByTimeAsync(5_000)
  expect(spans).toEqual([])
  backlog = 0
  await vi.advanceTimersByTimeAsync(60_000)
  expect(spans).toEqual([[expect.any(Number), start + 3_600_000]])
  backlog = 1
  await vi.advanceTimersByTimeAsync(600_000)
  expect(spans).toHaveLength(1)
  backlog = 0
  await vi.advanceTimersByTimeAsync(60_000)
  expect(spans).toHaveLength(2)
  const stopped = upkeep.stop()
  await vi.advanceTimersByTimeAsync(1)
  await stopped
})
