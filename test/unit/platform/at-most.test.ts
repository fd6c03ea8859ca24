import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAtMost } from '../../../src/platform/at-most.ts'

const nextTurn = () => new Promise<void>(resolve => { setImmediate(resolve) })

test('no more than so many are under way, each is begun once and in its order, and answers go to their callers', async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.array(fc.record({ turns: fc.integer({ min: 1, max: 3 }), fails: fc.boolean() }), { maxLength: 30 }), async (max, pieces) => {
    const atMost = createAtMost(max)
    const begun: number[] = []
    let [running, most] = [0, 0]
    const answers = await Promise.allSettled(pieces.map(({ turns, fails }, index) => atMost(async () => {
      begun.push(index)
      most = Math.max(most, ++running)
      for (let turn = 0; turn < turns; turn++) await nextTurn()
      running--
      if (fails) throw new Error(String(index))
      return index
    })))
    expect(begun).toEqual(pieces.map((_, index) => index))
    expect(most).toBe(Math.min(max, pieces.length))
    expect(answers).toEqual(pieces.map(({ fails }, index) => fails ? { status: 'rejected', reason: new Error(String(index)) } : { status: 'fulfilled', value: index }))
  }))
})
