/** Records on a topic of ours that are none of ours → quarantine. Oxbow alone writes there: what cannot be read is no reading of a
 *  device, and yet nothing goes in silence. */

import type { ForeignRecord, SetAside } from '../../model/foreign-record.ts'
import type { RAW, READINGS } from '../../model/streams.ts'
import type { EpochMs } from '../../model/units.ts'
import { BUS_INLET, sourceText } from '../source-position.ts'
import type { Quarantine } from './quarantine.ts'
import type { NewItem } from './quarantine-item.ts'

export function createSetAside (quarantine: Pick<Quarantine, 'add'>, now: () => EpochMs, topic: typeof READINGS | typeof RAW): SetAside {
  return records => quarantine.add(records.map(record => itemOf(topic, record, now())))
}

/** Whose content is not known. Where it is telemetry that was sent to the wrong place, it can be re-submitted as a body. */
function itemOf (topic: string, { partition, offset, value }: ForeignRecord, arrivedAt: EpochMs): NewItem {
  const source = sourceText({ inlet: `${BUS_INLET}${topic}/${partition}`, number: offset })
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length)
  return { kind: 'body', reason: 'foreign-record', schemaId: 0, content: 'json', source, place: 0, requestRecords: 1, arrivedAt, bytes: { source: bytes, start: 0, end: bytes.length } }
}
