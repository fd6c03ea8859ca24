import { expect, test } from 'vitest'
import type { Sid } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import { viewName, viewsOf } from '../../../src/model/view-ids.ts'
import type { WindowForm } from '../../../src/model/window.ts'

const sid = 's100041061050r3gg28a1c60t3gf6' as Sid
const windowStart = epochMs(Date.UTC(2026, 1, 11, 8, 30))
const sampled: WindowForm = { form: 'sampled', gridStart: windowStart, periodMs: 1000, tokenCount: 1, data: 'E' }
const statistics = { sampleCount: 0, expectedCount: 30, coverage: 0 }
const deficit = { threshold: 25, maxGapMs: 3000, coverage: 0 }
const row = (metric: string, form: WindowForm, more = {}) => ({ sid, metric, windowStart, sizeMs: 30_000, form, ...more })

test('the check value of fhir-modelling.md §4', () => {
  expect(viewsOf(row('tissue-po2', sampled))).toEqual([{ id: '6997cdea-13ed-58aa-b1de-4ab49a7a7d95', kind: 'sampled' }])
})

test('a channel with statistics and a deficit shows its samples and three derived values', () => {
  expect(viewsOf(row('tissue-po2', sampled, { statistics, deficit })).map(({ kind }) => kind)).toEqual(['sampled', 'mean', 'rate', 'deficit'])
})

test('singles are one view per sample, told apart by time and sequence', () => {
  const form: WindowForm = { form: 'singles', samples: [{ takenAt: windowStart, sequence: 0, value: 1 }, { takenAt: windowStart, sequence: 2, value: 1 }] }
  const views = viewsOf(row('tissue-sto2', form, { statistics }))
  expect(views.map(({ kind, takenAt, sequence }) => [kind, takenAt, sequence])).toEqual([['single', windowStart, 0], ['single', windowStart, 2], ['mean', undefined, undefined], ['rate', undefined, undefined]])
  expect(new Set(views.map(({ id }) => id)).size).toBe(4)
})

test('panel, SpO2 and battery have a view of their own kind, with or without samples', () => {
  for (const [metric, kind] of [['panel', 'panel'], ['spo2', 'numeric'], ['battery-voltage', 'numeric'], ['signal-quality-index', 'sampled']] as const) {
    expect(viewsOf(row(metric, { form: 'empty' })).map(view => view.kind)).toEqual([kind])
  }
})

test('names are those of fhir-modelling.md §4', () => {
  const name = (metric: string, kind: Parameters<typeof viewName>[1], sample?: Parameters<typeof viewName>[2]) => viewName({ metric, windowStart, sizeMs: 60_000 }, kind, sample)
  const start = '2026-02-11T08:30:00.000Z'
  expect(name('tissue-po2', 'sampled')).toEqual({ kind: 'telemetry-window', name: `tissue-po2/${start}/PT1M` })
  expect(name('panel', 'panel')).toEqual({ kind: 'telemetry-panel', name: `panel/${start}/PT1M` })
  expect(name('spo2', 'numeric')).toEqual({ kind: 'telemetry-numeric', name: `spo2/${start}/PT1M` })
  expect(name('x', 'single', { takenAt: windowStart, sequence: 0 })).toEqual({ kind: 'telemetry-numeric', name: `x/${start}/PT0S` })
  expect(name('x', 'single', { takenAt: windowStart, sequence: 4 })).toEqual({ kind: 'telemetry-numeric', name: `x/${start}/PT0S/4` })
  expect(name('x', 'mean')).toEqual({ kind: 'derived-window', name: `x-mean/${start}/PT1M` })
  expect(name('x', 'rate')).toEqual({ kind: 'derived-window', name: `x-rate/${start}/PT1M` })
  expect(name('tissue-po2', 'deficit')).toEqual({ kind: 'derived-window', name: `tissue-oxygen-deficit/${start}/PT1M` })
  expect(name('tissue-sto2', 'deficit')).toEqual({ kind: 'derived-window', name: `tissue-sto2-deficit/${start}/PT1M` })
})
