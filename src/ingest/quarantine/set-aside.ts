/** Records on a topic of ours that are none of ours → quarantine. Only ingest writes there: what cannot be read is no reading of a
 *  device, and yet nothing goes in silence. */

import { type RAW, READINGS } from '../../model/streams.ts'
import type { EpochMs } from '../../model/units.ts'
import type { Quarantine } from './quarantine.ts'
import { BUS_INLET, type NewItem } from './quarantine-item.ts'

export interface ForeignRecord { partition: number, offset: number, value: Uint8Array }

/** Resolves when all are durable. Who reads the topic may hand one over again after a crash: by its place on the topic it is known, and kept once. */
export type SetAside = (records: readonly ForeignRecord[]) => Promise<void>

export function createSetAside (quarantine: Pick<Quarantine, 'add'>, now: () => EpochMs, topic: typeof READINGS | typeof RAW = READINGS): SetAside {
  return records => quarantine.add(records.map(record => itemOf(topic, record, now())))
}

/** Whose content is not known. Where it is telemetry that was sent to the wrong place, it can be re-submitted as a body. */
function itemOf (topic: string, { partition, offset, value }: ForeignRecord, arrivedAt: EpochMs): NewItem {
  const source = `${BUS_INLET}${topic}/${partition}/${offset}`
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length)
  return { kind: 'body', reason: 'foreign-record', schemaId: 0, content: 'json', source, place: 0, requestRecords: 1, arrivedAt, bytes: { source: bytes, start: 0, end: bytes.length } }
}
