/** Groups of records → one row each, one transaction: what a commit of the embedded bus is. */

import type { Group } from '../publish.ts'
import { encodeRow } from './row-bytes.ts'
import { type BusState, refreshSoon, setReachable, type Topic, wake } from './state.ts'
import { type Appended, appendRows, type NewRow } from './tables.ts'

/** All of it or nothing. @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function append (state: BusState, groups: readonly Group<Topic>[]): Promise<void> {
  const rows = groups.map(group => ({ group, row: rowOf(group) }))
  try {
    applyAppended(state, rows, await appendRows(state.pool, rows.map(({ row }) => row), state.now(), state.token))
  } catch (error) {
    // Whether it was committed is not known: what is there is read again.
    refreshSoon(state)
    throw error
  }
}

function rowOf ({ topic, head, records }: Group<Topic>): NewRow {
  return { topicId: topic.topicId, partition: head.partition, recordCount: records.length, bytes: encodeRow(records) }
}

function applyAppended (state: BusState, rows: readonly { group: Group<Topic>, row: NewRow }[], appended: readonly Appended[]): void {
  const byPlace = new Map(appended.map(row => [`${row.topicId}/${row.partition}`, row]))
  for (const { group, row } of rows) {
    const { firstOffset, releasedOffset } = byPlace.get(`${row.topicId}/${row.partition}`)!
    const nextOffset = firstOffset + row.recordCount
    group.firstOffset = firstOffset
    group.head.nextOffset = Math.max(group.head.nextOffset, nextOffset)
    if (group.head.tail === undefined) group.head.releasedOffset = releasedOffset
    else group.head.tail.push({ firstOffset, nextOffset, bytes: row.bytes })
  }
  setReachable(state, true)
  wake(state, new Set(rows.map(({ group }) => group.topic)))
}
