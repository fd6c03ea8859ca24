import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runParquet } from '../../../src/cli/archive-parquet.ts'
import type { CliContext } from '../../../src/cli/verb.ts'
import { ServiceError } from '../../../src/model/errors.ts'
import { epochMs } from '../../../src/model/units.ts'
import type { FileChoice, ListedFile, ParquetView } from '../../../src/stores/archive/parquet/parquet-view.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const DAY = Date.UTC(2026, 1, 11) / 86_400_000
const ENTRY: ListedFile = {
  name: 'parquet/0f/0f8fad5b', series: 7, day: DAY, life: 0, version: 2, change: 40, pipelineVersion: '0.1.0', keyId: 'k', rows: 86_400, bytes: 250_000,
  sha256: Buffer.alloc(32, 1), writtenAt: epochMs(Date.UTC(2026, 1, 12, 2)), isUpToDate: true
}

function scene (view: Partial<ParquetView> = {}) {
  const calls: unknown[] = []
  const [out, err]: string[][] = [[], []]
  let opened = 0
  let closed = 0
  const whole: ParquetView = {
    list: async function * (filter) {
      calls.push(filter)
      yield * [ENTRY, { ...ENTRY, day: DAY + 1, version: 1, isUpToDate: false }]
    },
    open: async choice => {
      calls.push(choice)
      return { entry: ENTRY, file: Buffer.from('PAR1') }
    },
    ...view
  }
  const context: CliContext = { env: {}, stdout: text => { out!.push(text) }, stderr: text => { err!.push(text) }, now: () => epochMs(0), signal: new AbortController().signal }
  const run = (...args: string[]) => runParquet(args, context, async () => {
    opened++
    return { view: whole, close: async () => { closed++ } }
  })
  return { run, calls, out: () => out!.join(''), err: () => err!.join(''), counts: () => [opened, closed] }
}

test('list prints a line for each day, and says which changed since', async () => {
  const { run, out, calls, counts } = scene()
  expect(await run('list', '--device', 'd1', '--from', '2026-02-01', '--until', '2026-02-28')).toBe(0)
  expect(calls).toEqual([{ whose: { device: 'd1' }, from: Date.UTC(2026, 1, 1) / 86_400_000, to: Date.UTC(2026, 1, 28) / 86_400_000 }])
  expect(out()).toBe('series 7  2026-02-11  version 2  86400 readings  250000 bytes  parquet/0f/0f8fad5b\n' +
    'series 7  2026-02-12  version 1  86400 readings  250000 bytes  parquet/0f/0f8fad5b  changed since\n')
  expect(counts()).toEqual([1, 1])
  const json = scene()
  await json.run('list', '--json', '--day', '2026-02-11')
  expect(json.calls).toEqual([{ whose: undefined, from: DAY, to: DAY }])
  expect(JSON.parse(json.out().split('\n')[0]!)).toMatchObject({ series: 7, day: '2026-02-11', sha256: '01'.repeat(32), writtenAt: '2026-02-12T02:00:00.000Z', isUpToDate: true })
  const none = scene({ list: async function * () {} })
  expect(await none.run('list')).toBe(0)
  expect(none.err()).toContain('there are no such files')
})

test('open writes the file for its owner alone, says so, and replaces nothing', async () => {
  const folder = temporaryFolder('open')
  try {
    const to = join(folder, 'day.parquet')
    const { run, out, calls, counts } = scene()
    expect(await run('open', '--series', '7', '--day', '2026-02-11', '--version', '2', '--out', to)).toBe(0)
    expect(calls).toEqual([{ whose: { series: 7 }, day: DAY, version: 2 } satisfies FileChoice])
    expect(await readFile(to, 'utf8')).toBe('PAR1')
    expect((await stat(to)).mode & 0o777).toBe(0o600)
    expect(out()).toBe(`${to}: 86400 readings of 2026-02-11, version 2. It is not sealed any more: only its owner can read it.\n`)
    await writeFile(to, 'mine')
    await expect(run('open', '--series', '7', '--day', '2026-02-11', '--out', to)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('exists') })
    expect(await readFile(to, 'utf8')).toBe('mine')
    expect(counts()).toEqual([2, 2])
    await expect(run('open', '--series', '7', '--day', '2026-02-11', '--out', join(folder, 'no', 'where'))).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('ENOENT') })
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a destroyed key is said, and no file is left', async () => {
  const folder = temporaryFolder('open')
  try {
    const { run } = scene({ open: async () => { throw new ServiceError('not-found', 'KEY_DESTROYED', 'the key of this series was destroyed') } })
    await expect(run('open', '--device', 'd1', '--day', '2026-02-11', '--out', join(folder, 'x'))).rejects.toMatchObject({ code: 'KEY_DESTROYED' })
    await expect(stat(join(folder, 'x'))).rejects.toMatchObject({ code: 'ENOENT' })
  } finally {
    await rm(folder, { recursive: true })
  }
})

test.each([
  [[]], [['erase']], [['list', 'more']], [['list', '--out', 'x']], [['list', '--version', '1']], [['list', '--device', 'd', '--series', '1']], [['list', '--series', '0']],
  [['list', '--series', 'x']], [['list', '--day', '2026-02-30']], [['list', '--from', '11.2.2026']], [['open']], [['open', '--device', 'd', '--day', '2026-02-11']],
  [['open', '--day', '2026-02-11', '--out', 'x']], [['open', '--device', 'd', '--out', 'x']], [['open', '--device', 'd', '--day', '2026-02-11', '--out', 'x', '--version', '1.5']],
  [['open', '--device', 'd', '--day', '2026-02-11', '--out', 'x', '--from', '2026-02-11']]
])('%j is wrong use, and no database is opened', async args => {
  const { run, counts } = scene()
  await expect(run(...args)).rejects.toMatchObject({ code: 'USAGE' })
  expect(counts()).toEqual([0, 0])
})
