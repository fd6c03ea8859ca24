import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Sid } from '../../../../src/model/reading.ts'
import { READINGS } from '../../../../src/model/streams.ts'
import { epochMs, millivolt, percent } from '../../../../src/model/units.ts'
import { foldCounters, storedByHour } from '../../../../src/stores/series/counters.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import { isLockWaited, type TestDatabase, testDatabase, waitCount } from '../../../support/postgres.ts'
import { at, commitOf, revisionOf, rowOf, sidOf, T0 } from '../../../support/series.ts'

let database: TestDatabase
let store: SeriesStore
let nextSid = 1

beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
})
afterAll(async () => { await database.drop() })

async function newSeries (partition = 0): Promise<{ series: number, sid: Sid }> {
  const sid = sidOf(nextSid++)
  const numbers = await store.series([{ sid, model: 'Example/1', partition }])
  return { series: numbers.get(sid)!, sid }
}
const stored = (series: number) => store.readings(series, epochMs(0), epochMs(Infinity), 100_000)

test('readings come back as they were stored, absent as absent', async () => {
  const { series } = await newSeries()
  const rows = [
    rowOf(series, at(0)),
    rowOf(series, at(1000), { values: [undefined, -0.1], battery: undefined, quality: undefined, firmware: 0, flags: 1025, sequence: 9_007_199_254_740_990, offset: 9_007_199_254_740_990 }),
    rowOf(series, at(1001), { values: [1, 2, 3, 4, 5, 6, 7, 8.000000000000002], battery: millivolt(65_000), quality: percent(0) }),
    rowOf(series, at(1002), { values: [undefined, undefined, undefined, 5e-324] }),
    rowOf(series, at(1003), { values: [] })
  ]
  await store.commit(commitOf({ fresh: rows }))
  expect(await stored(series)).toEqual(rows)
})

test('a sid has one number, whoever asks', async () => {
  const sid = sidOf(nextSid++)
  const answers = await Promise.all(Array.from({ length: 5 }, () => store.series([{ sid, model: 'Example/1' }])))
  expect(new Set(answers.map(numbers => numbers.get(sid))).size).toBe(1)
  const number = answers[0]!.get(sid)!
  expect(await store.sidsOf([number, 999_999])).toEqual(new Map([[number, { sid, model: 'Example/1' }]]))
  expect(await store.numbersOf([sid, sidOf(77_777)])).toEqual(new Map([[sid, number]]))
})

test('a fresh reading that is stored already undoes the whole commit as STORE_CONFLICT', async () => {
  const { series, sid } = await newSeries()
  await store.commit(commitOf({ fresh: [rowOf(series, at(0))], resume: [{ topic: 'conflict', partition: 3, firstOffset: 0, nextOffset: 5 }] }))
  const again = commitOf({
    fresh: [rowOf(series, at(1000)), rowOf(series, at(0), { values: [1] })],
    revisions: [revisionOf(series, sid)],
    counters: [{ series, hour: T0, accepted: 2, stored: 2, duplicate: 0, conflict: 0 }],
    closed: [{ series, sizeMs: 60_000, through: at(60_000) }],
    resume: [{ topic: 'conflict', partition: 3, firstOffset: 5, nextOffset: 7 }]
  })
  await expect(store.commit(again)).rejects.toMatchObject({ category: 'conflict', code: 'STORE_CONFLICT' })
  expect(await stored(series)).toEqual([rowOf(series, at(0))])
  expect(await store.resumePoints('conflict')).toEqual(new Map([[3, 5]]))
  expect((await store.states([series])).get(series)!.progress.size).toBe(0)
  expect(await store.ledger.latestOfWindows([{ series, windowStart: T0, sizeMs: 60_000 }])).toEqual([])
  // The connection and the writer are good for the next commit.
  await store.commit(commitOf({ fresh: [rowOf(series, at(1000))], revisions: [revisionOf(series, sid)] }))
  expect(await stored(series)).toHaveLength(2)
})

test('the late lane leaves stored readings as they are and adds the others, also twice in one commit', async () => {
  const { series } = await newSeries()
  await store.commit(commitOf({ fresh: [rowOf(series, at(0))] }))
  const late = [rowOf(series, at(0), { values: [9] }), rowOf(series, at(-5000)), rowOf(series, at(-5000), { values: [8] })]
  await store.commit(commitOf({ fresh: [rowOf(series, at(1000))], late }))
  await store.commit(commitOf({ late }))
  expect(await stored(series)).toEqual([rowOf(series, at(-5000)), rowOf(series, at(0)), rowOf(series, at(1000))])
})

