import { expect, test } from 'vitest'
import { createArchiveVerb } from '../../../src/cli/archive.ts'
import type { CliContext } from '../../../src/cli/verb.ts'
import { epochMs } from '../../../src/model/units.ts'
import type { ArchiveView } from '../../../src/stores/archive/archive-view.ts'
import { type Manifest, NO_DIGEST } from '../../../src/stores/archive/manifest.ts'
import type { ParquetView } from '../../../src/stores/archive/parquet/parquet-view.ts'
import type { Report } from '../../../src/stores/archive/verify.ts'

const REPORT: Report = {
  ok: true, findings: [], counts: {}, objects: 3, bytes: 4_000, records: 20, readings: { opened: 200, erased: 4 }, underway: { objects: 1, records: 2 },
  requests: { complete: 18, redelivered: 1, unanswered: 1, unplaced: 0, unjudged: 0 }, quarantine: { waiting: 5, held: 0, released: 1, resubmitted: 0, discarded: 2, repeated: 3 }
}
const MANIFEST: Manifest = {
  v: 1, object: 'raw/ab/cd', topic: 'oxbow.raw.v1', partition: 1, first: 0, next: 20, previous: NO_DIGEST, oxbow: '0', madeAt: '2026-03-01T00:10:00.000Z', receivedFrom: '2026-03-01T00:00:00.000Z',
  receivedTo: '2026-03-01T00:09:00.000Z', readings: 200, readingBytes: 9_000, erased: { records: 0, readings: 0 }, schemas: [], sources: [], key: 'k', bytes: 4_000, sha256: NO_DIGEST
}

function scene (report: Report = REPORT) {
  const calls: unknown[] = []
  let isClosed = false
  const view: ArchiveView = {
    verify: async span => { calls.push(span); return report },
    list: async function * (span) { calls.push(span); yield MANIFEST }
  }
  const out: string[] = []
  const context = { env: {}, stdout: (text: string) => { out.push(text) }, stderr: () => {}, now: () => epochMs(0), signal: new AbortController().signal } satisfies CliContext
  const parquet: ParquetView = {
    list: async function * () {
      calls.push('parquet')
      yield * []
    },
    open: async () => { throw new Error('not asked') }
  }
  const close = async () => { isClosed = true }
  const verb = createArchiveVerb(async () => ({ view, close }), async () => ({ view: parquet, close }))
  return { calls, run: (...args: string[]) => verb.run(args, context), text: () => out.join(''), wasClosed: () => isClosed }
}

test('a whole archive ends with 0, in words and numbers', async () => {
  const { run, text, calls, wasClosed } = scene()
  expect(await run('verify')).toBe(0)
  expect([calls, wasClosed()]).toEqual([[{}], true])
  for (const words of ['3 read, 4000 bytes', '200 opened, 4 erased', '2 records wait on the bus', '18 complete, 1 complete and read again from their topic, 1 that were never acknowledged, 0 from before places were written, 0 not judged yet', '5 wait, 0 held', 'All of it holds.']) expect(text()).toContain(words)
})

test('requests that cannot be judged yet are said in words and as JSON: it is not said that all of it holds', async () => {
  const report = { ...REPORT, requests: { ...REPORT.requests!, unjudged: 3 } }
  const inWords = scene(report)
  expect(await inWords.run('verify')).toBe(0)
  expect(inWords.text()).toContain('All of it holds that can be judged now; 3 requests not judged yet:')
  expect(inWords.text()).not.toContain('All of it holds.')
  const asJson = scene(report)
  expect(await asJson.run('verify', '--json')).toBe(0)
  expect(JSON.parse(asJson.text())).toMatchObject({ ok: true, requests: { unjudged: 3 } })
})

test('of a part it is said that what was read holds, and of nothing that nothing was proved', async () => {
  const part = { ...REPORT, requests: undefined, quarantine: undefined }
  const some = scene(part)
  expect(await some.run('verify', '--from', '2026-03-01T00:00:00Z')).toBe(0)
  expect(some.text()).toContain('What was read holds.')
  const none = scene({ ...part, objects: 0 })
  await none.run('verify', '--to', '2026-03-01T00:00:00Z')
  expect(none.text()).toContain('nothing was proved')
  expect(some.text() + none.text()).not.toContain('All of it')
  for (const span of [['--from', '2026-03-02T00:00:00Z', '--to', '2026-03-01T00:00:00Z'], ['--from', '2026-02-30T00:00:00Z']]) {
    const { run, calls } = scene(part)
    await expect(run('verify', ...span)).rejects.toMatchObject({ code: 'USAGE' })
    expect(calls).toEqual([])
  }
})

test('findings end with 1, each with its kind and its object', async () => {
  const { run, text } = scene({ ...REPORT, ok: false, findings: [{ kind: 'object-missing', object: 'raw/ab/cd', detail: 'the store has no such object' }, { kind: 'range-gap', detail: 'offsets 3 to 4' }], counts: { 'object-missing': 150, 'range-gap': 1 } })
  expect(await run('verify')).toBe(1)
  expect(text()).toContain('object-missing    raw/ab/cd: the store has no such object\nrange-gap         offsets 3 to 4\nand 149 more\n')
  expect(text()).toContain('151 findings')
})

test('a part of the time is handed on, and it is said that requests were not looked at', async () => {
  const { run, text, calls } = scene({ ...REPORT, requests: undefined, quarantine: undefined })
  expect(await run('verify', '--from', '2026-03-01T00:00:00Z', '--to', '2026-03-02T00:00:00Z')).toBe(0)
  expect(calls).toEqual([{ from: Date.UTC(2026, 2, 1), to: Date.UTC(2026, 2, 2) }])
  expect(text()).toContain('not looked at')
})

test('as JSON the report is one value, and a list is a line for each object', async () => {
  const verify = scene()
  await verify.run('verify', '--json')
  expect(JSON.parse(verify.text())).toEqual(REPORT)
  const list = scene()
  expect(await list.run('list', '--json')).toBe(0)
  expect(list.text()).toBe(`${JSON.stringify(MANIFEST)}\n`)
  const words = scene()
  await words.run('list')
  expect(words.text()).toBe('raw/ab/cd  partition 1  offsets 0-19  200 readings  4000 bytes  2026-03-01T00:00:00.000Z to 2026-03-01T00:09:00.000Z\n')
})

test('wrong use is said before anything is opened', async () => {
  for (const words of [[], ['drop'], ['verify', 'x'], ['list', '--from', 'yesterday'], ['verify', '--to', '2026-03-01']]) {
    const { run, calls, wasClosed } = scene()
    await expect(run(...words)).rejects.toThrowError(expect.objectContaining({ code: 'USAGE' }))
    expect([calls, wasClosed()]).toEqual([[], false])
  }
})

test('parquet goes its own way', async () => {
  const { run, calls, wasClosed } = scene()
  expect(await run('parquet', 'list')).toBe(0)
  expect([calls, wasClosed()]).toEqual([['parquet'], true])
})
