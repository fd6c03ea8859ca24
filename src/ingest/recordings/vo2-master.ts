/** VO2 Master app export → recording. Up to three Moxy sensors side by side, decimal commas, times as seconds from the start, no date; 0 means "no reading". */

import { cellsOf, linesOf, numberIn, type RecordedSample, type RecordedSensor, type Recording, withSequences } from './recording.ts'

export const VO2_MASTER_MODEL = 'Fortiori Design LLC/Moxy Monitor via VO2 Master'

const COLUMN = /^(SmO2|THb)(?: -\s+(\d+))?\[(.*)\]$/
const METRIC: Readonly<Record<string, string>> = { SmO2: 'tissue-sto2', THb: 'total-haemoglobin' }

export function isVo2Master (text: string): boolean { return /^\uFEFF?Time\[s\],Time\[hh:mm:ss\],.*SmO2\[%\]/.test(text) }

interface Column { index: number, column: string, sensor: number, metric: string, unit: string }

/** A row whose cells are all empty for a sensor is no sample of it; a zero is sent as printed. @throws ServiceError INPUT_UNREADABLE naming line and column */
export function readVo2Master (text: string): Recording {
  const lines = linesOf(text)
  const columns = cellsOf(lines[0]!).flatMap((column, index): Column[] => {
    const match = COLUMN.exec(column)
    return match === null ? [] : [{ index, column, sensor: Number(match[2] ?? 1), metric: METRIC[match[1]!]!, unit: match[3]! }]
  })
  const rows = lines.slice(1).map((line, position) => ({ cells: cellsOf(line), line: position + 2 }))
  const first = numberIn(rows[0]?.cells[0] ?? '', { line: 2, column: 'Time[s]' }, true) ?? 0
  const sensors = [...new Set(columns.map(({ sensor }) => sensor))].sort((a, b) => a - b)
  return { format: 'vo2-master', sensors: sensors.map(sensor => readSensor(String(sensor), columns.filter(column => column.sensor === sensor), rows, first)) }
}

function readSensor (name: string, columns: readonly Column[], rows: readonly { cells: string[], line: number }[], first: number): RecordedSensor {
  const samples = rows.flatMap(({ cells, line }): Omit<RecordedSample, 'sequence'>[] => {
    const values = columns.flatMap(({ index, column, metric }) => {
      const value = numberIn(cells[index] ?? '', { line, column }, true)
      return value === undefined ? [] : [{ metric, value }]
    })
    if (values.length === 0) return []
    const seconds = numberIn(cells[0]!, { line, column: 'Time[s]' }, true) ?? 0
    return [{ offsetMs: Math.round((seconds - first) * 1000), values, printedTime: cells[1]! }]
  })
  // "THb" in the header is the name of the quantity, not a unit.
  const units = Object.fromEntries(columns.filter(({ unit }) => unit === '%').map(({ metric, unit }) => [metric, unit]))
  return { name, model: VO2_MASTER_MODEL, units, samples: withSequences(samples) }
}
