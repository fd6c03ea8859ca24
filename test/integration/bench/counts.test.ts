/** What the bench looks at in the stores: one row that is missing or different is found; a PostgreSQL that may lose rows is not measured. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Counts, openCounts, type WantedReading } from '../../bench/counts.ts'
import { assertDurable } from '../../bench/guard.ts'
import { BATTERY_MV, QUALITY } from '../../bench/load/plan.ts'
import { READINGS } from '../../../src/model/streams.ts'
import { epochMs, millivolt, percent } from '../../../src/model/units.ts'
import { openEmbeddedBus } from '../../../src/platform/bus/embedded/embedded-bus.ts'
import { createSeriesStore } from '../../../src/stores/series/series-store.ts'
import { type TestDatabase, testDatabase } from '../../support/postgres.ts'
import { at, commitOf, rowOf, sidOf, T0 } from '../../support/series.ts'

let series: TestDatabase
let bus: TestDatabase
let counts: Counts
let number: number

beforeAll(async () => {
  [series, bus] = await Promise.all([testDatabase('series'), testDatabase('bus')])
  counts = await openCounts({ databaseUrl: async database => database === 'oxbow_series' ? series.ownerUrl : bus.ownerUrl })
  const store = createSeriesStore(series.pool)
  number = (await store.series([{ sid: sidOf(1), model: 'Example Sensors Inc./TO2-READER-2', partition: 0 }])).get(sidOf(1))!
  const fresh = [0, 1_000, 2_000].map(ms => rowOf(number, at(ms), { values: [ms / 100 + 30.1, 97.5], battery: millivolt(BATTERY_MV), quality: percent(QUALITY) }))
  await store.commit(commitOf({
    fresh, resume: [{ topic: READINGS, partition: 0, firstOffset: 0, nextOffset: 1 }], counters: [{ series: number, hour: epochMs(0), accepted: 4, stored: 3, duplicate: 1, conflict: 0 }]
  }))
})

afterAll(async () => {
  await counts.close()
  await Promise.all([series.drop(), bus.drop()])
})

const wanted = (ms: number, tissueO2: number): WantedReading => ({ series: number, takenAt: at(ms), tissueO2, spo2: 97.5 })

test('rows and counters are what the commit wrote', async () => {
  expect(await counts.totals()).toEqual({ accepted: 4, stored: 3, suppressed: 1, quarantined: 0 })
  expect(await counts.rowsSince(T0)).toBe(3)
  expect(await counts.rowsSince(at(1_000))).toBe(2)
})

test('a reading that is missing, or stored with another value, is found', async () => {
  await expect(counts.assertReadings([wanted(0, 30.1), wanted(2_000, 50.1)])).resolves.toBeUndefined()
  await expect(counts.assertReadings([wanted(0, 30.1), wanted(3_000, 60.1)])).rejects.toThrow('stored nothing')
  await expect(counts.assertReadings([wanted(0, 30.1), wanted(1_000, 40.2)])).rejects.toThrow('sent 40.2')
})

test('a backlog is empty when the stream has reached the end of every partition', async () => {
  const embedded = await openEmbeddedBus({ url: bus.url, topics: [{ topic: READINGS, partitions: 1 }], now: () => T0 })
  await embedded.publish([{ topic: READINGS, key: 'key', value: Buffer.from('a') }])
  expect(await counts.isStored()).toBe(true)
  await embedded.publish([{ topic: READINGS, key: 'key', value: Buffer.from('b') }])
  expect(await counts.isStored()).toBe(false)
  await embedded.close()
})

test('a PostgreSQL without fsync, and an unlogged table, are refused by name', async () => {
  await expect(assertDurable(counts.series)).rejects.toThrow(/fsync is off, .*synchronous_commit is off|synchronous_commit is off.*fsync is off/)
  await counts.series.query('create unlogged table series.quick (n int)')
  await expect(assertDurable(counts.series)).rejects.toThrow('table quick of series is unlogged')
  await counts.series.query('drop table series.quick')
})
