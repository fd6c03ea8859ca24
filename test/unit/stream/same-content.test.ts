import { expect, test } from 'vitest'
import type { Sid } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import type { WindowRevision } from '../../../src/model/window.ts'
import type { WindowDraft } from '../../../src/stream/close-window.ts'
import { sameContent } from '../../../src/stream/same-content.ts'
import { START } from '../../support/stored-reading.ts'

const SOURCES = [{ topic: 'oxbow.readings.v1', partition: 0, firstOffset: 1, lastOffset: 60 }]

function draft (change: Partial<WindowDraft> = {}): WindowDraft {
  return {
    metric: 'tissue-po2', windowStart: epochMs(START), sizeMs: 60_000, from: epochMs(START), until: epochMs(START + 60_000),
    form: { form: 'sampled', gridStart: epochMs(START), periodMs: 1000, tokenCount: 2, data: '40.0 E' },
    statistics: { sampleCount: 1, expectedCount: 60, coverage: 1 / 60, minimum: 40, maximum: 40 },
    flags: 0, provenance: [{ calibration: 0, firmware: 1, schemaId: 1, sources: SOURCES }], ...change
  }
}

function revision (change: Partial<WindowRevision> = {}): WindowRevision {
  return {
    ...draft(), sid: 's1' as Sid, revision: 3, status: 'amended', issued: epochMs(1), watermark: epochMs(2),
    provenance: [{ pipelineVersion: '1', dagDigest: 'a', mappingVersion: 'm@1', calibration: 0, firmware: 1, schemaId: 1, sources: SOURCES }], ...change
  }
}

test('revision, issued, watermark and status of the history do not make a content new', () => {
  expect(sameContent(draft(), draft())).toBe(true)
  expect(sameContent(draft(), revision())).toBe(true)
  expect(sameContent(revision(), revision({ revision: 4, status: 'corrected', issued: epochMs(9), watermark: epochMs(9) }))).toBe(true)
})

test('the number of a series beside a revision does not make a content new', () => {
  expect(sameContent(revision(), { ...revision(), series: 7 } as WindowRevision)).toBe(true)
})

test.each<[string, Partial<WindowDraft>]>([
  ['a token', { form: { form: 'sampled', gridStart: epochMs(START), periodMs: 1000, tokenCount: 2, data: '40.1 E' } }],
  ['the form', { form: { form: 'empty' } }],
  ['the clipping', { until: epochMs(START + 30_000) }],
  ['a flag', { flags: 1 }],
  ['the quality', { quality: 80 }],
  ['a statistic', { statistics: { sampleCount: 1, expectedCount: 60, coverage: 1 / 60, minimum: 40, maximum: 40, mean: 40 } }],
  ['a deficit', { deficit: { threshold: 25, maxGapMs: 3000, coverage: 0 } }],
  ['a calibration', { provenance: [{ calibration: 2, firmware: 1, schemaId: 1, sources: SOURCES }] }],
  ['a source', { provenance: [{ calibration: 0, firmware: 1, schemaId: 1, sources: [{ ...SOURCES[0]!, lastOffset: 61 }] }] }],
  ['a second provenance', { provenance: [...draft().provenance, { calibration: 2, firmware: 1, schemaId: 1, sources: SOURCES }] }]
])('%s that differs makes a content new', (_, change) => {
  expect(sameContent(draft(), draft(change))).toBe(false)
  expect(sameContent(draft(change), draft())).toBe(false)
})

test('another pipeline or mapping is another content, a withdrawn window never the same as one that stands', () => {
  const other = [{ ...revision().provenance[0]!, pipelineVersion: '2' }]
  expect(sameContent(revision(), revision({ provenance: other }))).toBe(false)
  expect(sameContent(draft(), revision({ status: 'entered-in-error' }))).toBe(false)
})
