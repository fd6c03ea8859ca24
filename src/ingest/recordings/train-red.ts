/** Train.Red export → recording. Several sensors side by side; the app prints the time of arrival, so sample times are restored from the sensor's own clock. */

import { ServiceError } from '../../model/errors.ts'
import { cellsOf, linesOf, numberIn, type RecordedSensor, type Recording, withSequences } from './recording.ts'

export const TRAIN_RED_MODEL = 'Train.Red/FYER'

const METRIC: Readonly<Record<string, string>> = {
  SmO2: 'tissue-sto2',
  'SmO2 unfiltered': 'tissue-sto2-unfiltered',
  'O2HB unfiltered': 'o2hb-relative',
  'HHb unfiltered': 'hhb-relative'
}
/** A silence longer than this is a pause: the sensor's clock is taken up anew behind it. */
const PAUSE_MS = 2_000

export function isTrainRed (text: string): boolean { return /^\uFEFF?Train\.Red Export/.test(text) }

interface Facts { id: string, firmware?: string, position?: string }
interface Row { seconds: number, printed: string, cells: string[], line: number }

/** @throws ServiceError INPUT_UNREADABLE naming line and column */
export function readTrainRed (text: string): Recording {
  const lines = linesOf(text)
  const header = lines.findIndex(line => line.startsWith('Timestamp (seconds passed)'))
  if (header < 1) throw new ServiceError('incorrect', 'INPUT_UNREADABLE', 'no line begins with "Timestamp (seconds passed)"')
  const names = cellsOf(lines[header]!)
  const owners = cellsOf(lines[header - 1]!)
  const facts = factsOf(lines.slice(0, header - 1))
  const rows = lines.slice(header + 1).map((line, position): Row => {
    const cells = cellsOf(line)
    const at = { line: header + position + 2, column: names[0]! }
    return { seconds: numberIn(cells[0] ?? '', at) ?? Number.NaN, printed: cells[0] ?? '', cells, line: at.line }
  }).filter(row => !Number.isNaN(row.seconds))
  const first = rows[0]?.seconds ?? 0
  const starts = owners.flatMap((owner, index) => owner === '' ? [] : [index])
  const sensors = starts.map((start, place) => {
    const columns = names.slice(start, starts[place + 1]).flatMap((column, offset) => {
      const metric = METRIC[column]
      return metric === undefined ? [] : [{ column, metric, index: start + offset }]
    })
    return readSensor(facts.get(owners[start]!) ?? { id: owners[start]! }, columns, rows, first)
  })
  const earliest = Math.min(...sensors.flatMap(sensor => sensor.samples.slice(0, 1).map(sample => sample.offsetMs)))
  return { format: 'train-red', sensors: sensors.map(sensor => ({ ...sensor, samples: sensor.samples.map(sample => ({ ...sample, offsetMs: sample.offsetMs - earliest })) })) }
}

function factsOf (lines: readonly string[]): Map<string, Facts> {
  const found = new Map<string, Facts>()
  let current: Facts | undefined
  for (const line of lines) {
    const [name, value = ''] = cellsOf(line)
    if (name === 'Sensor ID') {
      current = { id: value }
      found.set(value, current)
    } else if (current !== undefined && value !== '') {
      if (name === 'Firmware Version') current.firmware = value
      if (name === 'Sensor Position') current.position = value
    }
  }
  return found
}

function readSensor (facts: Facts, columns: readonly { column: string, metric: string, index: number }[], rows: readonly Row[], first: number): RecordedSensor {
  const sampled = rows.flatMap(row => {
    const values = columns.flatMap(({ column, metric, index }) => {
      const value = numberIn(row.cells[index] ?? '', { line: row.line, column })
      return value === undefined ? [] : [{ metric, value }]
    })
    return values.length === 0 ? [] : [{ arrivedMs: (row.seconds - first) * 1000, values, printedTime: row.printed }]
  })
  const times = restoreTimes(sampled.map(sample => sample.arrivedMs))
  const samples = withSequences(sampled.map(({ values, printedTime }, place) => ({ offsetMs: times[place]!, values, printedTime })))
  const { id: name, firmware, position } = facts
  return { name, model: TRAIN_RED_MODEL, units: {}, samples, ...(firmware === undefined ? {} : { firmware }), ...(position === undefined ? {} : { position }) }
}

/** Arrival times (ms, ascending) → times at which the samples were taken, whole ms, ascending (fhir-modelling.md §7): in each run without a pause
 *  a least-squares line through sample number and arrival, moved down until no sample arrives before it was taken. */
export function restoreTimes (arrivals: readonly number[]): number[] {
  const restored: number[] = []
  let start = 0
  for (let end = 1; end <= arrivals.length; end++) {
    if (end < arrivals.length && arrivals[end]! - arrivals[end - 1]! <= PAUSE_MS) continue
    restored.push(...restoreRun(arrivals.slice(start, end)))
    start = end
  }
  return restored
}

function restoreRun (arrivals: readonly number[]): number[] {
  const count = arrivals.length
  const meanNumber = (count - 1) / 2
  const meanArrival = arrivals.reduce((sum, arrival) => sum + arrival, 0) / count
  let covariance = 0
  let variance = 0
  for (const [number, arrival] of arrivals.entries()) {
    covariance += (number - meanNumber) * (arrival - meanArrival)
    variance += (number - meanNumber) ** 2
  }
  const period = variance === 0 ? 0 : covariance / variance
  const earliest = Math.min(...arrivals.map((arrival, number) => arrival - period * number))
  return arrivals.map((_, number) => Math.floor(earliest + period * number))
}
