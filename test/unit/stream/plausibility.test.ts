import { expect, test } from 'vitest'
import type { Calibration } from '../../../src/model/calibration.ts'
import type { Channel } from '../../../src/model/device-model.ts'
import { FLAG, type Flag, type StoredReading } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import { channelSamples } from '../../../src/stream/channel-samples.ts'
import { channelLookback, lookbackCount } from '../../../src/stream/plausibility.ts'
import { modelOf, PO2, type ReadingFacts, SPO2, START, storedReading } from '../../support/stored-reading.ts'

const seconds = (values: readonly (number | undefined)[], facts: ReadingFacts = {}) => values.map((value, index) => storedReading(START + index * 1000, [value], facts))

function samplesOf (readings: readonly StoredReading[], channel: Channel, calibrations: readonly Calibration[] = []) {
  return channelSamples(readings, 0, { channel, position: 0 }, calibrations)
}

/** Names of the flags of each sample. */
function flagsOf (readings: readonly StoredReading[], channel: Channel, calibrations: readonly Calibration[] = []): Flag[][] {
  return [...samplesOf(readings, channel, calibrations).flags].map((bits) => (Object.keys(FLAG) as Flag[]).filter((name) => (bits & FLAG[name]) !== 0))
}

const calibration = (facts: Partial<Calibration>): Calibration => ({
  number: 1, metric: 'tissue-po2', kind: 'offset', coefficients: { offset: 1 }, from: epochMs(0), state: 'calibrated', ...facts
})

test('a step above the largest believable change is slew, and so is the step back', () => {
  const channel = { ...PO2, maxSlewPerSecond: 5 }
  expect(flagsOf(seconds([40, 45, 50.1, 45]), channel)).toEqual([[], [], ['slew'], ['slew']])
})

test('slew is measured over the time that passed, absent samples between, and never over less than a sample period', () => {
  const channel = { ...PO2, maxSlewPerSecond: 5 }
  expect(flagsOf(seconds([40, undefined, 50]), channel)).toEqual([[], [], []])
  expect(flagsOf([storedReading(START, [40]), storedReading(START + 20, [45]), storedReading(START + 20, [49], { sequence: 1 })], channel)).toEqual([[], [], []])
})

test('of sixty identical samples the sixtieth is flat, a change begins anew', () => {
  const channel = { ...PO2, flatLineCount: 60 }
  const flags = flagsOf(seconds([...Array.from({ length: 61 }, () => 40), 41]), channel)
  expect(flags.map((names) => names.includes('flat-line')).lastIndexOf(false, 60)).toBe(58)
  expect(flags.slice(58)).toEqual([[], ['flat-line'], ['flat-line'], []])
})

test('a steady value is believable where the model sets no count', () => {
  expect(flagsOf(seconds(Array.from({ length: 100 }, () => 40)), PO2).flat()).toEqual([])
})

test('soft limits of a kind flag that kind only', () => {
  expect(flagsOf(seconds([100, 100.1]), PO2)).toEqual([[], ['range-soft']])
  expect(flagsOf(seconds([70, 69.9]), SPO2)).toEqual([[], ['below-verified-accuracy']])
  const sto2: Channel = { ...PO2, metric: 'tissue-sto2', kind: 'tissue-sto2', unit: '%' }
  expect(flagsOf(seconds([14.9, 15, 95, 95.1]), sto2)).toEqual([['display-clip'], [], [], ['display-clip']])
})

test('quality below the minimum of the channel is low quality, whatever another channel asks', () => {
  const channel = { ...PO2, minimumQuality: 50 }
  expect(flagsOf(seconds([40], { quality: 50 }), channel)).toEqual([[]])
  expect(flagsOf(seconds([40], { quality: 49 }), channel)).toEqual([['low-quality']])
  expect(flagsOf(seconds([40], { quality: 49, flags: FLAG['low-quality'] }), PO2)).toEqual([[]])
  expect(flagsOf(seconds([40], { flags: FLAG['low-quality'] }), PO2)).toEqual([['low-quality']])
})