test('a fill gives a value to an absent channel and to no other', async () => {
  const { series } = await newSeries()
  const day = 86_400_000
  await store.commit(commitOf({ fresh: [rowOf(series, at(0), { values: [41.2] }), rowOf(series, at(day), { values: [undefined, 97] })] }))
  await store.commit(commitOf({
    fills: [
      { series, takenAt: at(0), sequence: 0, field: 1, value: 0.1 + 0.2 }, { series, takenAt: at(0), sequence: 0, field: 0, value: 1 },
      { series, takenAt: at(day), sequence: 0, field: 0, value: 5e-324 }, { series, takenAt: at(day), sequence: 1, field: 3, value: 4 }
    ]
  }))
  expect((await stored(series)).map(({ values }) => values)).toEqual([[41.2, 0.1 + 0.2], [5e-324, 97]])
})

test.each([
  ['from the beginning again', 0, 12], ['from before', 5, 12], ['over the same records', 0, 10], ['with records left out', 11, 12]
])('a commit goes on exactly where the last one of its partition ended, not %s: a writer that lost its partition writes nothing', async (_how, firstOffset, nextOffset) => {
  const { series } = await newSeries()
  const resume = (first: number, next: number) => [{ topic: READINGS, partition: series, firstOffset: first, nextOffset: next }]
  await store.commit(commitOf({ resume: resume(0, 4) }))
  await store.commit(commitOf({ resume: resume(4, 10) }))
  await expect(store.commit(commitOf({ late: [rowOf(series, at(0))], resume: resume(firstOffset, nextOffset) }))).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
  expect(await stored(series)).toEqual([])
  expect((await store.resumePoints(READINGS)).get(series)).toBe(10)
})

test('of two writers that begin a partition at once, or go on with it at once, one writes', async () => {
  const { series } = await newSeries()
  const resume = (first: number, next: number) => [{ topic: 'contended', partition: series, firstOffset: first, nextOffset: next }]
  for (const [first, next] of [[0, 3], [3, 8]] as const) {
    const outcomes = await Promise.allSettled([1, 2, 3].map(writer => store.commit(commitOf({ writer, late: [rowOf(series, at(next))], resume: resume(first, next) }))))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(outcomes.flatMap(outcome => outcome.status === 'rejected' ? [(outcome.reason as { code: string }).code] : [])).toEqual(['STORE_CONFLICT', 'STORE_CONFLICT'])
  }
})

test('a batch delivered again after a crash changes nothing, since its offsets were committed with it', async () => {
  const { series } = await newSeries()
  const batches = Array.from({ length: 6 }, (_, n) => ({ offset: n, rows: Array.from({ length: 5 }, (_, k) => rowOf(series, at(n * 5000 + k * 1000), { offset: n })) }))
  // The consumer restarts after every commit and is given everything from the resume point on, and once from further back.
  for (const crashAt of [1, 3, 4, 6]) {
    const from = (await store.resumePoints('again')).get(0) ?? 0
    for (const { offset, rows } of batches.slice(from, crashAt)) {
      await store.commit(commitOf({ fresh: rows, resume: [{ topic: 'again', partition: 0, firstOffset: offset, nextOffset: offset + 1 }], counters: [{ series, hour: T0, accepted: 5, stored: 5, duplicate: 0, conflict: 0 }] }))
    }
    const replayed = batches.slice(0, crashAt).flatMap(({ rows }) => rows)
    await store.commit(commitOf({ late: replayed, counters: [{ series, hour: T0, accepted: replayed.length, stored: 0, duplicate: replayed.length, conflict: 0 }] }))
  }
  expect(await stored(series)).toEqual(batches.flatMap(({ rows }) => rows))
  const counts = (await store.countsBySid()).get((await store.sidsOf([series])).get(series)!.sid)!
  expect(counts.stored).toBe(30)
  expect(counts.accepted).toBe(counts.stored + counts.duplicate + counts.conflict)
})

test('two writers commit at once, one writer never', async () => {
  const [one, two] = [await newSeries(), await newSeries()]
  const rows = (series: number) => Array.from({ length: 500 }, (_, n) => rowOf(series, at(n * 1000)))
  await Promise.all([store.commit(commitOf({ writer: 1, fresh: rows(one.series) })), store.commit(commitOf({ writer: 2, fresh: rows(two.series) }))])
  expect([(await stored(one.series)).length, (await stored(two.series)).length]).toEqual([500, 500])
  const first = store.commit(commitOf({ writer: 1, late: rows(one.series) }))
  await expect(store.commit(commitOf({ writer: 1 }))).rejects.toMatchObject({ code: 'INTERNAL' })
  await first
})

