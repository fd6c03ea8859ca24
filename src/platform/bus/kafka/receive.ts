/** What the client gives of a partition → records of its lane. */

import type { EachBatchPayload, KafkaMessage } from 'kafkajs'
import { keyText } from '../key-text.ts'
import { type Lane, push } from './lane.ts'

type Batch = EachBatchPayload['batch']

/** Of a batch, not in the types of the client: what was asked for, and what it leaves out too (marks of transactions, records of those that were given up). */
interface Unseen { fetchedOffset: string, messagesWithinOffset: Batch['messages'] }

const NOTHING = Buffer.alloc(0)

export function fetchedFrom (batch: Batch): number { return Number((batch as unknown as Unseen).fetchedOffset) }

/** Every offset of a topic of ours counts: what a stranger's transaction leaves there is given as a record of his, without a key or a value.
 *  @returns false: there is a gap behind what was pushed by then */
export function pushOurs (lane: Lane, batch: Batch): boolean {
  const { messagesWithinOffset: all } = batch as unknown as Unseen
  const given = all.length === batch.messages.length ? undefined : new Set(batch.messages)
  for (const message of all) {
    const offset = Number(message.offset)
    if (offset < lane.fetched) continue
    if (offset > lane.fetched) return false
    push(lane, given?.has(message) === false ? nothingAt(offset) : { offset, key: keyOf(message), value: message.value ?? NOTHING })
  }
  return true
}

/** The same for a whole batch of such. */
export function pushNothing (lane: Lane, first: number, last: number): boolean {
  if (first > lane.fetched) return false
  while (lane.fetched <= last) push(lane, nothingAt(lane.fetched))
  return true
}

/** Of a topic of others, where offsets may be missing. */
export function pushVendors (lane: Lane, batch: Batch): void {
  for (const message of batch.messages) {
    const offset = Number(message.offset)
    if (offset >= lane.fetched) push(lane, { offset, key: keyOf(message), value: message.value ?? NOTHING, headers: headersOf(message) })
  }
  // Behind the marks of transactions, which are no records.
  lane.fetched = Math.max(lane.fetched, Number(batch.lastOffset()) + 1)
}

function nothingAt (offset: number): Lane['records'][number] { return { offset, key: '', value: NOTHING } }

/** `''`: it has none. */
function keyOf ({ key }: KafkaMessage): string { return key === null ? '' : keyText(key, 0, key.length) }

/** By name in lower case; one that stands there several times counts with its first value. */
function headersOf ({ headers = {} }: KafkaMessage): ReadonlyMap<string, string> {
  return new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(Array.isArray(value) ? value[0] : value)]))
}
