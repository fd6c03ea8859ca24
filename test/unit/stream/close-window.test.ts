import { expect, test } from 'vitest'
import type { Calibration } from '../../../src/model/calibration.ts'
import type { Channel } from '../../../src/model/device-model.ts'
import { FLAG, type StoredReading } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import { type CloseWindowInput, closeWindow, lookAheadMs, type WindowDraft } from '../../../src/stream/close-window.ts'
import { EXAMPLE_04, modelOf, PO2, type ReadingFacts, SPO2, START, storedReading } from '../../support/stored-reading.ts'

const AT = epochMs(START)

function close (readings: readonly StoredReading[], change: Partial<CloseWindowInput> = {}): WindowDraft[] {
  return closeWindow({
    model: modelOf(PO2, SPO2), context: { validFrom: epochMs(0), calibrations: [] }, sizeMs: 60_000, windowStart: AT, readings, channels: [0, 1], deficits: {}, withPanel: true, ...change
  })
}

const draftOf = (drafts: readonly WindowDraft[], metric: string): WindowDraft | undefined => drafts.find((draft) => draft.metric === metric)

function everySecond (from: number, count: number, values: (second: number) => readonly (number | undefined)[], facts: ReadingFacts = {}): StoredReading[] {
  return Array.from({ length: count }, (_, index) => storedReading(START + (from + index) * 1000, values(from + index), { offset: 100 + from + index, ...facts }))
}

const EXAMPLE = EXAMPLE_04.split(' ').map((token, index) => storedReading(START + index * 1000, [token === 'E' ? undefined : Number(token), 97.1], { battery: 3710, quality: 80, partition: 3, offset: 184_467 + index }))

test('the window of the examples gives their tokens, statistics, panel, SpO2 and battery', () => {
  const drafts = close(EXAMPLE, { sizeMs: 30_000 })
  expect(drafts.map(({ metric }) => metric)).toEqual(['tissue-po2', 'spo2-samples', 'signal-quality-index', 'panel', 'spo2', 'battery-voltage'])
  const samples = draftOf(drafts, 'tissue-po2')!
  expect(samples).toMatchObject({
    windowStart: START, sizeMs: 30_000, from: START, until: START + 30_000, flags: 0, quality: 80,
    form: { form: 'sampled', gridStart: START, periodMs: 1000, tokenCount: 30, data: EXAMPLE_04 },
    provenance: [{ calibration: 0, firmware: 1, schemaId: 1, sources: [{ topic: 'oxbow.readings.v1', partition: 3, firstOffset: 184_467, lastOffset: 184_496 }] }]
  })
  expect(samples.statistics!.mean!.toFixed(2)).toBe('39.70')
  expect(samples.statistics!.ratePerMinute!.toFixed(2)).toBe('-6.60')
  expect(samples.statistics!.residualSd!.toFixed(2)).toBe('0.08')
  const takenAt = START + 29_000
  expect(draftOf(drafts, 'panel')!.form).toEqual({ form: 'last', takenAt, values: [{ metric: 'tissue-po2', value: 38.1 }, { metric: 'signal-quality-index', value: 80 }] })
  expect(draftOf(drafts, 'spo2')!.form).toEqual({ form: 'last', takenAt, values: [{ metric: 'spo2', value: 97.1 }] })
  expect(draftOf(drafts, 'battery-voltage')!.form).toEqual({ form: 'last', takenAt, values: [{ metric: 'battery-voltage', value: 3710 }] })
  expect(draftOf(drafts, 'signal-quality-index')!.form).toMatchObject({ form: 'sampled', data: Array.from({ length: 30 }, () => '80').join(' ') })
})

test('a channel without a value in the window has no row, nor have quality and battery that never came', () => {
  expect(close(everySecond(0, 60, () => [40])).map(({ metric }) => metric)).toEqual(['tissue-po2', 'panel'])
  expect(close(everySecond(0, 60, () => [undefined, 97])).map(({ metric }) => metric)).toEqual(['spo2-samples', 'spo2'])
  expect(close(everySecond(0, 60, () => []))).toEqual([])
  expect(close([])).toEqual([])
})

test('a row that exists and lost its values is given empty, with what the window was made from', () => {
  const drafts = close(everySecond(0, 60, () => [undefined, 97]), { existing: new Set(['tissue-po2', 'spo2']) })
  expect(draftOf(drafts, 'tissue-po2')).toMatchObject({ form: { form: 'empty' }, flags: 0, provenance: [{ calibration: 0, sources: [{ firstOffset: 100, lastOffset: 159 }] }] })
  expect(drafts.filter(({ metric }) => metric === 'spo2')).toHaveLength(1)
})

