import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ServiceError } from '../../../../src/model/errors.ts'
import { epochMs } from '../../../../src/model/units.ts'
import { createSeriesStore, type SeriesStore } from '../../../../src/stores/series/series-store.ts'
import type { RowIn } from '../../../../src/stream/sink.ts'
import { type TestDatabase, testDatabase } from '../../../support/postgres.ts'
import { at, commitOf, rowOf, sidOf } from '../../../support/series.ts'

let database: TestDatabase
let store: SeriesStore
let nextSid = 1

beforeAll(async () => {
  database = await testDatabase('series')
  store = createSeriesStore(database.pool)
})
afterAll(async () => { await database.drop() })

/** As a runner without any memory would: fresh first, and through the late lane when the store knows better. */
async function commitFreshThenLate (rows: readonly RowIn[]): Promise<'fresh' | 'late'> {
  try {
    await store.commit(commitOf({ fresh: rows }))
    return 'fresh'
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'STORE_CONFLICT') throw error
    await store.commit(commitOf({ late: rows }))
    return 'late'
  }
}

async function newSeries (): Promise<number> {
  const sid = sidOf(nextSid++)
  return (await store.series([{ sid, model: 'Example/1', partition: 0 }])).get(sid)!
}

/** A few times around midnight and few sequences, so that most batches repeat something. */
const reading = fc.record({
  takenAt: fc.integer({ min: 0, max: 12 }).map(n => at(15.5 * 3_600_000 - 6000 + n * 1000)),
  sequence: fc.integer({ min: 0, max: 1 }),
  values: fc.array(fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => value + 0), { nil: undefined }), { maxLength: 8 })
})

test('a duplicate, in the same batch, in a later one or after a restart, is stored once; both lanes leave the same rows', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.array(reading, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 4 }), async batches => {
    const [byBoth, byLate] = [await newSeries(), await newSeries()]
    const first = new Map<string, unknown>()
    for (const [offset, batch] of batches.entries()) {
      const rowsOf = (series: number) => batch.map(({ takenAt, sequence, values }) => rowOf(series, takenAt, { sequence, values: trimmed(values), offset }))
      await commitFreshThenLate(rowsOf(byBoth))
      await createSeriesStore(database.pool).commit(commitOf({ late: rowsOf(byLate) }))
      for (const { series: _series, ...row } of rowsOf(byBoth)) {
        const key = `${row.takenAt}/${row.sequence}`
        if (!first.has(key)) first.set(key, row)
      }
    }
    const rows = await Promise.all([byBoth, byLate].map(series => store.readings(series, epochMs(0), epochMs(Infinity), 1000)))
    const [one, two] = rows.map(found => found.map(({ series: _series, ...row }) => row))
    expect(one).toEqual(two)
    expect(one).toEqual([...first.values()].sort((a, b) => compare(a as RowIn, b as RowIn)))
  }), { numRuns: 40 })
})

const compare = (a: RowIn, b: RowIn) => a.takenAt - b.takenAt || a.sequence - b.sequence

function trimmed (values: readonly (number | undefined)[]): (number | undefined)[] {
  return values.slice(0, values.findLastIndex(value => value !== undefined) + 1)
}
