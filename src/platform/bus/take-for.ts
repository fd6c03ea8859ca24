/** A take that ends after a while, so that its caller can look at the clock. */

import type { BusConsumer } from './bus.ts'

/** By hand: a signal with a time-out of its own, joined to another, costs more than taking the records, and is there until its time is over.
 *  @param stop ends it at once. @throws as `take` */
export async function takeFor (consumer: Pick<BusConsumer, 'take'>, recordsMax: number, ms: number, stop?: AbortSignal): ReturnType<BusConsumer['take']> {
  const over = new AbortController()
  const end = (): void => { over.abort() }
  const timer = setTimeout(end, ms)
  stop?.addEventListener('abort', end, { once: true })
  try {
    return await consumer.take(recordsMax, over.signal)
  } finally {
    clearTimeout(timer)
    stop?.removeEventListener('abort', end)
  }
}
