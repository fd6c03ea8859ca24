import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Calibration } from '../../../../../src/model/calibration.ts'
import { FLAG, type StoredReading } from '../../../../../src/model/reading.ts'
import { epochMs, millivolt, percent } from '../../../../../src/model/units.ts'
import { columnsOf } from '../../../../../src/stores/archive/parquet/columns.ts'
import { createDayEncoder, type DayFacts } from '../../../../../src/stores/archive/parquet/encode-day.ts'
import { askDuckDb, metadataOf, MODEL, readingAt, rowsByHyparquet } from '../../../../support/parquet.ts'
import { sidOf } from '../../../../support/series.ts'

const DAY = Date.UTC(2026, 1, 11) / 86_400_000
const START = DAY * 86_400_000
const calibration = (number: number, metric: string, from: number, until?: number): Calibration =>
  ({ number, metric, kind: 'offset', coefficients: { offset: 1 }, from: epochMs(from), ...(until === undefined ? {} : { until: epochMs(until) }), state: 'calibrated' })
const FACTS: DayFacts = {
  sid: sidOf(5), model: MODEL, calibrations: [calibration(7, 'tissue-po2', 0, START + 1_000), calibration(9, 'tissue-po2', START + 2_000)],
  day: DAY, version: 3, change: 41, pipelineVersion: '0.1.0'
}

function fileOf (...pages: StoredReading[][]): Uint8Array {
  const encoder = createDayEncoder(FACTS)
  for (const page of pages) encoder.add(page)
  expect(encoder.rows).toBe(pages.flat().length)
  return encoder.finish()
}

const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined })
const value = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, -0, 41.2, 5e-324, -1.7976931348623157e308))
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const reading = fc.record<StoredReading>({
  takenAt: fc.integer({ min: START, max: START + 86_399_999 }).map(epochMs),
  sequence: fc.maxSafeInteger(),
  values: fc.array(maybe(value), { maxLength: 3 }),
  battery: maybe(int32.map(millivolt)),
  quality: maybe(fc.integer({ min: -32_768, max: 32_767 }).map(percent)),
  firmware: int32,
  flags: int32,
  schemaId: int32,
  partition: fc.nat({ max: 32_767 }),
  offset: fc.maxSafeNat()
})
const pages = fc.array(fc.array(reading, { minLength: 1, maxLength: 40 }), { maxLength: 4 })

/** 0 and −0 are one number: among others they may come back as either. */
const oneZero = (cells: object) => Object.fromEntries(Object.entries(cells).map(([name, cell]) => [name, cell === 0 ? 0 : cell]))

test('what is read from a file is what was written, to the last bit, and absent is null', async () => {
  await fc.assert(fc.asyncProperty(pages, async drawn => {
    const rows = await rowsByHyparquet(fileOf(...drawn))
    const columns = columnsOf(MODEL, FACTS.calibrations)
    const expected = drawn.flat().map(each => Object.fromEntries(columns.map(({ element, of }): [string, unknown] => {
      const cell = of(each)
      if (element.name === 'taken_at') return [element.name, new Date(cell!)]
      return [element.name, cell === undefined ? null : element.type === 'INT64' ? BigInt(cell) : cell]
    })))
    expect(rows.map(oneZero)).toEqual(expected.map(oneZero))
  }), { numRuns: 60 })
})

