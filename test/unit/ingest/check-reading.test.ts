import { expect, test } from 'vitest'
import { CHECK_LIMITS, type Checked, createReadingCheck, fractionDevices, fractionsByBody, timeFailure } from '../../../src/ingest/check-reading.ts'
import type { DecodedRecord, SentChannel } from '../../../src/ingest/decode/record.ts'
import type { Channel, DeviceModel } from '../../../src/model/device-model.ts'
import { FLAG, type Flag } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'

const NOW = epochMs(Date.UTC(2026, 2, 1, 12))
const TAKEN = epochMs(NOW - 1_000)

const base = { periodMs: 1_000, resolution: 0.1, zeroMeans: 'zero', calibration: 'none' } as const
const CHANNELS: readonly Channel[] = [
  { ...base, metric: 'tissue-po2', kind: 'tissue-po2', unit: 'mm[Hg]', technicalRange: { low: 0, high: 160 }, minimumQuality: 30 },
  { ...base, metric: 'spo2', kind: 'spo2', unit: '%', technicalRange: { low: 0, high: 100 } },
  { ...base, metric: 'tissue-sto2', kind: 'tissue-sto2', unit: '%', technicalRange: { low: 0, high: 100 }, zeroMeans: 'no-reading' },
  { ...base, metric: 'concentration', kind: 'tissue-o2-concentration', unit: 'umol/L', technicalRange: { low: 0, high: 200 } },
  { ...base, metric: 'index', kind: 'tissue-o2-relative-index', unit: '1', technicalRange: { low: 0, high: 1_000 } },
  { ...base, metric: 'thb', kind: 'total-haemoglobin', unit: 'g/dL', technicalRange: { low: -5, high: 25 }, zeroMeans: 'no-reading' },
  { ...base, metric: 'o2hb', kind: 'o2hb-relative', unit: '1', technicalRange: { low: -50, high: 50 } },
  { ...base, metric: 'hhb', kind: 'hhb-relative', unit: '1', technicalRange: { low: -50, high: 50 } }
]
const MODEL: DeviceModel = {
  manufacturer: 'Example Sensors Inc.', modelNumber: 'ALL', display: 'every channel', channels: CHANNELS, v1: { spo2: 'spo2', local_tissue_o2: 'tissue-po2' },
  batteryRange: { low: 0, high: 6_000 }, firmware: ['2.4.1', '2.4.2'], madeSince: '2020-06-01'
}
const checkAll = createReadingCheck(MODEL, CHECK_LIMITS)

function record (change: Partial<DecodedRecord> = {}): DecodedRecord {
  return {
    index: 0, source: Buffer.alloc(0), start: 0, end: 0, content: 'json', schemaId: 2, deviceId: 'd', patientId: undefined, takenAt: TAKEN, sequence: 3,
    channels: undefined, spo2: undefined, tissueO2: undefined, battery: undefined, quality: undefined, firmware: undefined, ...change
  }
}

function sent (metric: string, value: number): SentChannel {
  const { kind, unit } = CHANNELS.find(channel => channel.metric === metric)!
  return { metric, kind, unit, value }
}

const GOOD = sent('o2hb', 1)
/** One value beside a good one, so that the record itself goes on. */
const checkValue = (metric: string, value: number) => checkAll(record({ channels: [sent(metric, value), metric === 'o2hb' ? sent('hhb', 1) : GOOD] }), NOW, false)

function kept (checked: Checked): Extract<Checked, { ok: true }> {
  if (!checked.ok) throw new Error(checked.reason)
  return checked
}
const flagNames = (flags: number) => (Object.keys(FLAG) as Flag[]).filter(flag => (flags & FLAG[flag]) !== 0)

test.each([
  ['spo2', [-0.1, 100.1], [0, 0.5, 69.9, 70, 100]],
  ['tissue-po2', [-0.1, 160.1], [0, 100, 160]],
  ['concentration', [-0.1, 200.1], [0, 200]],
  ['o2hb', [-50.1, 50.1], [-50, 0, 50]],
  ['hhb', [-50.1, 50.1], [-50, 0, 50]],
  ['thb', [-0.1, 25.1], [0.1, 25]],
  ['index', [-0.1], [0, 5_000]],
  ['tissue-sto2', [-0.1, 100.1], [0.1, 100]]
] as const)('%s outside its hard range loses that field as range-hard; at the edge it is kept', (metric, outside, inside) => {
  const position = CHANNELS.findIndex(channel => channel.metric === metric)
  for (const value of outside) {
    const { reading, failures } = kept(checkValue(metric, value))
    expect([failures, reading.values[position]]).toEqual([[{ field: 'channels[0]', reason: 'range-hard' }], undefined])
    expect(reading.values.filter(other => other !== undefined)).toEqual([1])
  }
  for (const value of inside) expect(kept(checkValue(metric, value)).reading.values[position]).toBe(value)
})

