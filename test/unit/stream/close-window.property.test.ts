import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Channel } from '../../../src/model/device-model.ts'
import { FLAG, type StoredReading } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import { closeWindow, type WindowDraft } from '../../../src/stream/close-window.ts'
import { lookbackCount } from '../../../src/stream/plausibility.ts'
import { decodeSamples } from '../../../src/stream/sample-grid.ts'
import { modelOf, PO2, SPO2, START, storedReading } from '../../support/stored-reading.ts'

const MODEL = modelOf({ ...PO2, minimumQuality: 50, maxSlewPerSecond: 100 }, SPO2)
const SIZE_MS = 60_000

/** Two minutes around the window, at any phase, with gaps, bursts and jitter: values in whole tenths, so that their text is known without rounding. */
const READINGS = fc.record({
  phaseMs: fc.integer({ min: 0, max: 999 }),
  dropPercent: fc.constantFrom(0, 5, 60),
  burstPercent: fc.constantFrom(0, 0, 2),
  jitterMs: fc.constantFrom(0, 20, 400),
  seconds: fc.array(fc.record({
    chance: fc.integer({ min: 0, max: 99 }),
    shake: fc.integer({ min: -1, max: 1 }),
    po2: fc.option(fc.integer({ min: 0, max: 1600 }), { freq: 40 }),
    spo2: fc.option(fc.integer({ min: 500, max: 1000 }), { freq: 8 }),
    quality: fc.option(fc.integer({ min: 44, max: 100 })),
    battery: fc.option(fc.integer({ min: 3000, max: 4200 })),
    firmware: fc.constantFrom(1, 1, 1, 2),
    partition: fc.constantFrom(0, 0, 1)
  }), { minLength: 130, maxLength: 130 })
}).map(({ phaseMs, dropPercent, burstPercent, jitterMs, seconds }) => seconds.flatMap(({ chance, shake, po2, spo2, quality, battery, firmware, partition }, second) => {
  const sequences = chance < dropPercent ? [] : chance >= 100 - burstPercent ? [0, 1] : [0]
  return sequences.map((sequence) => storedReading(
    START + (second - 30) * 1000 + phaseMs + shake * jitterMs,
    [po2 === null ? undefined : po2 / 10, spo2 === null ? undefined : spo2 / 10],
    { sequence, firmware, partition, offset: second * 2 + sequence, ...(quality !== null && { quality }), ...(battery !== null && { battery }) }
  ))
}))

const byTime = (a: StoredReading, b: StoredReading) => a.takenAt - b.takenAt || a.sequence - b.sequence

/** Two readings may have met at one time by jitter: the first to arrive stays. */
function distinct (arrivals: readonly StoredReading[]): StoredReading[] {
  return [...new Map(arrivals.toReversed().map((reading) => [`${reading.takenAt}/${reading.sequence}`, reading])).values()]
}

function closeOf (readings: readonly StoredReading[], validFrom: number, validUntil: number): WindowDraft[] {
  return closeWindow({
    model: MODEL, context: { validFrom: epochMs(validFrom), validUntil: epochMs(validUntil), calibrations: [] }, sizeMs: SIZE_MS, windowStart: epochMs(START),
    readings: readings.toSorted(byTime), channels: [0, 1], deficits: { 'tissue-po2': { threshold: 40 } }, withPanel: true
  })
}

/** Samples of the form, ascending. */
function shown ({ form }: WindowDraft): { takenAt: number, value: number, toleranceMs: number }[] {
  if (form.form === 'singles') return form.samples.map(({ takenAt, value }) => ({ takenAt, value, toleranceMs: 0 }))
  if (form.form !== 'sampled') return []
  return decodeSamples(form).flatMap(({ takenAt, value }) => (value === undefined ? [] : [{ takenAt, value, toleranceMs: form.periodMs / 2 + 1 }]))
}

interface Facts { samples: StoredReading[], usable: number[], times: number[], flags: number }

/** The channel's samples of the window and those that count, straight from the definitions. */
function factsOf (readings: readonly StoredReading[], position: number, channel: Channel, from: number, until: number): Facts {
  const withValue = readings.filter((reading) => reading.values[position] !== undefined).sort(byTime)
  const samples = withValue.filter(({ takenAt }) => takenAt >= from && takenAt < until)
  let union = 0
  const counted = samples.filter((reading) => {
    const before = withValue[withValue.indexOf(reading) - 1]
    const value = reading.values[position]!
    const step = before === undefined ? 0 : Math.abs(value - before.values[position]!) / Math.max(1, (reading.takenAt - before.takenAt) / 1000)
    const isLow = channel.minimumQuality !== undefined && reading.quality !== undefined && reading.quality < channel.minimumQuality
    const isSteep = channel.maxSlewPerSecond !== undefined && step > channel.maxSlewPerSecond
    if (isLow) union |= FLAG['low-quality']
    if (isSteep) union |= FLAG.slew
    if (position === 0 && value > 100) union |= FLAG['range-soft']
    if (position === 1 && value < 70) union |= FLAG['below-verified-accuracy']
    return !isLow && !isSteep
  })
  return { samples, usable: counted.map(({ values }) => values[position]!), times: counted.map(({ takenAt }) => takenAt), flags: union }
}

