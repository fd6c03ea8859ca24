/** Records of the raw topic → those that Oxbow may have written, and those that it did not: these must not hold up the ones behind them. What is ours
 *  and does not open, because the key of its sid is not the one it was sealed with, is never taken for foreign (docs/archive.md draws the line). */

import { decodeRawFrame, type RawFrame } from '../../ingest/raw-frame.ts'
import { ServiceError } from '../../model/errors.ts'
import { isSid } from '../../model/handle.ts'
import type { Sid } from '../../model/reading.ts'
import type { SidKey } from '../../security/data-keys.ts'
import { ENVELOPE_BYTES } from '../../security/envelope.ts'

/** `key` is a sid where Oxbow wrote it. */
export interface RawRecord { offset: number, key: string, value: Uint8Array }

/** A record in the form of ours. */
export interface FramedRecord { record: RawRecord, sid: Sid, frame: RawFrame }

/** By their form alone. */
export function sortOut (records: readonly RawRecord[]): { ours: FramedRecord[], strange: RawRecord[] } {
  const ours: FramedRecord[] = []
  const strange: RawRecord[] = []
  for (const record of records) {
    const { key } = record
    const frame = isSid(key) ? frameOf(record) : undefined
    if (isSid(key) && frame !== undefined) ours.push({ record, sid: key, frame })
    else strange.push(record)
  }
  return { ours, strange }
}

function frameOf ({ value }: RawRecord): RawFrame | undefined {
  try {
    const frame = decodeRawFrame(value)
    return isSound(frame) ? frame : undefined
  } catch (error) {
    if (error instanceof ServiceError && error.category === 'fault') return undefined
    throw error
  }
}

/** What it says of itself fits together, as in everything that `encodeRawFrame` gives. */
function isSound ({ origins, runs, lengths, sealed }: RawFrame): boolean {
  const placed = runs.reduce((sum, { count }) => sum + count, 0)
  return runs.every(({ origin }) => origin < origins.length) && (runs.length === 0 || placed === lengths.length) &&
    lengths.reduce((sum, length) => sum + length, 0) === sealed.length - ENVELOPE_BYTES
}

/** Tells those that do not open apart; records of a sid are given in the order in which they were appended. */
export function createDoubts () {
  const proved = new Set<Sid>()
  const foreign: RawRecord[] = []
  const doubtful: (FramedRecord & { error: ServiceError })[] = []
  return {
    /** What `open` gives, or `undefined`: it does not open. */
    opened (one: FramedRecord, key: SidKey, open: () => Buffer): Buffer | undefined {
      try {
        const originals = open()
        proved.add(one.sid)
        return originals
      } catch (error) {
        if (!(error instanceof ServiceError && error.code === 'KEY_CONTEXT')) throw error
        // A sid has one key. Had it been lost and made anew, nothing of before the new one would open, nor would the new one be older than the record.
        if (proved.has(one.sid) || key.madeAt <= one.frame.receivedAt) foreign.push(one.record)
        else doubtful.push({ ...one, error })
        return undefined
      }
    },
    /** @throws ServiceError KEY_CONTEXT when a sid was given out and its key may be another than it had */
    async foreign (knownSids: (sids: readonly Sid[]) => Promise<{ has (sid: Sid): boolean }>): Promise<RawRecord[]> {
      if (doubtful.length === 0) return foreign
      const known = await knownSids([...new Set(doubtful.map(({ sid }) => sid))])
      const ours = doubtful.find(({ sid }) => known.has(sid))
      if (ours !== undefined) throw ours.error
      return [...foreign, ...doubtful.map(({ record }) => record)]
    }
  }
}
