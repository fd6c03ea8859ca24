import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Sid } from '../../../../src/model/reading.ts'
import { type EpochMs, epochMs } from '../../../../src/model/units.ts'
import { closedWindows, markReprocessed } from '../../../../src/stores/series/reprocess-windows.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { type TestDatabase, testDatabase, waitCount } from '../../../support/postgres.ts'
import { at, commitOf, MINUTE, revisionOf, rowOf, sidOf, T0 } from '../../../support/series.ts'

const DAY = Math.floor(T0 / 86_400_000)
const MODEL = 'Example Sensors Inc./TO2-READER-2'
let database: TestDatabase
let store: SeriesStore
let count = 0

beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
})
afterAll(() => database?.drop())

async function newSeries (): Promise<{ series: number, sid: Sid }> {
  const sid = sidOf(++count)
  return { sid, series: (await store.series([{ sid, model: MODEL }])).get(sid)! }
}

async function found (series: number, sizesMs: readonly number[] = [MINUTE], from: EpochMs = at(-MINUTE), to: EpochMs = at(60 * MINUTE)) {
  const { backed, unbackedCount } = await closedWindows(database.pool, { series: [series], day: DAY, from, to, sizesMs })
  return { backed: backed.map(({ windowStart, sizeMs }) => [(windowStart - T0) / MINUTE, sizeMs / MINUTE]), unbackedCount }
}

const statistics = (sampleCount: number) => ({ sampleCount, expectedCount: 60, coverage: 1 })
const rows = (series: number, minute: number, howMany: number) => Array.from({ length: howMany }, (_, second) => rowOf(series, at(minute * MINUTE + second * 1_000)))
const closed = (series: number, minutes: number, sizeMs = MINUTE) => ({ series, sizeMs, through: at(minutes * MINUTE) })

test('a window is computed again where as many readings are stored as it stands on, and only when it is closed', async () => {
  const { series, sid } = await newSeries()
  await store.commit(commitOf({
    fresh: [0, 1, 2, 4, 5].flatMap(minute => rows(series, minute, 3)), closed: [closed(series, 5)],
    revisions: [
      revisionOf(series, sid, { windowStart: at(0), statistics: statistics(3) }),
      // Fewer are stored than it has; there are none; it has none either, and was taken back.
      revisionOf(series, sid, { windowStart: at(MINUTE), statistics: statistics(4) }),
      revisionOf(series, sid, { windowStart: at(3 * MINUTE), metric: 'spo2', form: { form: 'last', takenAt: at(3 * MINUTE), values: [{ metric: 'spo2', value: 97 }] } }),
      revisionOf(series, sid, { windowStart: at(-MINUTE), statistics: statistics(3) }),
      revisionOf(series, sid, { windowStart: at(-MINUTE), revision: 2, status: 'entered-in-error', form: { form: 'empty' } })
    ]
  }))
  expect(await found(series)).toEqual({ backed: [[0, 1], [2, 1], [4, 1]], unbackedCount: 2 })
  expect(await found(series, [MINUTE], at(2 * MINUTE), at(3 * MINUTE))).toEqual({ backed: [[2, 1]], unbackedCount: 0 })
  expect((await store.ledger.revisions({ series, windowStart: at(3 * MINUTE), sizeMs: MINUTE, metric: 'spo2' })).length).toBe(1)
})

test('the latest revision counts: one that stands on less than the first may be computed again', async () => {
  const { series, sid } = await newSeries()
  await store.commit(commitOf({
    fresh: rows(series, 0, 2), closed: [closed(series, 5)],
    revisions: [revisionOf(series, sid, { statistics: statistics(9) }), revisionOf(series, sid, { revision: 2, status: 'amended', statistics: statistics(2) })]
  }))
  expect(await found(series)).toEqual({ backed: [[0, 1]], unbackedCount: 0 })
})

test('a size that came into use later makes no windows beside those of the size before', async () => {
  const { series, sid } = await newSeries()
  const five = 5 * MINUTE
  await store.commit(commitOf({
    fresh: [0, 1, 10, 15].flatMap(minute => rows(series, minute, 3)), closed: [closed(series, 20), closed(series, 20, five)],
    revisions: [revisionOf(series, sid, { windowStart: at(0), statistics: statistics(3) }), revisionOf(series, sid, { windowStart: at(10 * MINUTE), sizeMs: five, statistics: statistics(3) })]
  }))
  // Fifteen minutes on the row of the ledger was lost.
  expect((await found(series, [five])).backed).toEqual([[0, 1], [10, 5], [15, 5]])
})

test('marks give way to whoever holds one of them, and come through', async () => {
  const { series } = await newSeries()
  const windows = [0, 1].map(minute => ({ series, sizeMs: MINUTE, windowStart: at(minute * MINUTE) }))
  await markReprocessed(database.pool, windows)
  const holder = await database.owner.connect()
  try {
    const hold = (minute: number) => holder.query('select from series.amendment_due where series = $1 and window_start = $2 for update', [series, new Date(at(minute * MINUTE))])
    await holder.query('begin')
    await hold(1)
    const marked = markReprocessed(database.pool, windows)
    await expect.poll(() => waitCount(database.owner)).toBeGreaterThan(0)
    // Each has what the other wants: the marks are let go before PostgreSQL looks for a deadlock.
    await hold(0)
    await holder.query('commit')
    await marked
  } finally {
    holder.release()
  }
  const due = await store.dueAmendments(epochMs(0), [0], 10)
  expect(due.filter(one => one.series === series).map(({ cause, notBefore }) => [cause, notBefore])).toEqual([['reprocessed', 0], ['reprocessed', 0]])
})
