/** Which device is next: drains first, then looks at devices that an association may cover, then looks at those nobody knows. */

/** `drain`: readings wait behind it. `soon` and `later` are looks, which block nobody. */
export type Turn = 'drain' | 'soon' | 'later'

export interface Queued { turn: Turn | undefined }

export interface ReleaseQueue<E extends Queued> {
  /** An entry keeps its place unless the new turn comes earlier. */
  add (entry: E, turn: Turn): void
  /** The next one whose turn is among these, in their order; its `turn` is cleared. */
  take (turns: readonly Turn[]): E | undefined
  clear (): void
}

export function createReleaseQueue<E extends Queued> (): ReleaseQueue<E> {
  const lines = { drain: createLine<E>(), soon: createLine<E>(), later: createLine<E>() }
  const order: readonly Turn[] = ['drain', 'soon', 'later']
  return {
    add (entry, turn) {
      if (entry.turn !== undefined && order.indexOf(entry.turn) <= order.indexOf(turn)) return
      entry.turn = turn
      lines[turn].push(entry)
    },
    take (turns) {
      for (const turn of turns) {
        // Who moved to an earlier line still stands in the later one.
        for (let entry = lines[turn].shift(); entry !== undefined; entry = lines[turn].shift()) {
          if (entry.turn !== turn) continue
          entry.turn = undefined
          return entry
        }
      }
      return undefined
    },
    clear () {
      for (const line of Object.values(lines)) for (let entry = line.shift(); entry !== undefined; entry = line.shift()) entry.turn = undefined
    }
  }
}

/** First in, first out; taking the first does not move the rest, which may be hundreds of thousands. */
function createLine<E> (): { push (entry: E): void, shift (): E | undefined } {
  let entries: E[] = []
  let head = 0
  return {
    push (entry) { entries.push(entry) },
    shift () {
      const entry = entries[head]
      if (entry === undefined) return undefined
      head++
      if (head === entries.length) {
        entries = []
        head = 0
      }
      return entry
    }
  }
}
