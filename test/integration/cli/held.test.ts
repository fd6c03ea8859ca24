import { afterAll, beforeAll, expect, test } from 'vitest'
import { heldVerb } from '../../../src/cli/held.ts'
import { epochMs } from '../../../src/model/units.ts'
import { createSeriesStore } from '../../../src/stores/series/series-store.ts'
import { testStores } from '../../support/postgres.ts'
import { commitOf, rowOf, sidOf } from '../../support/series.ts'

const HOUR = 3_600_000
const NOW = Date.UTC(2026, 1, 11, 8, 45)
let stores: Awaited<ReturnType<typeof testStores>>

beforeAll(async () => {
  stores = await testStores()
  const store = createSeriesStore(stores.series.pool)
  const series = [...(await store.series([1, 2].map(n => ({ sid: sidOf(n), model: 'Example/1' as const, partition: 0 })))).values()]
  const times = [0, -1, -1, -3, -48].map(hours => epochMs(NOW + hours * HOUR))
  await store.commit(commitOf({ fresh: times.map((time, n) => rowOf(series[n % 2]!, time)) }))
})
afterAll(async () => { await stores.drop() })

async function run (...args: string[]): Promise<string> {
  const out: string[] = []
  const { bus, linkage, series, audit, keys } = stores
  const code = await heldVerb.run(args, {
    env: {
      OXBOW_POSTGRES_KIND: 'external',
      OXBOW_POSTGRES_BUS_URL: bus.url, OXBOW_POSTGRES_BUS_OWNER_URL: bus.ownerUrl, OXBOW_POSTGRES_INGEST_URL: bus.urlOf('oxbow_ingest'),
      OXBOW_POSTGRES_ARCHIVE_URL: bus.urlOf('oxbow_archive'),
      OXBOW_POSTGRES_LINKAGE_URL: linkage.url, OXBOW_POSTGRES_LINKAGE_OWNER_URL: linkage.ownerUrl, OXBOW_POSTGRES_DELIVERY_URL: linkage.urlOf('oxbow_delivery'),
      OXBOW_POSTGRES_SERIES_URL: series.url, OXBOW_POSTGRES_SERIES_OWNER_URL: series.ownerUrl,
      OXBOW_POSTGRES_AUDIT_URL: audit.url, OXBOW_POSTGRES_AUDIT_OWNER_URL: audit.ownerUrl,
      OXBOW_POSTGRES_KEYS_URL: keys.url, OXBOW_POSTGRES_KEYS_OWNER_URL: keys.ownerUrl
    },
    stdout: text => { out.push(text) }, stderr: () => {}, now: () => epochMs(NOW), signal: new AbortController().signal
  })
  expect(code).toBe(0)
  return out.join('')
}

test('every hour of the last day is listed, also one that holds nothing', async () => {
  const lines = (await run()).trimEnd().split('\n')
  expect(lines).toHaveLength(25)
  expect(lines.slice(-4).map(line => line.split(/\s+/))).toEqual([
    ['2026-02-11T05:00Z', '1', '1'], ['2026-02-11T06:00Z', '0', '0'], ['2026-02-11T07:00Z', '2', '2'], ['2026-02-11T08:00Z', '1', '1']
  ])
})

test('a span may be given, by days or by times with their zone', async () => {
  const { hours } = JSON.parse(await run('--json', '--from', '2026-02-09', '--until', '2026-02-09T09:30+00:30')) as { hours: object[] }
  expect(hours).toHaveLength(10)
  expect(hours.at(-2)).toEqual({ hour: '2026-02-09T08:00Z', readings: 1, series: 1 })
})

test.each([
  [['--from', 'yesterday'], '--from must be a day'], [['--until', '2026-02-11T08:00'], '--until must be a day'], [['--from', '2026-02-30T25:00Z'], '--from must be'],
  [['--from', '2026-02-12'], 'behind --until'], [['--from', '2025-12-01'], 'at most 744 hours']
])('wrong use: %j', async (args, message) => {
  await expect(run(...args)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining(message) })
})
