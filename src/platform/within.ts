/** Work that may never end → waited for so long, or until told, and no longer. */

/** What it gives or throws does not matter. */
export async function within (ms: number, work: Promise<unknown>): Promise<void> {
  const over = Promise.withResolvers<void>()
  const timer = setTimeout(over.resolve, ms)
  await Promise.race([work.catch(() => {}), over.promise])
  clearTimeout(timer)
}

/** What the work gives. @throws the signal's reason once it is aborted, whatever becomes of the work */
export async function unlessAborted<T> (work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const giveUp = (): void => { aborted.reject(signal.reason) }
  signal.addEventListener('abort', giveUp, { once: true })
  if (signal.aborted) giveUp()
  return Promise.race([work, aborted.promise]).finally(() => { signal.removeEventListener('abort', giveUp) })
}
