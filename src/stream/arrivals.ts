/** Records as taken from the bus → readings of a series, each fresh, late, or a repetition. */

import type { ForeignRecord } from '../model/foreign-record.ts'
import { FLAG, type Reading, type ReadingBatch, type Sid, type StoredReading } from '../model/reading.ts'
import { decodeReadingBatch } from '../model/reading-record.ts'
import { type EpochMs, hourOf } from '../model/units.ts'
import { compareRepeated } from './deduplicate.ts'
import { completeFrom, insertReading, type OpenSeries } from './series-state.ts'
import type { Count, Fill, RowIn, RowKey } from './sink.ts'

export interface Arrival { batch: ReadingBatch, partition: number, offset: number }

export interface TakenRecords { partition: number, firstOffset: number, nextOffset: number, records: readonly { offset: number, value: Uint8Array }[] }

/** By sid, in order of offset; apart what cannot be read. */
export function decodeArrivals (taken: readonly TakenRecords[]): { arrivals: Map<Sid, Arrival[]>, foreign: ForeignRecord[] } {
  const bySid = new Map<Sid, Arrival[]>()
  const foreign: ForeignRecord[] = []
  for (const { partition, records } of taken) {
    for (const { offset, value } of records) {
      const batch = batchIn(value)
      if (batch === undefined) {
        foreign.push({ partition, offset, value })
        continue
      }
      const arrivals = bySid.get(batch.sid)
      if (arrivals === undefined) bySid.set(batch.sid, [{ batch, partition, offset }])
      else arrivals.push({ batch, partition, offset })
    }
  }
  return { arrivals: bySid, foreign }
}

/** Of bytes that anybody may have written, in whatever way they fail. */
function batchIn (value: Uint8Array): ReadingBatch | undefined {
  try {
    return decodeReadingBatch(value)
  } catch {
    return undefined
  }
}

/** What one step has found so far; becomes a commit. */
export interface Findings {
  fresh: RowIn[]
  late: RowIn[]
  fills: Fill[]
  counts: Map<string, Count>
}

export function noFindings (): Findings { return { fresh: [], late: [], fills: [], counts: new Map() } }

export type Late = RowIn & { receivedAt: EpochMs }

/** Sorts a series' arrivals into fresh rows and repetitions; gives back those for which memory cannot tell.
 *  @param onTouched called with each reading that is new or got a channel */
export function placeArrivals (open: OpenSeries, arrivals: readonly Arrival[], findings: Findings, onTouched: (reading: StoredReading) => void): Late[] {
  const late: Late[] = []
  const from = completeFrom(open)
  let count: Count | undefined
  for (const { batch, partition, offset } of arrivals) {
    if (count?.hour !== hourOf(batch.receivedAt)) count = countOf(findings, open.series, batch.receivedAt)
    count.accepted += batch.readings.length
    for (const reading of batch.readings) {
      const row = rowOf(reading, open.series, batch.schemaId, partition, offset)
      if (reading.takenAt < from) { late.push({ ...row, receivedAt: batch.receivedAt }); continue }
      const place = open.readings.find(reading.takenAt, reading.sequence)
      if (place >= 0) {
        const there = open.readings.at(place)
        if (!placeRepeated(there, row, count, findings)) continue
        open.readings.put(there)
        onTouched(there)
        continue
      }
      insertReading(open, row)
      findings.fresh.push(row)
      count.stored++
      onTouched(row)
    }
  }
  return late
}

/** The same for late rows, once the store has said which of their keys it holds.
 *  @returns rows that are new, or as they stand now that they were filled: their windows are due again */
export function placeLate (late: readonly Late[], stored: readonly RowIn[], findings: Findings): RowIn[] {
  const there = new Map(stored.map(row => [keyText(row), row]))
  const touched: RowIn[] = []
  for (const { receivedAt, ...row } of late) {
    const count = countOf(findings, row.series, receivedAt)
    const known = there.get(keyText(row))
    if (known !== undefined) {
      if (placeRepeated(known, row, count, findings)) touched.push(known)
      continue
    }
    there.set(keyText(row), row)
    findings.late.push(row)
    count.stored++
    touched.push(row)
  }
  return touched
}

/** @returns whether the stored reading changed */
function placeRepeated (there: StoredReading, row: RowIn, count: Count, findings: Findings): boolean {
  const { kind, fills } = compareRepeated(there, row)
  count[kind]++
  if (fills.length === 0) return false
  const values = [...there.values]
  for (const field of fills) {
    const value = (typeof field === 'number' ? row.values[field] : row[field])!
    if (typeof field === 'number') values[field] = value
    else if (field === 'battery') there.battery = row.battery
    else fillQuality(there, row.quality)
    findings.fills.push({ series: row.series, takenAt: row.takenAt, sequence: row.sequence, field, value })
  }
  there.values = values
  return true
}

/** A refused quality that is sent again is unknown no more. */
function fillQuality (there: StoredReading, quality: StoredReading['quality']): void {
  there.quality = quality
  there.flags &= ~FLAG['quality-unknown']
}

function rowOf (reading: Reading, series: number, schemaId: number, partition: number, offset: number): RowIn {
  const { takenAt, sequence, values, battery, quality, firmware, flags } = reading
  return { series, takenAt, sequence, values, battery, quality, firmware, flags, schemaId, partition, offset }
}

function keyText (key: RowKey): string { return `${key.series}/${key.takenAt}/${key.sequence}` }

function countOf (findings: Findings, series: number, receivedAt: EpochMs): Count {
  const hour = hourOf(receivedAt)
  const key = `${series}/${hour}`
  let count = findings.counts.get(key)
  if (count === undefined) {
    count = { series, hour, accepted: 0, stored: 0, duplicate: 0, conflict: 0 }
    findings.counts.set(key, count)
  }
  return count
}
