/** Readings by sid → one durable append: for each group its original bytes, sealed, and behind them the readings. */

import { encodeReadingBatch } from '../model/reading-record.ts'
import { RAW, READINGS } from '../model/streams.ts'
import type { Bus, BusRecord } from '../platform/bus/bus.ts'
import { type DataKeys, rawContext, undefinedWhenDestroyed } from '../security/data-keys.ts'
import { type SealingKey, seal } from '../security/envelope.ts'
import type { DecodedRecord } from './decode/record.ts'
import type { SidGroup } from './identify.ts'
import { type Arrival, encodeRawFrame, placesOf } from './raw-frame.ts'

export interface PublishDeps {
  publish: Bus['publish']
  dataKeys: Pick<DataKeys, 'forSid' | 'warm'>
}

/** Resolves when the append is durable; gives the groups that were not appended because the key of their sid was destroyed.
 *  @param arrival absent for a field that is re-submitted: its record's bytes are in the raw topic already
 *  @throws ServiceError busy BUS_FULL, unavailable */
export async function publishGroups (
  deps: PublishDeps, groups: readonly SidGroup[], arrival: Arrival<DecodedRecord> | undefined
): Promise<readonly SidGroup[]> {
  if (groups.length === 0) return groups
  const warming = arrival === undefined ? undefined : deps.dataKeys.warm(groups.map(({ sid }) => sid))
  if (warming !== undefined) await warming
  const records: BusRecord[] = []
  const destroyed: SidGroup[] = []
  for (const group of groups) {
    if (arrival !== undefined) {
      const asked = keyOf(deps, group)
      const key = asked instanceof Promise ? await asked : asked
      if (key === undefined) { destroyed.push(group); continue }
      const { sid, content, schemaId, receivedAt } = group
      const head = { content, schemaId, receivedAt, way: arrival.way, ...placesOf(group.records, arrival) }
      const frame = encodeRawFrame(head, group.records, plaintext => seal(key, rawContext(sid), plaintext))
      records.push({ topic: RAW, key: sid, value: frame })
    }
    records.push({ topic: READINGS, key: group.sid, value: encodeReadingBatch(group) })
  }
  if (records.length > 0) await deps.publish(records)
  return destroyed
}

function keyOf ({ dataKeys }: PublishDeps, { sid }: SidGroup): SealingKey | undefined | Promise<SealingKey | undefined> {
  const key = dataKeys.forSid(sid)
  return key instanceof Promise ? key.catch(undefinedWhenDestroyed) : key
}
