/** Builders for tests of the series store: a commit, a reading, a revision, each with what the test does not care about filled in. */

import type { Sid } from '../../src/model/reading.ts'
import { READINGS } from '../../src/model/streams.ts'
import { type EpochMs, epochMs, millivolt, percent } from '../../src/model/units.ts'
import type { WindowRevision } from '../../src/model/window.ts'
import type { RowIn, SeriesCommit } from '../../src/stream/sink.ts'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

/** A sid of a small number, or of the next one whose check symbol is allowed. */
export function sidOf (number: number): Sid {
  for (let n = number * 40; ; n++) {
    if (n % 37 >= 32) continue
    let text = ''
    for (let rest = n; text.length < 26; rest = Math.floor(rest / 32)) text = ALPHABET[rest % 32]! + text
    return `s1${text}${ALPHABET[n % 37]!}` as Sid
  }
}

export const T0 = epochMs(Date.UTC(2026, 1, 11, 8, 30))
export const MINUTE = 60_000

export function at (ms: number): EpochMs { return epochMs(T0 + ms) }

export function commitOf (parts: Partial<SeriesCommit>): SeriesCommit {
  return { writer: 0, owner: undefined, resume: [], fresh: [], late: [], fills: [], revisions: [], closed: [], due: [], settled: [], counters: [], ...parts }
}

export function rowOf (series: number, takenAt: EpochMs, parts: Partial<RowIn> = {}): RowIn {
  return {
    series, takenAt, sequence: 0, values: [41.2, 97.5], battery: millivolt(3700), quality: percent(93), firmware: 1, flags: 0,
    schemaId: 2, partition: 0, offset: 17, ...parts
  }
}

export const PROVENANCE = {
  pipelineVersion: '0.1.0', dagDigest: 'sha256:00', mappingVersion: 'tissue-po2@1', calibration: 3, firmware: 1, schemaId: 2,
  sources: [{ topic: READINGS, partition: 0, firstOffset: 17, lastOffset: 20 }]
}

export function revisionOf (series: number, sid: Sid, parts: Partial<WindowRevision> = {}): WindowRevision & { series: number } {
  const windowStart = parts.windowStart ?? T0
  const sizeMs = parts.sizeMs ?? MINUTE
  return {
    series, sid, metric: 'tissue-po2', windowStart, sizeMs, from: windowStart, until: epochMs(windowStart + sizeMs), revision: 1, status: 'final',
    issued: epochMs(windowStart + 95_000), watermark: epochMs(windowStart + 61_000), flags: 0, provenance: [PROVENANCE],
    form: { form: 'sampled', gridStart: windowStart, periodMs: 1000, tokenCount: 3, data: '41.2 E 41.3' },
    ...parts
  }
}