test.each([
  ['spo2', 69.9, 70, 'below-verified-accuracy'],
  ['tissue-po2', 100.1, 100, 'range-soft'],
  ['tissue-sto2', 14.9, 15, 'display-clip'],
  ['tissue-sto2', 95.1, 95, 'display-clip']
] as const)('%s of %d is kept with a flag, of %d without', (metric, soft, edge, flag) => {
  expect(flagNames(kept(checkValue(metric, soft)).reading.flags)).toEqual([flag])
  expect(flagNames(kept(checkValue(metric, edge)).reading.flags)).toEqual([])
})

test('NaN and infinities lose the field as not-a-number', () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    expect(kept(checkValue('spo2', value)).failures).toEqual([{ field: 'channels[0]', reason: 'not-a-number' }])
  }
  const { reading, failures } = kept(checkAll(record({ schemaId: 1, spo2: Number.NaN, tissueO2: 40, battery: Number.NaN, quality: Number.NaN }), NOW, false))
  expect(failures.map(({ field, reason }) => [field, reason])).toEqual([['spo2', 'not-a-number'], ['battery_mv', 'not-a-number'], ['signal_quality', 'not-a-number']])
  expect([reading.battery, reading.quality, reading.values[0]]).toEqual([undefined, undefined, 40])
})

test('a channel that the model lacks, another unit, another kind lose that field', () => {
  const wrong: [SentChannel, string][] = [
    [{ metric: 'glucose', kind: 'glucose', unit: 'mg/dL', value: 90 }, 'channel-unknown'],
    [{ ...sent('tissue-po2', 40), unit: 'kPa' }, 'unit-mismatch'],
    [{ ...sent('tissue-po2', 40), kind: 'spo2' }, 'unit-mismatch']
  ]
  for (const [channel, reason] of wrong) {
    expect(kept(checkAll(record({ channels: [GOOD, channel] }), NOW, false)).failures).toEqual([{ field: 'channels[1]', reason }])
  }
})

test('a v1 field for which the model states no channel has no known unit', () => {
  const check = createReadingCheck({ ...MODEL, v1: { spo2: 'spo2' } }, CHECK_LIMITS)
  expect(kept(check(record({ schemaId: 1, spo2: 97, tissueO2: 40 }), NOW, false)).failures).toEqual([{ field: 'local_tissue_o2', reason: 'unit-unknown' }])
})

test('v1 values stand in the channels that the model names', () => {
  expect(kept(checkAll(record({ schemaId: 1, spo2: 97, tissueO2: 40 }), NOW, false)).reading.values).toEqual([40, 97, ...Array(6).fill(undefined)])
})

test('a channel sent twice makes the whole record uncertain', () => {
  expect(checkAll(record({ channels: [sent('spo2', 97), sent('spo2', 98)] }), NOW, false)).toEqual({ ok: false, reason: 'duplicate-key', failures: [] })
})

test('a documented zero is absent, and a reading of nothing else is kept', () => {
  const { reading, failures } = kept(checkAll(record({ channels: [sent('tissue-sto2', 0), sent('thb', -0)] }), NOW, false))
  expect([reading.values, failures]).toEqual([Array(8).fill(undefined), []])
  expect(kept(checkAll(record({ channels: [sent('spo2', 0)] }), NOW, false)).reading.values[1]).toBe(0)
})

test('when no measured field is left the record goes, under the reason its fields share', () => {
  expect(checkAll(record({ channels: [sent('spo2', 101), sent('tissue-po2', -1)], battery: 3_700 }), NOW, false)).toMatchObject({ ok: false, reason: 'range-hard' })
  expect(checkAll(record({ channels: [sent('spo2', 101), sent('tissue-po2', Number.NaN)] }), NOW, false)).toMatchObject({ ok: false, reason: 'no-channel-left' })
})

test('battery outside the declared range loses that field', () => {
  for (const battery of [-1, 6_001]) {
    const { reading, failures } = kept(checkAll(record({ channels: [GOOD], battery }), NOW, false))
    expect([reading.battery, failures]).toEqual([undefined, [{ field: 'battery_mv', reason: 'range-hard' }]])
  }
  for (const battery of [0, 6_000]) expect(kept(checkAll(record({ channels: [GOOD], battery }), NOW, false)).reading.battery).toBe(battery)
})

test('quality outside 0 to 100 loses the quality, below the minimum it is flagged', () => {
  for (const quality of [-1, 101]) {
    const { reading, failures } = kept(checkAll(record({ channels: [GOOD], quality }), NOW, false))
    expect([reading.quality, failures, flagNames(reading.flags)]).toEqual([undefined, [{ field: 'signal_quality', reason: 'range-hard' }], ['quality-unknown']])
  }
  const flagsOf = (quality: number) => flagNames(kept(checkAll(record({ channels: [GOOD], quality }), NOW, false)).reading.flags)
  expect([flagsOf(0), flagsOf(29), flagsOf(30), flagsOf(100)]).toEqual([['low-quality'], ['low-quality'], [], []])
})