test('days from 2000 on are made when their first reading comes, and anew after they were dropped', async () => {
  const { series } = await newSeries()
  const old = epochMs(Date.UTC(2000, 0, 1))
  const rows = [rowOf(series, old), rowOf(series, epochMs(Date.UTC(2012, 1, 29, 23, 59, 59, 999))), rowOf(series, epochMs(Date.UTC(2012, 2, 1))), rowOf(series, T0)]
  await store.commit(commitOf({ fresh: rows }))
  expect(await stored(series)).toEqual(rows)
  await createSeriesStore(database.pool).dropBefore('reading', epochMs(Date.UTC(2001, 0, 1)), epochMs(Date.UTC(2001, 0, 1)))
  expect(await stored(series)).toEqual(rows.slice(1))
  await store.commit(commitOf({ late: rows.slice(0, 1) }))
  expect(await stored(series)).toEqual(rows)
})

test('a commit that knew of a partition that is gone waits for whoever makes one: a session may see it before it can write to it', async () => {
  const { series } = await newSeries()
  const row = rowOf(series, epochMs(Date.UTC(2002, 0, 1)))
  await store.commit(commitOf({ fresh: [row] }))
  await createSeriesStore(database.pool).dropBefore('reading', epochMs(Date.UTC(2003, 0, 1)), epochMs(Date.UTC(2003, 0, 1)))
  const maker = await database.owner.connect()
  try {
    await maker.query("begin; select pg_advisory_xact_lock(hashtext('oxbow series partitions'))")
    const committed = store.commit(commitOf({ late: [row] }))
    await expect.poll(() => isLockWaited(database.owner)).toBe(true)
    await maker.query('commit')
    await committed
  } finally {
    maker.release()
  }
  expect(await stored(series)).toEqual([row])
})

test('who takes partitions over waits for the commit of whoever has them, which then writes no other', async () => {
  const { series } = await newSeries()
  const token = await store.own(READINGS, [30], undefined)
  const owner = { topic: READINGS, partitions: [30], token }
  await store.commit(commitOf({ owner, fresh: [rowOf(series, at(0))] }))
  const committing = await database.owner.connect()
  let taken: Promise<string>
  try {
    await committing.query('begin')
    await committing.query('select series.assert_owner($1, $2, $3)', [owner.topic, owner.partitions, token])
    taken = store.own(READINGS, [30], undefined)
    await expect.poll(() => waitCount(database.owner)).toBe(1)
    await committing.query('commit')
  } finally {
    committing.release()
  }
  expect(await taken).not.toBe(token)
  await expect(store.commit(commitOf({ owner, fresh: [rowOf(series, at(1))] }))).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
  expect(await stored(series)).toHaveLength(1)
})

test('an empty commit does nothing', async () => {
  await store.commit(commitOf({}))
})

test('counters add up per series and hour', async () => {
  const { series, sid } = await newSeries()
  const hour = epochMs(Date.UTC(2026, 1, 11, 8))
  const count = { series, hour, accepted: 4, stored: 2, duplicate: 1, conflict: 1 }
  await store.commit(commitOf({ counters: [count, count] }))
  await store.commit(commitOf({ counters: [count, { ...count, hour: epochMs(hour + 3_600_000) }] }))
  const rows = await store.countsByHour(hour, epochMs(hour + 7_200_000), 10_000)
  expect(rows.filter(row => row.sid === sid)).toEqual([
    { sid, hour, accepted: 12, stored: 6, duplicate: 3, conflict: 3 },
    { sid, hour: epochMs(hour + 3_600_000), accepted: 4, stored: 2, duplicate: 1, conflict: 1 }
  ])
  // Adding them up moves them, also while more are counted, and changes no sum.
  await Promise.all([foldCounters(database.pool), foldCounters(database.pool), store.commit(commitOf({ counters: [{ ...count, accepted: 0, stored: 0, duplicate: 0, conflict: 0 }] }))])
  await foldCounters(database.pool)
  expect((await database.owner.query('select from series.counter_delta')).rowCount).toBe(0)
  expect(await store.countsByHour(hour, epochMs(hour + 7_200_000), 10_000)).toEqual(rows)
  expect((await store.countsBySid()).get(sid)).toEqual({ accepted: 16, stored: 8, duplicate: 4, conflict: 4 })
  const ofHour = rows.filter(row => row.hour === hour)
  const sum = (name: 'accepted' | 'stored' | 'duplicate' | 'conflict') => ofHour.reduce((total, row) => total + row[name], 0)
  expect(await storedByHour(database.pool, hour, epochMs(hour + 3_600_000)))
    .toEqual(new Map([[hour, { accepted: sum('accepted'), stored: sum('stored'), duplicate: sum('duplicate'), conflict: sum('conflict') }]]))
})
