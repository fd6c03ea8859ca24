/** Readings that the series store gives back, because no association covers them any more → waiting items of their device. */

import type { DeviceModel } from '../../model/device-model.ts'
import { FLAG, type Reading } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'
import type { NewItem } from './quarantine-item.ts'
import type { Quarantine } from './quarantine.ts'

export interface ReturnedReading {
  reading: Pick<Reading, 'takenAt' | 'sequence' | 'values' | 'battery' | 'quality' | 'flags'>
  model: DeviceModel
  /** Version text; `undefined` when the device did not say. */
  firmware: string | undefined
}

/** Resolves when all stand in quarantine, written anew in schema v2; also those without any value, which say that the device measured nothing.
 *  @param source of `returnedSource` @throws ServiceError unavailable STORE_UNAVAILABLE */
export async function requarantine (
  quarantine: Pick<Quarantine, 'add'>, deviceId: string, readings: readonly ReturnedReading[], now: EpochMs, source: string
): Promise<void> {
  const items = readings.map((returned, place): NewItem => {
    const bytes = Buffer.from(JSON.stringify(asRecord(deviceId, returned)))
    return {
      kind: 'record', reason: 'not-associated', schemaId: 2, content: 'json', source, place, deviceId, eventTime: returned.reading.takenAt,
      sequence: returned.reading.sequence, arrivedAt: now, bytes: { source: bytes, start: 0, end: bytes.length }, isReturned: true
    }
  })
  await quarantine.add(items)
}

/** In place of a quality that was refused at the door, so that the check finds again that it is unknown: every other flag follows from what is kept. */
const UNKNOWN_QUALITY = 'unknown'

function asRecord (deviceId: string, { reading, model, firmware }: ReturnedReading): object {
  const channels = model.channels.flatMap(({ metric, kind, unit }, position) => {
    const value = reading.values[position]
    return value === undefined ? [] : [{ metric, kind, unit, value }]
  })
  const lostQuality = (reading.flags & FLAG['quality-unknown']) === 0 ? null : UNKNOWN_QUALITY
  return {
    deviceId, patientId: null, timestamp_utc: reading.takenAt, sequence: reading.sequence, channels, battery_mv: reading.battery ?? null,
    firmware_version: firmware ?? null, signal_quality: reading.quality ?? lostQuality
  }
}