test('of the door\'s findings those that concern the whole reading go to every channel', () => {
  const flags = FLAG['quality-unknown'] | FLAG['firmware-unknown'] | FLAG['below-verified-accuracy'] | FLAG['range-soft'] | FLAG['reference-stale']
  expect(flagsOf(seconds([40], { flags }), PO2)).toEqual([['quality-unknown', 'firmware-unknown']])
  const index: Channel = { ...PO2, kind: 'tissue-o2-relative-index', unit: '1' }
  expect(flagsOf(seconds([1], { flags }), index)).toEqual([['reference-stale', 'quality-unknown', 'firmware-unknown']])
})

test('zero is absent where the model says it means no reading, and zero elsewhere', () => {
  expect([...samplesOf(seconds([0, 40]), { ...PO2, zeroMeans: 'no-reading' }).values]).toEqual([Number.NaN, 40])
  expect([...samplesOf(seconds([0, 40]), PO2).values]).toEqual([0, 40])
})

test('without the calibration it needs a channel has no value, never the raw one', () => {
  const required: Channel = { ...PO2, calibration: 'required' }
  const from = epochMs(START + 1000)
  const { values, calibrations } = samplesOf(seconds([40, 40, 40]), required, [calibration({ number: 7, from, until: epochMs(START + 2000) })])
  expect([...values]).toEqual([Number.NaN, 41, Number.NaN])
  expect([...calibrations]).toEqual([0, 7, 0])
})

test('each sample takes the version in force at its own time', () => {
  const calibrations = [calibration({ number: 1 }), calibration({ number: 2, from: epochMs(START + 2000), coefficients: { offset: 2 } })]
  expect([...samplesOf(seconds([40, 40, 40]), PO2, calibrations).values]).toEqual([41, 41, 42])
  expect([...samplesOf(seconds([40, 40, 40]), { ...PO2, calibration: 'none' }, calibrations).values]).toEqual([40, 40, 40])
})

test('a calibration that is not in state calibrated, or has run out, is stale', () => {
  expect(flagsOf(seconds([40]), PO2, [calibration({ state: 'calibration-required' })])).toEqual([['calibration-stale']])
  const expired = calibration({ until: epochMs(START + 1000) })
  expect(flagsOf(seconds([40, 40]), PO2, [expired])).toEqual([[], ['calibration-stale']])
  expect(flagsOf(seconds([40]), PO2, [calibration({ from: epochMs(START + 1000) })])).toEqual([[]])
})

test('a value that calibration carries outside the technical range stays, marked', () => {
  const { values } = samplesOf(seconds([1]), PO2, [calibration({ coefficients: { offset: -3 } })])
  expect([...values]).toEqual([-2])
  expect(flagsOf(seconds([1]), PO2, [calibration({ coefficients: { offset: -3 } })])).toEqual([['range-soft']])
})

test('ten samples that move against their raw signal disagree in sign', () => {
  const rising = seconds(Array.from({ length: 12 }, (_, index) => 10 + index))
  const inverted = calibration({ kind: 'gain', coefficients: { gain: -1, offset: 100 } })
  const flags = flagsOf(rising, PO2, [inverted]).map((names) => names.includes('sign-disagreement'))
  expect(flags).toEqual([...Array.from({ length: 9 }, () => false), true, true, true])
  expect(flagsOf(rising, PO2, [calibration({})]).flat()).toEqual([])
})

test('Stern-Volmer falls with its raw signal and does not disagree by doing so', () => {
  const rising = seconds(Array.from({ length: 12 }, (_, index) => 30 + index))
  expect(flagsOf(rising, PO2, [calibration({ kind: 'stern-volmer', coefficients: { tau0: 58, Ksv: 0.02 } })]).flat()).toEqual([])
  expect(flagsOf(rising, PO2, [calibration({ kind: 'stern-volmer', coefficients: { tau0: 20, Ksv: -0.02 } })]).flat()).toContain('sign-disagreement')
})

test('the look-back reaches over the longest run that a flag needs', () => {
  expect(channelLookback({ ...PO2, calibration: 'none' })).toBe(8)
  expect(lookbackCount(modelOf(PO2, SPO2))).toBe(18)
  expect(lookbackCount(modelOf({ ...PO2, flatLineCount: 60 }, SPO2))).toBe(68)
})
