/** How a `take` waits: until something may be there, or one of the signals ends it. */

/** Any of them ends a `take`. */
export type Stop = readonly AbortSignal[]

/** Whoever waits leaves here what wakes it. */
export interface Waiting { waiter: (() => void) | undefined }

export function isStopped (stop: Stop): boolean { return stop.some(signal => signal.aborted) }

/** Resolves when the reader is woken or one of the signals is aborted; of one reader one call at a time. */
export function untilWoken (reader: Waiting, stop: Stop): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      for (const signal of stop) signal.removeEventListener('abort', done)
      reader.waiter = undefined
      resolve()
    }
    reader.waiter = done
    for (const signal of stop) signal.addEventListener('abort', done, { once: true })
    if (isStopped(stop)) done()
  })
}
