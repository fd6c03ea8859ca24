import { expect, test } from 'vitest'
import type { DeviceModel } from '../../../src/model/device-model.ts'
import type { Sid, StoredReading } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import { OpenReadings } from '../../../src/stream/open-readings.ts'
import { completeFrom, forgetClosed, insertReading, type OpenSeries, watermarkOf } from '../../../src/stream/series-state.ts'

const LEAST = epochMs(Number.MIN_SAFE_INTEGER)

function series (closedThrough = LEAST): OpenSeries {
  return {
    sid: 's1' as Sid,
    series: 1,
    partition: 0,
    context: { sid: 's1' as Sid, model: 'm', validFrom: epochMs(0), calibrations: [] },
    model: { channels: [] } as unknown as DeviceModel,
    groups: [{ sizeMs: 60_000, channels: [0], withPanel: true, closedThrough }],
    readings: new OpenReadings(1),
    newest: -Infinity,
    lastArrival: epochMs(0)
  }
}

function reading (takenAt: number, sequence = 0): StoredReading {
  return { takenAt: epochMs(takenAt), sequence, values: [1], battery: undefined, quality: undefined, firmware: 0, flags: 0, schemaId: 2, partition: 0, offset: 0 }
}

test('the newest event is known, whatever the order of arrival', () => {
  const open = series()
  for (const at of [20, 50, 10]) insertReading(open, reading(at))
  expect(open.newest).toBe(50)
  expect(open.readings.length).toBe(3)
})

test('memory is complete from the least closed end of its window sizes', () => {
  const open = series(epochMs(120_000))
  open.groups.push({ sizeMs: 30_000, channels: [1], withPanel: false, closedThrough: epochMs(150_000) })
  expect(completeFrom(open)).toBe(120_000)
})

test('what no open window needs is forgotten, but for the look-back', () => {
  const open = series(epochMs(60_000))
  for (let at = 0; at < 120_000; at += 10_000) insertReading(open, reading(at))
  forgetClosed(open, 2)
  expect(open.readings.slice(0, Infinity).map(one => one.takenAt)).toEqual([40_000, 50_000, 60_000, 70_000, 80_000, 90_000, 100_000, 110_000])
})

test('the watermark follows the newest event, and the clock once the series is silent', () => {
  const open = series()
  insertReading(open, reading(100_000))
  open.lastArrival = epochMs(1_000_000)
  expect(watermarkOf(open, epochMs(1_059_999), 30_000, 60_000)).toBe(70_000)
  expect(watermarkOf(open, epochMs(1_060_000), 30_000, 60_000)).toBe(1_030_000)
})

test('a silent series whose events lie ahead of the clock keeps its watermark', () => {
  const open = series()
  insertReading(open, reading(2_000_000))
  expect(watermarkOf(open, epochMs(1_000_000), 30_000, 60_000)).toBe(1_970_000)
})
