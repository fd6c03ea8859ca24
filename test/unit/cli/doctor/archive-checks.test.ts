import { expect, test } from 'vitest'
import { archiveCheck, type ArchiveParts } from '../../../../src/cli/doctor/archive-checks.ts'
import { epochMs } from '../../../../src/model/units.ts'

const folder = (fault?: string) => ({ path: '/data/archive', fault: async () => fault })
const find = (parts: Partial<ArchiveParts> = {}) => archiveCheck({
  folder: folder(), ends: async () => new Map([[0, 5], [1, 3]]), archived: async () => new Map([[0, 5], [1, 3]]),
  archivedTo: async () => epochMs(Date.UTC(2026, 2, 5)), ...parts
}).run()

test('all archived is well, and how far is told', async () => {
  expect(await find()).toEqual({ verdict: 'ok', message: '0 raw records wait, the newest archived one came in at 2026-03-05T00:00:00.000Z' })
})

test('records that wait are noted', async () => {
  expect(await find({ archived: async () => new Map([[0, 1]]) })).toMatchObject({ verdict: 'note', message: expect.stringMatching(/^7 raw records wait/) })
})

test('a folder that cannot be used is wrong, one that is not made yet is not', async () => {
  expect(await find({ folder: folder('EACCES') })).toMatchObject({ verdict: 'wrong', message: '/data/archive cannot be read and written (EACCES)' })
  expect(await find({ folder: folder('missing') })).toMatchObject({ verdict: 'wrong', message: '/data/archive is missing' })
  const fresh = { ends: async () => new Map(), archived: async () => new Map([[0, 0]]), archivedTo: async () => undefined }
  expect(await find({ ...fresh, folder: folder('missing') })).toEqual({ verdict: 'ok', message: '0 raw records wait' })
})

test('an archive in a bucket needs no folder', async () => {
  expect(await find({ folder: undefined })).toMatchObject({ verdict: 'ok' })
})

test('an archive that has more than the bus ever had is wrong', async () => {
  expect(await find({ ends: async () => new Map([[0, 4]]) })).toMatchObject({ verdict: 'wrong', message: expect.stringContaining('in 2 partitions') })
})
