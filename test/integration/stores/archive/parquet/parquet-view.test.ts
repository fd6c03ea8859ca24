import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Sid } from '../../../../../src/model/reading.ts'
import { epochMs } from '../../../../../src/model/units.ts'
import { createParquetView, type Whose } from '../../../../../src/stores/archive/parquet/parquet-view.ts'
import { type ParquetSystem, parquetSystem } from '../../../../support/parquet-system.ts'
import { commitOf, rowOf } from '../../../../support/series.ts'

const DAY_MS = 86_400_000
const DAY = Date.UTC(2026, 1, 8) / DAY_MS
let system: ParquetSystem
let one: { series: number, sid: Sid }
let two: { series: number, sid: Sid }

beforeAll(async () => {
  system = await parquetSystem()
  one = await system.newSeries()
  two = await system.newSeries()
  const at = (day: number) => epochMs((DAY + day) * DAY_MS)
  await system.series.commit(commitOf({ fresh: [rowOf(one.series, at(0)), rowOf(one.series, at(1)), rowOf(two.series, at(1)), rowOf(two.series, at(2))] }))
  expect(await system.turn(system.writer())).toMatchObject({ written: 4 })
})
afterAll(async () => { await system.close() })

async function listed (filter: Parameters<ParquetSystem['view']['list']>[0]): Promise<string[]> {
  const found: string[] = []
  for await (const { series, day } of system.view.list(filter)) found.push(`${series === one.series ? 'one' : 'two'}/${day - DAY}`)
  return found
}
/** As the linkage store would answer in this test: `series-1+2`. */
const device = (...numbers: number[]): Whose => ({ device: `series-${numbers.join('+')}` })

test('days are listed by series and day, of everybody, of a device, of a span', async () => {
  expect(await listed({})).toEqual(['one/0', 'one/1', 'two/1', 'two/2'])
  expect(await listed({ whose: device(two.series) })).toEqual(['two/1', 'two/2'])
  expect(await listed({ whose: device(one.series, two.series), from: DAY + 1, to: DAY + 1 })).toEqual(['one/1', 'two/1'])
  expect(await listed({ whose: { series: one.series }, from: DAY + 1 })).toEqual(['one/1'])
  expect(await listed({ to: DAY - 1 })).toEqual([])
})

test('a day that several people wore the device on is opened by the number of a series', async () => {
  const both = device(one.series, two.series)
  expect((await system.view.open({ whose: both, day: DAY })).entry.series).toBe(one.series)
  await expect(system.view.open({ whose: both, day: DAY + 1 })).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining(`--series ${one.series} or ${two.series}`) })
  expect((await system.view.open({ whose: { series: two.series }, day: DAY + 1 })).entry).toMatchObject({ series: two.series, rows: 1 })
})

test('a device that nobody knows, a day without a file and a version that is not current are not found', async () => {
  const missing = { code: 'NOT_FOUND', category: 'not-found' }
  await expect(system.view.open({ whose: { device: 'nobody' }, day: DAY })).rejects.toMatchObject(missing)
  await expect(listed({ whose: { device: 'nobody' } })).rejects.toMatchObject(missing)
  await expect(system.view.open({ whose: { series: one.series }, day: DAY + 5 })).rejects.toMatchObject(missing)
  await expect(system.view.open({ whose: { series: one.series }, day: DAY, version: 2 })).rejects.toMatchObject(missing)
})

test('an object that was changed or swapped does not open, one that is gone is missing', async () => {
  const [first, second] = await system.names()
  const choice = { whose: { series: one.series }, day: DAY }
  const view = (get: (name: string) => Promise<Buffer>) => createParquetView({
    pool: system.pool, objects: { ...system.objects, get }, keyOf: system.keyOf, seriesOf: async () => [], sidOf: async number => (await system.series.sidsOf([number])).get(number)?.sid, unsettled: system.series.days.unsettled
  })
  const changed = async (name: string) => {
    const bytes = await system.objects.get(name)
    bytes[100] = bytes[100]! ^ 1
    return bytes
  }
  await expect(view(changed).open(choice)).rejects.toMatchObject({ code: 'KEY_CONTEXT' })
  const swapped = (name: string) => system.objects.get(name === first ? second! : first!)
  await expect(view(swapped).open(choice)).rejects.toMatchObject({ code: 'KEY_CONTEXT' })
  await expect(view(() => system.objects.get('parquet/none')).open(choice)).rejects.toMatchObject({ code: 'OBJECT_MISSING' })
})

test('a version that takes the place of the one being opened is opened instead', async () => {
  const { entry } = await system.view.open({ whose: { series: one.series }, day: DAY })
  let asked = 0
  const view = createParquetView({
    pool: system.pool, keyOf: system.keyOf, seriesOf: async () => [], sidOf: async number => (await system.series.sidsOf([number])).get(number)?.sid, unsettled: system.series.days.unsettled,
    objects: { ...system.objects, get: async name => {
      if (asked++ === 0) {
        await system.series.commit(commitOf({ late: [rowOf(one.series, epochMs(DAY * DAY_MS + 1))] }))
        const writer = system.writer({ quietMs: 0 })
        await system.turn(writer)
        await system.turn(writer)
        await system.turn(writer)
      }
      return system.objects.get(name)
    } }
  })
  const opened = await view.open({ whose: { series: one.series }, day: DAY })
  expect([asked, opened.entry.version, opened.entry.rows]).toEqual([2, entry.version + 1, 2])
})
