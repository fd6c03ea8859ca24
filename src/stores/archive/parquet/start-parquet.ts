/** The Parquet files put together: their catalogue, objects and keys, and what the series store answers → work by the clock; its reports become events. */

import { setTimeout as delay } from 'node:timers/promises'
import { type Events, jobReport } from '../../../observability/events.ts'
import { repeat, type Repetition } from '../../../platform/repeat.ts'
import { createDayWriter, type DayWriterParts } from './write-days.ts'

export interface ParquetParts extends Omit<DayWriterParts, 'daysMax' | 'rest'> {
  events: Pick<Events, 'parquetWritten' | 'raise' | 'clear'>
}

const TURN_MS = 10_000
const DAYS_MAX = 64
/** Behind each row group, which takes about as long: what comes in at the door goes before. */
const REST_MS = 25

export function startParquet ({ events, ...parts }: ParquetParts): Repetition {
  const end = new AbortController()
  const writer = createDayWriter({ ...parts, daysMax: DAYS_MAX, rest: () => delay(REST_MS) })
  const report = jobReport(events, 'Parquet files')
  const turns = repeat(TURN_MS, () => writer.turn(end.signal).then(done => {
    if (done === undefined) return
    if (done.written + done.erased > 0) events.parquetWritten(done.written, done.bytes, done.erased)
    if (done.errors.length > 0) report.failing(done.errors[0])
    else report.fine()
  }, report.failing))
  return { stop: () => {
    end.abort()
    return turns.stop()
  } }
}