test('a firmware that is not registered is flagged, one that is not said is not', () => {
  const flagsOf = (firmware: string | undefined) => flagNames(kept(checkAll(record({ channels: [GOOD], firmware }), NOW, false)).reading.flags)
  expect([flagsOf('2.4.1'), flagsOf('9.9'), flagsOf(''), flagsOf(undefined)]).toEqual([[], ['firmware-unknown'], [], []])
  const anyFirmware = createReadingCheck({ ...MODEL, firmware: undefined as never }, CHECK_LIMITS)
  expect(kept(anyFirmware(record({ channels: [GOOD], firmware: '9.9' }), NOW, false)).reading.flags).toBe(0)
})

test('a time more than five minutes ahead, before 2000 or before the device was made loses the record', () => {
  const at = (takenAt: number) => checkAll(record({ channels: [GOOD], takenAt: epochMs(takenAt) }), NOW, false)
  expect(at(NOW + 300_001)).toMatchObject({ ok: false, reason: 'time-future' })
  expect(at(NOW + 300_000).ok).toBe(true)
  expect(at(Date.UTC(2020, 4, 31))).toMatchObject({ ok: false, reason: 'time-implausible' })
  expect(at(Date.UTC(2020, 5, 1)).ok).toBe(true)
  expect(timeFailure(epochMs(Date.UTC(2000, 0, 1) - 1), NOW, CHECK_LIMITS)).toBe('time-implausible')
  expect(timeFailure(epochMs(Date.UTC(2000, 0, 1)), NOW, CHECK_LIMITS)).toBeUndefined()
})

test('SpO2 values that all lie in (0, 1] are fractions, per device; zeros tell nothing', () => {
  const of = (deviceId: string, value: number) => record({ deviceId, channels: [sent('spo2', value)] })
  const v1 = (deviceId: string, spo2: number) => record({ deviceId, schemaId: 1, spo2 })
  const devices = fractionDevices([of('a', 0.97), of('a', 1), of('a', 0), of('b', 0.97), of('b', 1.01), v1('c', 0.98), of('d', 97), of('e', 0), of('f', 0.5), of('f', Number.NaN)])
  expect([...devices]).toEqual(['a', 'c', 'f'])
})

test('of several bodies each is judged by itself', () => {
  const of = (deviceId: string, spo2: number) => record({ deviceId, schemaId: 1, spo2 })
  expect(fractionsByBody([of('a', 0.97), of('a', 97), of('b', 0.97), of('a', 0.96)], ['1', '2', '2', '1'])).toEqual([true, false, true, true])
  expect(fractionsByBody([of('a', 0.97), of('a', 97)], ['1', '1'])).toEqual([false, false])
  expect(fractionsByBody([of('a', 0.97), of('a', 0.96)], [undefined, '1'])).toEqual([false, true])
})

test('a fraction loses the SpO2 field only, other channels go on', () => {
  const { reading, failures } = kept(checkAll(record({ channels: [sent('spo2', 0.97), sent('tissue-po2', 0.5)] }), NOW, true))
  expect([reading.values[0], reading.values[1], failures]).toEqual([0.5, undefined, [{ field: 'channels[0]', reason: 'fraction-as-percent' }]])
})

test('a reading holds its identity, battery, quality and no firmware number yet', () => {
  expect(kept(checkAll(record({ channels: [sent('spo2', 97)], battery: 3_700, quality: 92, firmware: '2.4.2' }), NOW, false)).reading).toEqual({
    takenAt: TAKEN, sequence: 3, values: [undefined, 97, ...Array(6).fill(undefined)], battery: 3_700, quality: 92, firmware: 0, flags: 0
  })
})

test('a record may name the two values of the model and channels beside them, but no channel twice', () => {
  const both = checkAll(record({ spo2: 97, channels: [sent('o2hb', 2)] }), NOW, false)
  expect(both.ok && both.reading.values).toEqual([undefined, 97, undefined, undefined, undefined, undefined, 2, undefined])
  for (const change of [{ spo2: 97, channels: [sent('spo2', 97)] }, { tissueO2: 40, channels: [sent('tissue-po2', 40)] }]) {
    expect(checkAll(record(change), NOW, false)).toEqual({ ok: false, reason: 'duplicate-key', failures: [] })
  }
  expect(fractionDevices([record({ spo2: 0.97, channels: [GOOD] })])).toEqual(new Set(['d']))
  expect(fractionDevices([record({ spo2: 97, channels: [sent('spo2', 0.97)] })])).toEqual(new Set())
})