function expectSources (draft: WindowDraft, samples: readonly StoredReading[]): void {
  const wanted = new Map<string, { partition: number, offsets: number[] }>()
  for (const { firmware, partition, offset } of samples) {
    const key = `${firmware}/${partition}`
    wanted.set(key, { partition, offsets: [...wanted.get(key)?.offsets ?? [], offset] })
  }
  const found = draft.provenance.flatMap(({ firmware, sources }) => sources.map((source) => [`${firmware}/${source.partition}`, source.firstOffset, source.lastOffset]))
  expect(found.sort()).toEqual([...wanted].map(([key, { offsets }]) => [key, Math.min(...offsets), Math.max(...offsets)]).sort())
  expect(draft.provenance.map(({ firmware }) => firmware)).toEqual([...new Set(samples.map(({ firmware }) => firmware))])
}

function expectStatistics (draft: WindowDraft, { usable, times }: Facts, expected: number): void {
  const { statistics } = draft
  expect(statistics).toMatchObject({ sampleCount: usable.length, expectedCount: expected, coverage: Math.min(1, usable.length / expected) })
  expect(statistics!.minimum).toBe(usable.length === 0 ? undefined : Math.min(...usable))
  expect(statistics!.maximum).toBe(usable.length === 0 ? undefined : Math.max(...usable))
  const isCovered = usable.length / expected >= 0.8
  expect(statistics!.mean !== undefined).toBe(isCovered && usable.length > 0)
  if (!isCovered || usable.length === 0) return
  const mean = usable.reduce((sum, value) => sum + value, 0) / usable.length
  expect(statistics!.mean).toBeCloseTo(mean, 9)
  expect(statistics!.ratePerMinute !== undefined).toBe(usable.length >= 5 && new Set(times).size > 1)
  if (statistics!.ratePerMinute === undefined) return
  const minutes = times.map((time) => (time - START) / 60_000)
  const middle = minutes.reduce((sum, minute) => sum + minute, 0) / minutes.length
  const slope = minutes.reduce((sum, minute, index) => sum + (minute - middle) * (usable[index]! - mean), 0) / minutes.reduce((sum, minute) => sum + (minute - middle) ** 2, 0)
  expect(Math.abs(statistics!.ratePerMinute - slope)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(slope)))
}

const CLIP = fc.constantFrom([START - 3_600_000, START + 3_600_000], [START + 12_345, START + 3_600_000], [START - 1, START + 30_001], [START + 10_000, START + 15_000])

test('under any arrival order every window is what the definitions say, computed the long way', () => {
  fc.assert(fc.property(READINGS, CLIP, (arrivals, [validFrom, validUntil]) => {
    const readings = distinct(arrivals).filter(({ takenAt }) => takenAt >= validFrom! && takenAt < validUntil!)
    const drafts = closeOf(readings, validFrom!, validUntil!)
    const from = Math.max(START, validFrom!)
    const until = Math.min(START + SIZE_MS, validUntil!)
    for (const [position, channel] of MODEL.channels.entries()) {
      const facts = factsOf(readings, position, channel, from, until)
      const draft = drafts.find(({ metric }) => metric === (position === 0 ? 'tissue-po2' : 'spo2-samples'))
      expect(draft !== undefined).toBe(facts.samples.length > 0)
      if (draft === undefined) continue
      const values = shown(draft)
      expect(values.map(({ value }) => value)).toEqual(facts.samples.map((reading) => reading.values[position]))
      expect(values.filter(({ takenAt, toleranceMs }, index) => Math.abs(takenAt - facts.samples[index]!.takenAt) > toleranceMs)).toEqual([])
      expect(draft.flags).toBe(facts.flags)
      expectStatistics(draft, facts, Math.max(1, Math.round((until - from) / 1000)))
      expectSources(draft, facts.samples)
    }
    const inside = readings.filter(({ takenAt }) => takenAt >= from && takenAt < until).sort(byTime)
    const last = (metric: string) => drafts.find((draft) => draft.metric === metric)?.form
    const battery = inside.findLast((reading) => reading.battery !== undefined)
    expect(last('battery-voltage')).toEqual(battery && { form: 'last', takenAt: battery.takenAt, values: [{ metric: 'battery-voltage', value: battery.battery }] })
    const spo2 = inside.findLast(({ values }) => values[1] !== undefined)
    expect(last('spo2')).toEqual(spo2 && { form: 'last', takenAt: spo2.takenAt, values: [{ metric: 'spo2', value: spo2.values[1] }] })
    expect(last('panel') !== undefined).toBe(inside.some(({ values }) => values[0] !== undefined))
  }), { numRuns: 500 })
})

test('readings further away than look-back and look-ahead change nothing', () => {
  fc.assert(fc.property(READINGS, (arrivals) => {
    const readings = distinct(arrivals).sort(byTime)
    const before = readings.filter(({ takenAt }) => takenAt < START)
    const needed = readings.filter(({ takenAt }) => takenAt >= START && takenAt < START + SIZE_MS + 3000)
    expect(closeOf([...before.slice(-lookbackCount(MODEL)), ...needed], 0, Infinity)).toEqual(closeOf(readings, 0, Infinity))
  }), { numRuns: 300 })
})
