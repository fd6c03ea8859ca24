/** The same commits, moves and drops into partitions and into a hypertable that is compressed now and then: every question has the same answer. */

import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HOUR_MS, epochMs } from '../../../../src/model/units.ts'
import { migrateStore } from '../../../../src/platform/postgres/migrate.ts'
import { STORES } from '../../../../src/platform/postgres/stores.ts'
import { foldCounters } from '../../../../src/stores/series/counters.ts'
import { heldByHour } from '../../../../src/stores/series/held.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { ServiceError } from '../../../../src/model/errors.ts'
import { chunksOf, compressAll, runJob } from '../../../support/hypertable.ts'
import { emptyDatabase, type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { at, commitOf, MINUTE, revisionOf, rowOf, sidOf, T0 } from '../../../support/series.ts'

const DAY = 86_400_000
const SERIES = [0, 1, 2]
const SPAN = { from: epochMs(0), until: epochMs(Infinity) }

interface Site { database: TestDatabase, store: SeriesStore }
let partitions: Site
let hypertable: Site
let nextSid = 1

beforeAll(async () => {
  const [plain, timescale] = [await emptyDatabase('series', false), await testDatabase('series')]
  await migrateStore(plain.ownerUrl, STORES.series)
  partitions = { database: plain, store: createSeriesStore(plain.pool) }
  hypertable = { database: timescale, store: createSeriesStore(timescale.pool) }
})
afterAll(async () => { await Promise.all([partitions, hypertable].map(({ database }) => database.drop())) })

/** Few times around two midnights, so that much meets what is there. */
const time = fc.tuple(fc.integer({ min: -1, max: 1 }), fc.integer({ min: -4, max: 8 })).map(([day, second]) => day * DAY + 15.5 * HOUR_MS + second * 1000)
const place = { series: fc.constantFrom(...SERIES), time, sequence: fc.integer({ min: 0, max: 1 }) }
const value = fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map(number => number + 0), { nil: undefined })
const reading = fc.record({ ...place, values: fc.array(value, { maxLength: 8 }).map(values => values.slice(0, values.findLastIndex(found => found !== undefined) + 1)) })
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('commit' as const), rows: fc.array(reading, { minLength: 1, maxLength: 20 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fill' as const), fills: fc.array(fc.record({ ...place, field: fc.integer({ min: 0, max: 7 }), value: fc.double({ noNaN: true, noDefaultInfinity: true }) }), { minLength: 1, maxLength: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('move' as const), from: fc.constantFrom(...SERIES), to: fc.constantFrom(...SERIES), since: time, until: time, limit: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('take' as const), from: fc.constantFrom(...SERIES), since: time, limit: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), before: time }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('compress' as const) }) }
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

test('whatever happened, every question has the same answer', async () => {
  let compressed = 0
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async steps => {
    const sids = SERIES.map(() => sidOf(nextSid++))
    const numbers = await Promise.all([partitions, hypertable].map(async ({ store }) => {
      const found = await store.series(sids.map(sid => ({ sid, model: 'Example/1', partition: 0 })))
      return sids.map(sid => found.get(sid)!)
    }))
    // Sids that are asked for together get their numbers in any order.
    expect(numbers[0]!.toSorted()).toEqual(numbers[1]!.toSorted())
    for (const [index, one] of steps.entries()) {
      const outcomes = []
      for (const [site, { database, store }] of [partitions, hypertable].entries()) outcomes.push(await outcomeOf(one, index, database, store, numbers[site]!))
      expect(outcomes[1], JSON.stringify(one)).toEqual(outcomes[0])
    }
    compressed += (await chunksOf(hypertable.database)).filter(chunk => chunk.compressed).length
    await runJob(hypertable.database, 'policy_refresh_continuous_aggregate')
    const answers = []
    for (const [site, { database, store }] of [partitions, hypertable].entries()) answers.push(await answersOf(database, store, numbers[site]!, sids))
    expect(answers[1]).toEqual(answers[0])
  }), { numRuns: 40 })
  expect(compressed).toBeGreaterThan(0)
})

