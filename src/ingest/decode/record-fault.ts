/** A record as it was read → what makes it malformed, if anything: one judge for every binary format. */

import { type DecodedRecord, isFirmwareText, isIdentifierText, type RejectedRecord, TEXT_MAX } from './record.ts'

/** Name of the field at fault; `undefined` for a good record. */
export function faultOf (record: DecodedRecord): string | undefined {
  if (!isIdentifierText(record.deviceId, TEXT_MAX.deviceId)) return 'deviceId'
  if (record.patientId !== undefined && !isIdentifierText(record.patientId, TEXT_MAX.patientId)) return 'patientId'
  if (!Number.isSafeInteger(record.takenAt)) return 'timestamp_utc'
  if (!Number.isSafeInteger(record.sequence) || record.sequence < 0) return 'sequence'
  if (record.firmware !== undefined && !isFirmwareText(record.firmware)) return 'firmware_version'
  const { channels } = record
  if (channels === undefined) return hasNoValue(record) ? 'no_value' : undefined
  if (channels.length > TEXT_MAX.channels) return 'channels'
  for (let position = 0; position < channels.length; position++) {
    const { metric, kind, unit } = channels[position]!
    if (metric === '\0' || kind === '\0' || unit === '\0') return `channels[${position}]`
  }
  return channels.length === 0 && hasNoValue(record) ? 'channels' : undefined
}

function hasNoValue ({ spo2, tissueO2, battery, quality }: DecodedRecord): boolean {
  return spo2 === undefined && tissueO2 === undefined && battery === undefined && quality === undefined
}

/** @param fault of `faultOf`, or a reason of its own */
export function rejectionOf (record: DecodedRecord, fault: string): RejectedRecord {
  const { index, source, start, end, content, schemaId, deviceId, takenAt } = record
  return {
    index, source, start, end, content, schemaId,
    ...(fault === 'record-too-large' || fault === 'duplicate-key' ? { reason: fault, field: undefined } : { reason: 'malformed', field: fault }),
    deviceId: isIdentifierText(deviceId, TEXT_MAX.deviceId) ? deviceId : undefined,
    takenAt: Number.isSafeInteger(takenAt) ? takenAt : undefined
  }
}
