/** Work that identifies readings and appends them → whether what was under way at one moment has ended: only then is it known where it stands. */

export interface InFlight {
  /** @param work from before its readings are identified until their append is acknowledged or has failed */
  run<T> (work: () => Promise<T>): Promise<T>
  /** Gives a question: true once everything that was under way when it was made has ended, however long that took. */
  mark (): () => boolean
}

export function createInFlight (): InFlight {
  const open = new Set<object>()
  return {
    async run (work) {
      const token = {}
      open.add(token)
      try {
        return await work()
      } finally {
        open.delete(token)
      }
    },
    mark () {
      const then = [...open]
      return () => !then.some(token => open.has(token))
    }
  }
}
