/** Chance that can be repeated: a seed -> numbers in [0, 1), always the same ones. */

export interface Chance {
  seed: number
  next (): number
  /** Whole number in [from, until). */
  whole (from: number, until: number): number
  /** True in `share` of the cases. */
  is (share: number): boolean
  shuffled<T> (items: readonly T[]): T[]
}

/** mulberry32 */
export function createChance (seed: number): Chance {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const whole = (from: number, until: number): number => from + Math.floor(next() * (until - from))
  return {
    seed,
    next,
    whole,
    is: share => next() < share,
    shuffled: items => {
      const left = [...items]
      return items.map(() => left.splice(whole(0, left.length), 1)[0]!)
    }
  }
}

/** A new seed each run, or the one of `OXBOW_TEST_SEED`, so that a failure can be run again. */
export function chanceOfRun (): Chance {
  const given = process.env['OXBOW_TEST_SEED']
  return createChance(given === undefined ? Date.now() % 2 ** 31 : Number(given))
}