test('only channels of this window size are given, the panel shows all of them', () => {
  const drafts = close(everySecond(0, 60, () => [40, 97]), { channels: [1] })
  expect(drafts.map(({ metric }) => metric)).toEqual(['spo2-samples', 'panel', 'spo2'])
  expect(close(everySecond(0, 60, () => [40, 97]), { withPanel: false }).map(({ metric }) => metric)).toEqual(['tissue-po2', 'spo2-samples'])
})

test('the association clips the window: period, tokens and expected count', () => {
  const context = { validFrom: epochMs(START + 10_500), validUntil: epochMs(START + 40_500), calibrations: [] }
  const draft = draftOf(close(everySecond(0, 60, () => [40]), { context }), 'tissue-po2')!
  expect(draft).toMatchObject({ windowStart: START, from: START + 10_500, until: START + 40_500, form: { gridStart: START + 11_000, tokenCount: 30 } })
  expect(draft.statistics).toMatchObject({ sampleCount: 30, expectedCount: 30, coverage: 1 })
  expect(close(everySecond(0, 60, () => [40]), { context: { validFrom: epochMs(START + 60_000), calibrations: [] } })).toEqual([])
})

test('readings that fit no grid are given one by one, in their order', () => {
  const burst = [...everySecond(0, 59, () => [40]), storedReading(START + 58_000, [41.26], { sequence: 1 }), storedReading(START + 58_300, [42])]
  const draft = draftOf(close(burst), 'tissue-po2')!
  expect(draft.form).toMatchObject({ form: 'singles' })
  const { samples } = draft.form as Extract<WindowDraft['form'], { form: 'singles' }>
  expect(samples.slice(-3)).toEqual([{ takenAt: START + 58_000, sequence: 0, value: 40 }, { takenAt: START + 58_000, sequence: 1, value: 41.3 }, { takenAt: START + 58_300, sequence: 0, value: 42 }])
  expect(draft.statistics!.sampleCount).toBe(61)
})

test('a sample of low quality is shown and marked, but takes no part in derived values', () => {
  const low: Channel = { ...PO2, minimumQuality: 50 }
  const readings = everySecond(0, 60, (second) => [second === 30 ? 150 : 40]).map((reading, index) => ({ ...reading, quality: (index === 30 ? 10 : 90) as StoredReading['quality'] }))
  const draft = draftOf(close(readings, { model: modelOf(low) }), 'tissue-po2')!
  expect((draft.form as { data: string }).data).toContain('150.0')
  expect(draft.flags & FLAG['low-quality']).not.toBe(0)
  expect(draft.statistics).toMatchObject({ sampleCount: 59, mean: 40, maximum: 40 })
  expect(draft.quality).toBeCloseTo((59 * 90 + 10) / 60, 9)
})

test('flags look back over the border of the window', () => {
  const flat = modelOf({ ...PO2, flatLineCount: 60 })
  const readings = everySecond(-59, 119, () => [40])
  expect(draftOf(close(readings, { model: flat }), 'tissue-po2')!.statistics!.sampleCount).toBe(0)
  expect(draftOf(close(readings.slice(1), { model: flat }), 'tissue-po2')!.statistics!.sampleCount).toBe(1)
  const steep = modelOf({ ...PO2, maxSlewPerSecond: 5 })
  const step = [...everySecond(-1, 1, () => [80]), ...everySecond(0, 60, () => [40])]
  expect(draftOf(close(step, { model: steep }), 'tissue-po2')!.statistics!.sampleCount).toBe(59)
})

test('each calibration, firmware and schema has its own provenance, in order of first use', () => {
  const calibrations: Calibration[] = [7, 8].map((number, index) => ({
    number, metric: 'tissue-po2', kind: 'offset', coefficients: { offset: index }, from: epochMs(START + index * 30_000), state: 'calibrated'
  }))
  const readings = everySecond(0, 60, () => [40]).map((reading, index) => ({ ...reading, partition: index % 2, firmware: index < 50 ? 1 : 2 }))
  const draft = draftOf(close(readings, { context: { validFrom: epochMs(0), calibrations } }), 'tissue-po2')!
  const ranges = (from: number, to: number) => [0, 1].map((partition) => ({ topic: 'oxbow.readings.v1', partition, firstOffset: 100 + from + partition, lastOffset: 100 + to - 1 + partition }))
  expect(draft.provenance).toEqual([
    { calibration: 7, firmware: 1, schemaId: 1, sources: ranges(0, 29) },
    { calibration: 8, firmware: 1, schemaId: 1, sources: ranges(30, 49) },
    { calibration: 8, firmware: 2, schemaId: 1, sources: ranges(50, 59) }
  ])
  expect((draft.form as { data: string }).data).toMatch(/ 40\.0 41\.0 /)
})