test('DuckDB reads the same types, counts, sums and times', async () => {
  const rows = Array.from({ length: 500 }, (_, place) => readingAt(START + place * 10, {
    sequence: place - 3, values: place % 3 === 0 ? [undefined, 0] : [place / 8, undefined], quality: place % 5 === 0 ? undefined : percent(90), offset: 2 ** 40 + place
  }))
  const file = fileOf(rows.slice(0, 100), rows.slice(100, 101), rows.slice(101))
  expect(await askDuckDb(file, 'select column_name as name, column_type as type from (describe day)')).toEqual(Object.entries({
    taken_at: 'TIMESTAMP WITH TIME ZONE', sequence_number: 'BIGINT', 'tissue-po2': 'DOUBLE', 'tissue-po2_calibration': 'INTEGER', spo2: 'DOUBLE', 'tissue-sto2': 'DOUBLE',
    'tissue-sto2_calibration': 'INTEGER', quality_percent: 'INTEGER', battery_mv: 'INTEGER', flag_bits: 'INTEGER', firmware_number: 'INTEGER', schema_id: 'INTEGER',
    source_partition: 'INTEGER', source_offset: 'BIGINT'
  }).map(([name, type]) => ({ name, type })))
  const sums = 'sum("tissue-po2") as po2, count("tissue-po2") as po2s, sum(spo2) as spo2, count(spo2) as spo2s, count("tissue-sto2") as sto2s, count(quality_percent) as qualities'
  expect(await askDuckDb(file, `select count(*) as rows, ${sums}, min(sequence_number) as first, max(source_offset) as last from day`)).toEqual([{
    rows: 500n, po2: rows.reduce((sum, { values }) => sum + (values[0] ?? 0), 0), po2s: 333n, spo2: 0, spo2s: 167n, sto2s: 0n, qualities: 400n, first: -3n, last: BigInt(2 ** 40 + 499)
  }])
  const [times] = await askDuckDb(file, 'select min(taken_at) as first, max(taken_at) as last from day')
  expect(times).toEqual({ first: new Date(START), last: new Date(START + 4_990) })
})

test('beside a channel stands the number of the calibration in force, and null where none was', async () => {
  const rows = await rowsByHyparquet(fileOf([0, 999, 1_000, 1_999, 2_000].map(ms => readingAt(START + ms))))
  expect(rows.map(row => row['tissue-po2_calibration'])).toEqual([7, 7, null, null, 9])
  expect(new Set(rows.map(row => row['tissue-sto2_calibration']))).toEqual(new Set([null]))
})

test('a file says what it is made of, and nothing else', () => {
  const { key_value_metadata: pairs, created_by: writer, schema, num_rows: rows } = metadataOf(fileOf([readingAt(START)], [readingAt(START + 1)]))
  expect(rows).toBe(2n)
  expect(writer).toBe('oxbow version 0.1.0')
  expect(Object.fromEntries(pairs!.map(({ key, value: said }) => [key, said]))).toEqual({
    'oxbow.layout': '1', 'oxbow.sid': FACTS.sid, 'oxbow.model': 'Example/1', 'oxbow.day': '2026-02-11', 'oxbow.time_zone': 'UTC', 'oxbow.version': '3', 'oxbow.change': '41',
    'oxbow.rows': '2', 'oxbow.pipeline_version': '0.1.0', 'oxbow.source_topic': 'oxbow.readings.v1', 'oxbow.flags': JSON.stringify(FLAG),
    'oxbow.units': JSON.stringify({ 'tissue-po2': 'mm[Hg]', spo2: '%', 'tissue-sto2': '%', quality_percent: '%', battery_mv: 'mV' })
  })
  expect(schema[0]).toMatchObject({ name: 'reading', num_children: 14 })
})

test('statistics are those of the columns alone', async () => {
  const file = fileOf([readingAt(START, { values: [3, 98] }), readingAt(START + 5, { values: [-2] })])
  const [group] = metadataOf(file).row_groups
  const bounds = Object.fromEntries(group!.columns.map(({ meta_data: column }) => [column!.path_in_schema.join('.'), [column!.statistics?.min_value, column!.statistics?.max_value, column!.statistics?.null_count]]))
  expect(bounds).toMatchObject({ 'tissue-po2': [-2, 3, 0n], spo2: [98, 98, 1n], taken_at: [new Date(START), new Date(START + 5), 0n] })
  expect(Object.keys(bounds)).toEqual(columnsOf(MODEL, []).map(({ element }) => element.name))
})

test('a day without readings is a file without rows', async () => {
  expect(await askDuckDb(fileOf(), 'select count(*) as rows from day')).toEqual([{ rows: 0n }])
})
