/** Items that arrive one by one -> commits of many, one in flight, without a timer: whatever arrives meanwhile is the next commit.
 *
 *  A commit costs as much as taking in a dozen small requests. While it would hold little, the next one waits for as long as each turn of the
 *  event loop brings more: what comes alone waits for one turn, what comes from many connections at once goes together. */

import { setImmediate as nextTurn } from 'node:timers/promises'

export interface GroupCommitOptions<Item, Result> {
  /** Makes all items durable or none; results in the order of the items. */
  commit: (items: readonly Item[]) => Promise<readonly Result[]>
  /** What an item weighs in records and bytes. */
  weigh: (item: Item) => { records: number, bytes: number }
  /** Most records and bytes in one commit; a heavier item goes alone. */
  recordsMax: number
  bytesMax: number
  /** A commit of so many records does not wait for more. */
  recordsEnough: number
}

export interface GroupCommit<Item, Result> {
  /** Resolves when the commit that holds the item is durable; rejects when that commit fails. */
  add (item: Item): Promise<Result>
  /** Weight of what is not durable yet, in flight included. */
  readonly pending: Readonly<{ records: number, bytes: number }>
  /** Resolves when nothing is pending. */
  idle (): Promise<void>
}

interface Waiting<Item, Result> {
  item: Item
  records: number
  bytes: number
  resolve: (result: Result) => void
  reject: (error: unknown) => void
}

export function createGroupCommit<Item, Result> (options: GroupCommitOptions<Item, Result>): GroupCommit<Item, Result> {
  let queue: Waiting<Item, Result>[] = []
  let running: Promise<void> | undefined
  const pending = { records: 0, bytes: 0 }

  function add (item: Item): Promise<Result> {
    const { records, bytes } = options.weigh(item)
    pending.records += records
    pending.bytes += bytes
    const result = new Promise<Result>((resolve, reject) => { queue.push({ item, records, bytes, resolve, reject }) })
    running ??= run()
    return result
  }
  async function run (): Promise<void> {
    // What is added in the same tick shares the first commit.
    await Promise.resolve()
    while (queue.length > 0) {
      await gather()
      await commitOne(takeBatch())
    }
    running = undefined
  }
  async function gather (): Promise<void> {
    for (let seen = 0; queue.length > seen && pending.records < options.recordsEnough;) {
      seen = queue.length
      await nextTurn()
    }
  }
  function takeBatch (): Waiting<Item, Result>[] {
    let count = 0
    for (let records = 0, bytes = 0; count < queue.length; count++) {
      records += queue[count]!.records
      bytes += queue[count]!.bytes
      if (count > 0 && (records > options.recordsMax || bytes > options.bytesMax)) break
    }
    const batch = queue.slice(0, count)
    queue = queue.slice(count)
    return batch
  }
  async function commitOne (batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await options.commit(batch.map(({ item }) => item))
      settle(batch)
      for (const [index, { resolve }] of batch.entries()) resolve(results[index]!)
    } catch (error) {
      settle(batch)
      for (const { reject } of batch) reject(error)
    }
  }
  function settle (batch: readonly Waiting<Item, Result>[]): void {
    for (const { records, bytes } of batch) {
      pending.records -= records
      pending.bytes -= bytes
    }
  }
  return { add, pending, idle: async () => { await running } }
}
