import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Sid } from '../../../../src/model/reading.ts'
import { READINGS } from '../../../../src/model/streams.ts'
import { epochMs } from '../../../../src/model/units.ts'
import type { Deficit, WindowForm, WindowStatistics } from '../../../../src/model/window.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { at, commitOf, MINUTE, revisionOf, sidOf, T0 } from '../../../support/series.ts'

const sid = sidOf(1) as Sid
let database: TestDatabase
let store: SeriesStore
let series: number

beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
  series = (await store.series([{ sid, model: 'Example/1', partition: 0 }])).get(sid)!
})
afterAll(async () => { await database.drop() })

// -0 is 0 once it is written as a decimal.
const value = fc.double({ noNaN: true, noDefaultInfinity: true }).map(number => number + 0)
const time = fc.integer({ min: -60_000, max: 120_000 }).map(at)
const count = fc.nat(2 ** 31 - 1)
const offset = fc.maxSafeNat()
const form: fc.Arbitrary<WindowForm> = fc.oneof(
  fc.record({ form: fc.constant('sampled' as const), gridStart: time, periodMs: fc.integer({ min: 1, max: 10_000_000 }).map(n => n / 100), tokenCount: count, data: fc.stringMatching(/^(E|-?\d{1,6}\.\d)( (E|-?\d{1,6}\.\d)){0,99}$/) }),
  fc.record({ form: fc.constant('singles' as const), samples: fc.array(fc.record({ takenAt: time, sequence: offset, value }), { maxLength: 5 }) }),
  fc.record({ form: fc.constant('last' as const), takenAt: time, values: fc.array(fc.record({ metric: fc.string(), value }), { maxLength: 3 }) }),
  fc.constant({ form: 'empty' as const })
)
const statistics: fc.Arbitrary<WindowStatistics> = fc.record({ sampleCount: count, expectedCount: count, coverage: value, minimum: value, maximum: value, mean: value, ratePerMinute: value, residualSd: value },
  { requiredKeys: ['sampleCount', 'expectedCount', 'coverage'] })
const deficit: fc.Arbitrary<Deficit> = fc.record({ threshold: value, maxGapMs: value, coverage: value, meanDepth: value, dose: value, index: value, timeFraction: value, nadir: value },
  { requiredKeys: ['threshold', 'maxGapMs', 'coverage'] })
const provenance = fc.record({
  pipelineVersion: fc.constantFrom('0.1.0', '0.2.0'), dagDigest: fc.constantFrom('sha256:00', 'sha256:01'), mappingVersion: fc.constantFrom('a@1', 'b@2'), calibration: count, firmware: count, schemaId: count,
  sources: fc.array(fc.record({ topic: fc.constant(READINGS), partition: fc.nat(32_767), firstOffset: offset, lastOffset: offset }), { maxLength: 3 })
})
const content = fc.record({ form, statistics, deficit, quality: value, flags: count, provenance: fc.array(provenance, { minLength: 1, maxLength: 3 }), from: time, until: time, issued: time, watermark: time },
  { requiredKeys: ['form', 'flags', 'provenance', 'from', 'until', 'issued', 'watermark'] })

test('what is written to the ledger is read from it, to the last bit', async () => {
  let window = 0
  await fc.assert(fc.asyncProperty(fc.array(content, { minLength: 1, maxLength: 20 }), async contents => {
    const rows = contents.map(parts => revisionOf(series, sid, { ...parts, metric: 'x', windowStart: epochMs(T0 + MINUTE * window++) }))
    await store.commit(commitOf({ revisions: rows }))
    const found = await createSeriesStore(database.pool).ledger.latest(rows)
    expect(found.sort((a, b) => a.windowStart - b.windowStart).map(({ writer: _writer, number: _number, ...row }) => row)).toEqual(rows)
  }), { numRuns: 60 })
})
