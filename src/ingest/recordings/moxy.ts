/** Moxy on-board export → recording. Header names the firmware; the date has no year and no zone; one sensor, a row every two seconds. */

import { DAY_MS } from '../../model/units.ts'
import { ServiceError } from '../../model/errors.ts'
import { cellsOf, linesOf, numberIn, type RecordedSample, type Recording, withSequences } from './recording.ts'

export const MOXY_MODEL = 'Fortiori Design LLC/Moxy Monitor'

const COLUMNS: readonly [column: string, metric: string][] = [
  ['SmO2 Live', 'tissue-sto2'], ['SmO2 Averaged', 'tissue-sto2-averaged'], ['THb', 'total-haemoglobin']
]

export function isMoxy (text: string): boolean { return /^mm-dd,hh:mm:ss,SmO2 Live,/m.test(text) }

/** Clock times go on over midnight. @throws ServiceError INPUT_UNREADABLE naming the line */
export function readMoxy (text: string): Recording {
  const lines = linesOf(text)
  const header = lines.findIndex(line => line.startsWith('mm-dd,'))
  const names = cellsOf(lines[header]!)
  const columns = COLUMNS.map(([column, metric]) => ({ metric, column, index: names.indexOf(column) })).filter(({ index }) => index >= 0)
  const firmware = lines.slice(0, header).map(line => /FW Part Number:\s*(.+)$/.exec(line)?.[1]?.trim()).find(found => found !== undefined)
  const samples: Omit<RecordedSample, 'sequence'>[] = []
  let first: number | undefined
  let previous = 0
  for (const [position, line] of lines.entries()) {
    if (position <= header || line.trim() === '') continue
    const cells = cellsOf(line)
    const clock = clockMs(cells[1] ?? '', position + 1)
    const absolute = clock >= previous % DAY_MS ? previous - previous % DAY_MS + clock : previous - previous % DAY_MS + DAY_MS + clock
    first ??= absolute
    previous = absolute
    const values = columns.flatMap(({ metric, column, index }) => {
      const value = numberIn(cells[index] ?? '', { line: position + 1, column })
      return value === undefined ? [] : [{ metric, value }]
    })
    if (values.length > 0) samples.push({ offsetMs: absolute - first, values, printedTime: `${cells[0]} ${cells[1]}` })
  }
  const sensor = { name: '1', model: MOXY_MODEL, units: {}, samples: withSequences(samples) }
  return { format: 'moxy', sensors: [firmware === undefined ? sensor : { ...sensor, firmware }] }
}

function clockMs (cell: string, line: number): number {
  const match = /^(\d{1,2}):(\d{2}):(\d{2})$/.exec(cell)
  if (match === null) throw new ServiceError('incorrect', 'INPUT_UNREADABLE', `line ${line}: no time of the form hh:mm:ss`)
  return (Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3])) * 1000
}
