import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readCsv } from '../../../../src/ingest/recordings/csv.ts'
import { readRecording } from '../../../../src/ingest/recordings/read-recording.ts'
import { cellsOf } from '../../../../src/ingest/recordings/recording.ts'
import { restoreTimes } from '../../../../src/ingest/recordings/train-red.ts'
import { ServiceError } from '../../../../src/model/errors.ts'
import { hasRecordings, recordingText } from '../../../support/shared-recordings.ts'

const moxy = readFileSync('src/cli/demonstration/moxy_intervals.csv', 'utf8')

test('a Moxy export gives one sensor with its firmware, a sample for each row', () => {
  const { format, sensors, startsAt } = readRecording(moxy)
  expect([format, sensors.length, startsAt]).toEqual(['moxy', 1, undefined])
  const [sensor] = sensors
  expect(sensor!.firmware).toBe('2000195 v1.3')
  expect(sensor!.samples.length).toBe(931)
  expect(sensor!.samples[0]).toEqual({
    offsetMs: 0,
    sequence: 0,
    printedTime: '06-Feb 13:17:13',
    values: [{ metric: 'tissue-sto2', value: 56 }, { metric: 'tissue-sto2-averaged', value: 56 }, { metric: 'total-haemoglobin', value: 13.01 }]
  })
  expect(sensor!.samples.at(-1)!.offsetMs).toBe(1_860_000)
})

test('a Moxy export that runs over midnight goes on in time', () => {
  const { sensors } = readRecording('\nmm-dd,hh:mm:ss,SmO2 Live,SmO2 Averaged,THb,Lap,Session Ct\n06-Feb,23:59:59,50,50,12,1,1\n07-Feb,00:00:01,51,50,12,1,1\n')
  expect(sensors[0]!.samples.map(sample => sample.offsetMs)).toEqual([0, 2_000])
})

test('a cell that is no number is refused with its line and column', () => {
  const broken = moxy.replace('06-Feb,13:17:15,55', '06-Feb,13:17:15,x')
  expect(() => readRecording(broken)).toThrow(/line 7, column SmO2 Live/)
})

test('an unknown file is refused with what to do', () => {
  expect(() => readRecording('a,b\n1,2\n')).toThrow(ServiceError)
  expect(() => readRecording('a,b\n1,2\n')).toThrow(/--columns/)
})

test('a quoted cell may hold the separator', () => {
  expect(cellsOf('1,"13,80","say ""a""",')).toEqual(['1', '13,80', 'say "a"', ''])
})

test('restored times rise, and no sample arrives before it was taken', () => {
  const arrivals = [0, 20, 20, 310, 390, 540, 600, 780, 810, 910, 15_000, 15_100, 15_250]
  const restored = restoreTimes(arrivals)
  expect(restored.every((time, index) => time <= arrivals[index]!)).toBe(true)
  expect(restored.every((time, index) => index === 0 || time > restored[index - 1]!)).toBe(true)
  expect(restored[10]! - restored[9]!).toBeGreaterThan(10_000)
})

test('plain CSV is read by its column map, a time without zone is refused', () => {
  const map = { model: 'Maker/Model', time: { column: 'when', form: 'iso' as const }, metrics: { 'tissue-po2': 'pO2' }, separator: ';', decimalComma: true }
  const recording = readCsv('when;pO2\n2026-01-01T00:00:00Z;41,5\n2026-01-01T00:00:01Z;\n2026-01-01T00:00:01Z;41,6\n', map)
  expect(recording.startsAt).toBe(Date.UTC(2026, 0, 1))
  expect(recording.sensors[0]!.samples.map(({ offsetMs, values }) => [offsetMs, values[0]!.value])).toEqual([[0, 41.5], [1_000, 41.6]])
  expect(() => readCsv('when;pO2\n2026-01-01T00:00:00;41\n', map)).toThrow(/no zone/)
})

describe.skipIf(!hasRecordings)('recordings that stand beside the project (../shared/recordings)', () => {
  test('Train.Red: two sensors, 11,995 samples each, at restored times that are all different', () => {
    const { sensors } = readRecording(recordingText('train.red_intervals.csv'))
    expect(sensors.map(({ name, position }) => [name, position])).toEqual([['Train.Red FYER 0673', 'legRightUpperFront'], ['Train.Red FYER 0702', 'legLeftUpperFront']])
    for (const { samples } of sensors) {
      expect(samples.length).toBe(11_995)
      expect(new Set(samples.map(sample => sample.printedTime)).size).toBe(9_839)
      expect(new Set(samples.map(sample => `${sample.offsetMs}/${sample.sequence}`)).size).toBe(11_995)
      expect(samples.filter(sample => sample.sequence > 0)).toEqual([])
    }
  })

  test('VO2 Master: three sensors; zeros are as printed, a row without cells of a sensor is no sample of it', () => {
    const { sensors } = readRecording(recordingText('vo2master.csv'))
    expect(sensors.map(sensor => sensor.samples.length)).toEqual([239, 240, 239])
    expect(sensors[0]!.samples[0]!.values).toEqual([{ metric: 'tissue-sto2', value: 0 }, { metric: 'total-haemoglobin', value: 0 }])
    expect(sensors[1]!.samples[0]!.values).toEqual([{ metric: 'tissue-sto2', value: 40.9 }, { metric: 'total-haemoglobin', value: 13.03 }])
  })
})
