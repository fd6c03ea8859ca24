/** Work that only the leading server of a deployment does: begun when the lead is held, ended when it is lost, begun anew when it is back. */

export interface Leading<W> {
  /** The lead is held, or was lost. */
  set (isHeld: boolean): void
  /** From now on `begin` is called whenever the lead is held, and what it gives is stopped before it is called again. */
  run (begin: () => W): void
  /** Absent while the lead is not held. */
  current (): W | undefined
  /** Resolves when the work has ended; it never begins again. */
  stop (): Promise<void>
}

export function createLeading<W extends { stop (): Promise<void> }> (): Leading<W> {
  let isHeld = false
  let begin: (() => W) | undefined
  let current: W | undefined
  let turning: Promise<void> = Promise.resolve()

  async function turn (): Promise<void> {
    if (isHeld && begin !== undefined) {
      current ??= begin()
      return
    }
    const ended = current
    current = undefined
    await ended?.stop()
  }

  /** One after the other: what was ended has ended before it is begun again. */
  function soon (): Promise<void> {
    turning = turning.then(turn, turn)
    return turning
  }

  return {
    set (held) {
      isHeld = held
      soon().catch(() => { /* `stop` says it again */ })
    },
    run (work) {
      begin = work
      soon().catch(() => { /* as above */ })
    },
    current: () => current,
    stop: () => {
      begin = undefined
      return soon()
    }
  }
}
