/** Work done by the clock. */

export interface Repetition {
  /** Begins no further run; resolves when the one under way has ended. */
  stop (): Promise<void>
}

/** One run at a time: one that takes longer than `ms` is not joined by another. It keeps no process alive.
 *  @param work reports its own failures; what it throws ends that run alone */
export function repeat (ms: number, work: () => Promise<unknown>): Repetition {
  let running: Promise<unknown> | undefined
  const timer = setInterval(() => {
    running ??= work().catch(() => {}).finally(() => { running = undefined })
  }, ms).unref()
  return { stop: async () => {
    clearInterval(timer)
    await running
  } }
}
