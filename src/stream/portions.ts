/** What one take gave → portions for one commit each: a record holds one reading or a thousand, and a commit is to be quick and small. */

import { countReadings } from '../model/reading-record.ts'
import type { TakenRecords } from './arrivals.ts'

/** In order, each with at most `readingsMax` readings (one record always fits). At least one portion, of nothing where nothing was taken. */
export function portionsOf (taken: readonly TakenRecords[], readingsMax: number): TakenRecords[][] {
  const portions: TakenRecords[][] = [[]]
  let room = readingsMax
  for (const { partition, firstOffset, nextOffset, records } of taken) {
    let from = 0
    for (const [place, { value }] of records.entries()) {
      const count = countReadings(value)
      if (count > room && room < readingsMax) {
        if (place > from) portions.at(-1)!.push(part(from, place))
        portions.push([])
        from = place
        room = readingsMax
      }
      room -= count
    }
    portions.at(-1)!.push(part(from, records.length))

    function part (start: number, end: number): TakenRecords {
      return {
        partition,
        firstOffset: start === 0 ? firstOffset : records[start]!.offset,
        nextOffset: end === records.length ? nextOffset : records[end]!.offset,
        records: start === 0 && end === records.length ? records : records.slice(start, end)
      }
    }
  }
  return portions
}
