/** The newest rows of each partition, kept in memory for a consumer in the same process, within one budget of bytes. */

export interface Row {
  firstOffset: number
  nextOffset: number
  bytes: Buffer
}

export interface Tail {
  /** Adds the row just appended; one that does not follow on the last makes the tail begin anew (another process appended between). */
  push (row: Row): void
  /** The row that holds `offset`, if it is still there. */
  find (offset: number): Row | undefined
  /** Gives up rows that end at or below `offset`. */
  dropBelow (offset: number): void
}

/** Bytes held by all tails that share it. */
export interface TailBudget { bytesMax: number, used: number }

export function createTail (budget: TailBudget): Tail {
  const rows: Row[] = []

  function shift (): void {
    budget.used -= rows[0]!.bytes.length
    rows.shift()
  }
  function dropBelow (offset: number): void {
    while (rows.length > 0 && rows[0]!.nextOffset <= offset) shift()
  }
  function push (row: Row): void {
    if (rows.at(-1)?.nextOffset !== row.firstOffset) dropBelow(Number.POSITIVE_INFINITY)
    rows.push(row)
    budget.used += row.bytes.length
    while (rows.length > 0 && budget.used > budget.bytesMax) shift()
  }
  function find (offset: number): Row | undefined {
    if (rows.length === 0 || offset < rows[0]!.firstOffset) return undefined
    let low = 0
    let high = rows.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (rows[middle]!.nextOffset > offset) high = middle
      else low = middle + 1
    }
    return offset < rows[low]!.nextOffset ? rows[low] : undefined
  }
  return { push, find, dropBelow }
}
