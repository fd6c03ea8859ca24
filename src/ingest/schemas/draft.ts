/** What is read of a record of any format before it takes our shape. */

import { epochMs } from '../../model/units.ts'
import type { ContentKind, DecodedRecord, RecordBytes, SentChannel } from '../decode/record.ts'

export interface Draft {
  deviceId: string
  patientId: string | undefined
  takenAt: number
  sequence: number
  channels: SentChannel[] | undefined
  spo2: number | undefined
  tissueO2: number | undefined
  battery: number | undefined
  quality: number | undefined
  firmware: string | undefined
}

/** A UTF-8 character has at most so many bytes. */
export const CHARACTER_BYTES_MAX = 4

/** A time that is not read is none. */
export function emptyDraft (): Draft {
  return {
    deviceId: '', patientId: undefined, takenAt: Number.NaN, sequence: 0, channels: undefined, spo2: undefined, tissueO2: undefined, battery: undefined,
    quality: undefined, firmware: undefined
  }
}

/** Its record, at place 0 of its body. */
export function recordOf (draft: Draft, { source, start, end }: RecordBytes, content: ContentKind, schemaId: number): DecodedRecord {
  return {
    index: 0, source, start, end, content, schemaId, deviceId: draft.deviceId, patientId: draft.patientId,
    takenAt: epochMs(draft.takenAt), sequence: draft.sequence, channels: draft.channels, spo2: draft.spo2, tissueO2: draft.tissueO2,
    battery: draft.battery, quality: draft.quality, firmware: draft.firmware
  }
}
