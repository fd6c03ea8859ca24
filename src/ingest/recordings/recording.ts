/** A sensor's export file as read: who measured what, when, in the file's own order. Importers in this folder give it; `oxbow replay` sends it. */

import { ServiceError } from '../../model/errors.ts'
import type { ModelKey } from '../../model/reading.ts'
import type { EpochMs } from '../../model/units.ts'

export interface RecordedSample {
  /** ms after the first sample of the recording; whole. */
  offsetMs: number
  /** Place among samples of one sensor at one time; 0 for the first. */
  sequence: number
  /** As printed; a cell that is empty is not here, a documented zero is. */
  values: readonly { metric: string, value: number }[]
  /** The time as the file prints it. */
  printedTime: string
}

export interface RecordedSensor {
  /** As the file names it, else its place in the file (`1`, `2`, …). */
  name: string
  model: ModelKey
  position?: string
  firmware?: string
  /** Units by metric where the file names them. */
  units: Readonly<Record<string, string>>
  samples: readonly RecordedSample[]
}

export interface Recording {
  format: 'moxy' | 'train-red' | 'vo2-master' | 'csv'
  sensors: readonly RecordedSensor[]
  /** Time of the first sample where the file says date and zone. */
  startsAt?: EpochMs
}

/** Lines without the byte order mark, `\r` and empty lines at the end. */
export function linesOf (text: string): string[] {
  return text.replace(/^\uFEFF/, '').trimEnd().split(/\r?\n/)
}

/** Cells of one line; quoted cells may hold commas. */
export function cellsOf (line: string, separator = ','): string[] {
  const cells: string[] = []
  let cell = ''
  let isQuoted = false
  for (let position = 0; position < line.length; position++) {
    const symbol = line[position]!
    if (symbol === '"') {
      if (isQuoted && line[position + 1] === '"') cell += line[++position]
      else isQuoted = !isQuoted
    } else if (symbol === separator && !isQuoted) {
      cells.push(cell)
      cell = ''
    } else cell += symbol
  }
  cells.push(cell)
  return cells.map(text => text.trim())
}

/** A printed number, with decimal comma where `comma`; `undefined` for an empty cell. @throws ServiceError INPUT_UNREADABLE naming line and column */
export function numberIn (cell: string, where: { line: number, column: string }, comma = false): number | undefined {
  if (cell === '') return undefined
  const value = Number(comma ? cell.replace(',', '.') : cell)
  if (Number.isFinite(value)) return value
  throw new ServiceError('incorrect', 'INPUT_UNREADABLE', `line ${where.line}, column ${where.column}: not a number`)
}

/** Numbers samples that stand at one time in their order. */
export function withSequences (samples: readonly Omit<RecordedSample, 'sequence'>[]): RecordedSample[] {
  const counts = new Map<number, number>()
  return samples.map(sample => {
    const sequence = counts.get(sample.offsetMs) ?? 0
    counts.set(sample.offsetMs, sequence + 1)
    return { ...sample, sequence }
  })
}
