/** Plain CSV and a column map → recording. */

import { ServiceError } from '../../model/errors.ts'
import type { ModelKey } from '../../model/reading.ts'
import { epochMs } from '../../model/units.ts'
import { cellsOf, linesOf, numberIn, type RecordedSample, type Recording, withSequences } from './recording.ts'

export interface ColumnMap {
  model: ModelKey
  /** Name of the time column, and what stands in it: `iso` with zone, `ms` since 1970, `s` seconds from the start. */
  time: { column: string, form: 'iso' | 'ms' | 's' }
  /** Metric → column name. */
  metrics: Readonly<Record<string, string>>
  separator?: string
  decimalComma?: boolean
  firmware?: string
}

/** The first line names the columns. @throws ServiceError INPUT_UNREADABLE naming line and column */
export function readCsv (text: string, map: ColumnMap): Recording {
  const lines = linesOf(text)
  const names = cellsOf(lines[0] ?? '', map.separator)
  const indexOf = (column: string): number => {
    const index = names.indexOf(column)
    if (index < 0) throw new ServiceError('incorrect', 'INPUT_UNREADABLE', `the file has no column "${column}"`)
    return index
  }
  const timeIndex = indexOf(map.time.column)
  const columns = Object.entries(map.metrics).map(([metric, column]) => ({ metric, column, index: indexOf(column) }))
  const timed = lines.slice(1).flatMap((line, position) => {
    const cells = cellsOf(line, map.separator)
    const values = columns.flatMap(({ metric, column, index }) => {
      const value = numberIn(cells[index] ?? '', { line: position + 2, column }, map.decimalComma)
      return value === undefined ? [] : [{ metric, value }]
    })
    return values.length === 0 ? [] : [{ at: timeIn(cells[timeIndex] ?? '', map, position + 2), values, printedTime: cells[timeIndex] ?? '' }]
  })
  const first = timed[0]?.at ?? 0
  const samples = withSequences(timed.map(({ at, values, printedTime }): Omit<RecordedSample, 'sequence'> => ({ offsetMs: Math.round(at - first), values, printedTime })))
  const sensor = { name: '1', model: map.model, units: {}, samples, ...(map.firmware === undefined ? {} : { firmware: map.firmware }) }
  return map.time.form === 's' ? { format: 'csv', sensors: [sensor] } : { format: 'csv', sensors: [sensor], startsAt: epochMs(first) }
}

function timeIn (cell: string, map: ColumnMap, line: number): number {
  const { column, form } = map.time
  if (form === 'iso') {
    if (!/(Z|[+-]\d{2}:\d{2})$/.test(cell)) throw new ServiceError('incorrect', 'INPUT_UNREADABLE', `line ${line}, column ${column}: the time has no zone`)
    const time = Date.parse(cell)
    if (Number.isNaN(time)) throw new ServiceError('incorrect', 'INPUT_UNREADABLE', `line ${line}, column ${column}: not an ISO 8601 time`)
    return time
  }
  const number = numberIn(cell, { line, column }, map.decimalComma)
  if (number === undefined) throw new ServiceError('incorrect', 'INPUT_UNREADABLE', `line ${line}, column ${column}: no time`)
  return form === 's' ? number * 1000 : number
}