test('the panel is of one reading and cites every calibration it shows', () => {
  const sto2: Channel = { ...PO2, metric: 'tissue-sto2', kind: 'tissue-sto2', unit: '%' }
  const calibrations: Calibration[] = [{ number: 5, metric: 'tissue-sto2', kind: 'offset', coefficients: { offset: 1 }, from: epochMs(0), state: 'not-calibrated' }]
  const readings = [...everySecond(0, 59, () => [40, 60]), storedReading(START + 59_000, [undefined, 60], { offset: 159 })]
  const panel = draftOf(close(readings, { model: modelOf(PO2, sto2), context: { validFrom: epochMs(0), calibrations } }), 'panel')!
  expect(panel.form).toEqual({ form: 'last', takenAt: START + 59_000, values: [{ metric: 'tissue-sto2', value: 61 }] })
  expect(panel.provenance).toEqual([{ calibration: 5, firmware: 1, schemaId: 1, sources: [{ topic: 'oxbow.readings.v1', partition: 0, firstOffset: 159, lastOffset: 159 }] }])
  expect(panel.flags).toBe(FLAG['calibration-stale'])
  const both = draftOf(close(readings.slice(0, 59), { model: modelOf(PO2, sto2), context: { validFrom: epochMs(0), calibrations } }), 'panel')!
  expect(both.provenance.map(({ calibration }) => calibration)).toEqual([0, 5])
})

const THETA = { 'tissue-po2': { threshold: 25 } }

test('the deficit takes in the last usable sample before the window and the first behind it', () => {
  const before = [storedReading(START - 500, [20])]
  const inside = Array.from({ length: 60 }, (_, index) => storedReading(START + 500 + index * 1000, [20]))
  const behind = [storedReading(START + 60_500, [20])]
  const coverage = (readings: readonly StoredReading[]) => draftOf(close(readings, { deficits: THETA }), 'tissue-po2')!.deficit!.coverage
  expect(coverage([...before, ...inside, ...behind])).toBe(1)
  expect(coverage(inside)).toBeCloseTo(59 / 60, 9)
  expect(coverage([...inside, storedReading(START + 60_100, [undefined]), ...behind])).toBeCloseTo(59.5 / 60, 9)
})

test('a deficit has the gap limit of its setting, three sample periods otherwise, and a relative index has none', () => {
  const readings = everySecond(0, 61, () => [20])
  const index: Channel = { ...PO2, metric: 'tissue-o2-relative-index', kind: 'tissue-o2-relative-index', unit: '1' }
  expect(draftOf(close(readings, { deficits: THETA }), 'tissue-po2')!.deficit).toMatchObject({ threshold: 25, maxGapMs: 3000, dose: 5, index: 0.2 })
  expect(draftOf(close(readings, { deficits: { 'tissue-po2': { threshold: 25, maxGapMs: 10_000 } } }), 'tissue-po2')!.deficit!.maxGapMs).toBe(10_000)
  expect(draftOf(close(readings, { model: modelOf(index), deficits: { 'tissue-o2-relative-index': { threshold: 1 } } }), 'tissue-o2-relative-index')).not.toHaveProperty('deficit')
  expect(draftOf(close(readings), 'tissue-po2')).not.toHaveProperty('deficit')
  expect(lookAheadMs(modelOf(PO2, SPO2), THETA)).toBe(3000)
  expect(lookAheadMs(modelOf(PO2, SPO2), {})).toBe(0)
})

test('battery and quality rows carry what concerns the whole reading', () => {
  const drafts = close(everySecond(0, 60, () => [40], { battery: 3000, quality: 90, flags: FLAG['firmware-unknown'] | FLAG['range-soft'] }))
  expect(draftOf(drafts, 'battery-voltage')!.flags).toBe(FLAG['firmware-unknown'])
  expect(draftOf(drafts, 'signal-quality-index')!.flags).toBe(FLAG['firmware-unknown'])
  expect(draftOf(drafts, 'signal-quality-index')).not.toHaveProperty('statistics')
})