/** What a step gives its caller, with the places of series for their numbers. */
async function outcomeOf (one: Step, index: number, database: TestDatabase, store: SeriesStore, numbers: readonly number[]): Promise<unknown> {
  const relabel = { sizesMs: [MINUTE], lookback: 2, now: at(3 * DAY) }
  switch (one.kind) {
    case 'commit': {
      const rows = one.rows.map(({ series, time: ms, sequence, values }) => rowOf(numbers[series]!, at(ms), { sequence, values, offset: index }))
      try {
        await store.commit(commitOf({ fresh: rows }))
        return 'fresh'
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error
        await store.commit(commitOf({ late: rows }))
        return error.code
      }
    }
    case 'fill':
      return store.commit(commitOf({ fills: one.fills.map(({ series, time: ms, ...fill }) => ({ ...fill, series: numbers[series]!, takenAt: at(ms) })) }))
    case 'move':
      return one.from === one.to ? undefined : store.moveReadings({ ...relabel, from: numbers[one.from]!, to: numbers[one.to]!, since: at(one.since), until: at(one.until), limit: one.limit })
    case 'take': {
      const kept: unknown[] = []
      const count = await store.takeReadings({ ...relabel, from: numbers[one.from]!, since: at(one.since), until: SPAN.until, limit: one.limit }, async rows => {
        kept.push(...rows.map(row => ({ ...row, series: numbers.indexOf(row.series) })))
      })
      return { count, kept }
    }
    case 'drop': return store.dropBefore('reading', at(one.before), at(one.before))
    case 'compress': return database === hypertable.database ? compressAll(database) : undefined
  }
}

async function answersOf (database: TestDatabase, store: SeriesStore, numbers: readonly number[], sids: readonly ReturnType<typeof sidOf>[]): Promise<unknown> {
  const placed = <T extends { series: number }>(rows: readonly T[]) => rows.map(row => ({ ...row, series: numbers.indexOf(row.series) }))
  const times = [-DAY + 15.5 * HOUR_MS, 15.5 * HOUR_MS, DAY + 15.5 * HOUR_MS].map(at)
  const states = await store.states(numbers)
  await foldCounters(database.pool)
  return {
    all: await Promise.all(numbers.map(async number => placed(await store.readings(number, SPAN.from, SPAN.until, 10_000)))),
    some: await Promise.all(numbers.map(async number => placed(await store.readings(number, epochMs(times[1]! - 5000), epochMs(times[1]! + 2000), 5)))),
    before: await Promise.all(numbers.flatMap(number => times.map(async until => placed(await store.readingsBefore(number, until, 3))))),
    existing: placed(await store.existing(numbers.flatMap(series => times.flatMap(takenAt => [0, 1].map(sequence => ({ series, takenAt, sequence }))))))
      .sort((a, b) => a.series - b.series || a.takenAt - b.takenAt || a.sequence - b.sequence),
    states: numbers.map(number => ({ ...states.get(number)!, series: numbers.indexOf(number) })),
    open: placed((await store.openSeries([0])).filter(({ series }) => numbers.includes(series))).sort((a, b) => a.series - b.series),
    due: placed((await store.dueAmendments(at(9 * DAY), [0], 100_000)).filter(({ series }) => numbers.includes(series)))
      .map(({ series, windowStart, cause }) => ({ series, windowStart, cause })).sort((a, b) => a.series - b.series || a.windowStart - b.windowStart),
    counts: [...await store.countsBySid()].filter(([sid]) => sids.includes(sid)).sort(),
    held: await heldByHour(database.pool, at(-9 * DAY), at(9 * DAY))
  }
}

test('windows, their revisions, searches and sums over hours are the same', async () => {
  const answers = await Promise.all([partitions, hypertable].map(async ({ database, store }) => {
    const sid = sidOf(500_000)
    const series = (await store.series([{ sid, model: 'Example/1', partition: 0 }])).get(sid)!
    const windows = Array.from({ length: 90 }, (_, n) => revisionOf(series, sid, {
      windowStart: at(n * MINUTE), statistics: { sampleCount: 60, expectedCount: 60, coverage: 1, minimum: n, maximum: n + 1, mean: n + 0.5, ratePerMinute: 0, residualSd: 0 }
    }))
    await store.commit(commitOf({ writer: 3, revisions: windows }))
    await store.commit(commitOf({ writer: 3, revisions: windows.slice(10, 20).map(row => ({ ...row, revision: 2, status: 'amended' as const })) }))
    const rollup = async (name: string) => (await database.pool.query(`select * from series.${name} where series = ${series} order by 3`)).rows.map(({ series: _series, ...row }) => row)
    const found = await store.ledger.search({ series: [{ number: series }], order: 'start', descending: true, limit: 30, start: { from: T0 } })
    return { hours: await rollup('rollup_hour'), minutes: await rollup('rollup_minute'), found: found.map(({ series: _series, ...row }) => row), dropped: await store.dropBefore('window', at(40 * DAY), undefined) }
  }))
  expect(answers[0]!.hours).toHaveLength(2)
  expect(answers[0]!.found).toHaveLength(30)
  expect(answers[1]).toEqual(answers[0])
})
