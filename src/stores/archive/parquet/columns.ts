/** A device model -> the columns of its Parquet files, and how a reading fills them. */

import type { SchemaElement } from 'hyparquet-writer'
import type { Calibration } from '../../../model/calibration.ts'
import type { Channel, DeviceModel } from '../../../model/device-model.ts'
import type { StoredReading } from '../../../model/reading.ts'
import { type CalibrationSpan, calibrationSpan } from '../../../stream/calibrate.ts'

type Cell = number | undefined

export interface Column {
  element: SchemaElement & { name: string }
  /** UCUM; of columns that are a measurement. */
  unit?: string
  /** `undefined`: absent; only where the element is OPTIONAL. */
  of: (reading: StoredReading) => Cell
}

/** Names of metrics have no underline, those of everything else have one: no model can name a column that is there already. Values stand as the sensor
 *  sent them; beside each channel that may be calibrated stands the number of the calibration in force when the reading was taken. */
export function columnsOf ({ channels }: DeviceModel, calibrations: readonly Calibration[]): Column[] {
  return [
    { element: { ...whole64('taken_at'), converted_type: 'TIMESTAMP_MILLIS', logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' } }, of: reading => reading.takenAt },
    { element: whole64('sequence_number'), of: reading => reading.sequence },
    ...channels.flatMap((channel, position) => channelColumns(channel, position, calibrations)),
    { element: optional('quality_percent', 'INT32'), unit: '%', of: reading => reading.quality },
    { element: optional('battery_mv', 'INT32'), unit: 'mV', of: reading => reading.battery },
    { element: whole32('flag_bits'), of: reading => reading.flags },
    { element: whole32('firmware_number'), of: reading => reading.firmware },
    { element: whole32('schema_id'), of: reading => reading.schemaId },
    { element: whole32('source_partition'), of: reading => reading.partition },
    { element: whole64('source_offset'), of: reading => reading.offset }
  ]
}

function channelColumns ({ metric, unit, calibration }: Channel, position: number, calibrations: readonly Calibration[]): Column[] {
  const value: Column = { element: optional(metric, 'DOUBLE'), unit, of: reading => reading.values[position] }
  if (calibration === 'none') return [value]
  const numberAt = calibrationNumbers(metric, calibrations)
  return [value, { element: optional(`${metric}_calibration`, 'INT32'), of: numberAt }]
}

/** Readings come in the order of time: one answer serves until it changes. */
function calibrationNumbers (metric: string, calibrations: readonly Calibration[]): Column['of'] {
  let span: CalibrationSpan | undefined
  return ({ takenAt }) => {
    if (span === undefined || takenAt < span.from || takenAt >= span.until) span = calibrationSpan(calibrations, metric, takenAt)
    return span.calibration?.number
  }
}

function whole64 (name: string): SchemaElement & { name: string } { return { name, type: 'INT64', repetition_type: 'REQUIRED' } }
function whole32 (name: string): SchemaElement & { name: string } { return { name, type: 'INT32', repetition_type: 'REQUIRED' } }
function optional (name: string, type: 'INT32' | 'DOUBLE'): SchemaElement & { name: string } { return { name, type, repetition_type: 'OPTIONAL' } }
