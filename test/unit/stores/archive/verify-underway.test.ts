import { describe, expect, test } from 'vitest'
import { epochMs } from '../../../../src/model/units.ts'
import type { PartitionHead } from '../../../../src/stores/archive/manifest-rows.ts'
import { LEEWAY_MS, type UnderwayParts, underwaySince, waitForSlices } from '../../../../src/stores/archive/verify-underway.ts'

const START = epochMs(Date.UTC(2026, 2, 1))
const head = (partition: number, next: number): PartitionHead => ({ partition, next, digest: '', reserved: undefined })

describe('waiting', () => {
  /** @param nexts how far partition 0 is archived, look by look */
  async function looksFor (sliceMs: number, nexts: readonly number[]) {
    let [looks, waitedMs] = [0, 0]
    const parts = { ends: async () => new Map([[0, 5], [1, 0]]), now: () => START, pause: async (ms: number) => { waitedMs += ms }, sliceMs }
    const mark = await waitForSlices(parts, async () => [head(0, nexts[Math.min(looks++, nexts.length - 1)]!)])
    expect(mark).toEqual({ at: START, ends: new Map([[0, 5], [1, 0]]) })
    return { looks, waitedMs }
  }

  test('ends once all that was there at the start is archived', async () => {
    expect(await looksFor(1_000, [3, 4, 5])).toEqual({ looks: 3, waitedMs: 1_000 })
    expect(await looksFor(1_000, [9])).toEqual({ looks: 1, waitedMs: 0 })
  })

  test('ends where nobody archives, once a slice had its time', async () => {
    expect((await looksFor(1_000, [3])).waitedMs).toBe(11_000)
    expect((await looksFor(50_000, [3])).waitedMs).toBe(60_000)
  })

  test('is left out where slices stay open for longer than a minute', async () => {
    expect(await looksFor(50_001, [3])).toEqual({ looks: 0, waitedMs: 0 })
  })
})

describe('since when', () => {
  const parts = (change: Partial<Record<'marked' | 'next' | 'end', number>>, archivedTo?: number): UnderwayParts => {
    const { marked = 5, next = 5, end = 6 } = change
    return {
      mark: { at: START, ends: new Map([[0, marked], [1, 7]]) }, heads: new Map([[0, head(0, next)], [1, head(1, 7)]]), bus: new Map([[0, end], [1, 7]]),
      archivedTo: new Map(archivedTo === undefined ? [] : [[0, epochMs(archivedTo)]])
    }
  }

  test('nothing is under way: nothing is forgiven', () => { expect(underwaySince(parts({ end: 5 }))).toBeUndefined() })

  test('what came after the start is of the start or later, however old the last object is', () => {
    expect(underwaySince(parts({}, START - 86_400_000))).toBe(START - LEEWAY_MS)
  })

  test('what was there at the start came after the newest that is archived of its partition', () => {
    expect(underwaySince(parts({ next: 4 }, START - 1_000))).toBe(START - 1_000 - LEEWAY_MS)
    expect(underwaySince(parts({ next: 0 }))).toBe(0)
  })

  test('the oldest of several partitions counts', () => {
    const some = parts({ next: 4 }, START - 1_000)
    expect(underwaySince({ ...some, bus: new Map([[0, 6], [1, 9]]) })).toBe(START - 1_000 - LEEWAY_MS)
  })
})
