/** Work begun by many at once → at most so many under way; the others begin in their order. */

export type AtMost = <T> (work: () => Promise<T>) => Promise<T>

export function createAtMost (max: number): AtMost {
  const waiting: (() => void)[] = []
  let running = 0
  return async work => {
    // One that is let go by another takes its place, so that nobody comes between.
    if (running < max) running++
    else await new Promise<void>(resolve => { waiting.push(resolve) })
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
