import { expect, test } from 'vitest'
import { createReprocessVerb } from '../../../src/cli/reprocess.ts'
import type { CliContext } from '../../../src/cli/verb.ts'
import type { Sid } from '../../../src/model/reading.ts'
import { epochMs } from '../../../src/model/units.ts'
import { NO_COUNTS, type ReprocessCounts, type ReprocessJob } from '../../../src/stores/series/reprocess-job.ts'

const SPAN = ['--from', '2026-03-01T00:00:00Z', '--to', '2026-03-02T00:00:00Z']

function scene (counts: Partial<ReprocessCounts> = {}, isEnded = false) {
  const wishes: unknown[] = []
  const [out, err]: string[][] = [[], []]
  let isClosed = false
  const stop = new AbortController()
  const context = { env: {}, stdout: (text: string) => { out!.push(text) }, stderr: (text: string) => { err!.push(text) }, isTerminal: true, now: () => epochMs(0), signal: stop.signal } satisfies CliContext
  const job: ReprocessJob = { number: 7, from: epochMs(0), to: epochMs(86_400_000), sids: undefined, pipeline: 'sha256:1', phase: 'done', place: {}, counts: { ...NO_COUNTS, ...counts }, startedAt: epochMs(1_000), changedAt: epochMs(2_000) }
  const verb = createReprocessVerb(async (_context, _file, onProgress) => ({
    pipelines: ['0.1.0', 'sha256:1'],
    sidsOfDevice: async name => name === 'bed-7' ? ['s2', 's1'] as unknown as Sid[] : [],
    reprocess: async wish => {
      wishes.push(wish)
      onProgress({ ...job, phase: 'windows' })
      if (isEnded) {
        stop.abort()
        stop.signal.throwIfAborted()
      }
      return job
    },
    close: async () => { isClosed = true }
  }))
  return { wishes, run: (...args: string[]) => verb.run(args, context), out: () => out!.join(''), err: () => err!.join(''), wasClosed: () => isClosed }
}

test('a span is handed on, of all or of the devices named, and what was done and not looked at is said', async () => {
  const all = scene({ originals: 90, windows: 24, revisions: 2, uncovered: 5 })
  expect(await all.run(...SPAN)).toBe(0)
  expect([all.wishes, all.wasClosed()]).toEqual([[{ from: Date.UTC(2026, 2, 1), to: Date.UTC(2026, 2, 2), sids: undefined }], true])
  for (const words of ['90 readings of the span read again', '24 computed again, 2 new revisions', '5 stored readings of the span have no original']) expect(all.out()).toContain(words)
  expect(all.out()).not.toContain('erased')
  expect(all.err()).toContain('computing: 24 windows')
  const one = scene()
  await one.run(...SPAN, '--devices', 'bed-7', '--json')
  expect(one.wishes).toMatchObject([{ sids: ['s1', 's2'] }])
  expect(JSON.parse(one.out())).toMatchObject({ job: 7, begun: '1970-01-01T00:00:01.000Z', from: '1970-01-01T00:00:00.000Z', revisions: 0 })
})

test('what could not be read ends with 1', async () => {
  const { run, out } = scene({ unreadable: 3 })
  expect(await run(...SPAN)).toBe(1)
  expect(out()).toContain('oxbow archive verify')
  const retired = scene({ withoutModel: 2, unbacked: 1 })
  expect(await retired.run(...SPAN)).toBe(1)
  expect(retired.out()).toMatch(/1 windows stand on more readings .*\n.*2 windows are of device models that have no file/)
})

test('the installed pipeline is taken by version and digest, any other is refused', async () => {
  expect(await scene().run(...SPAN, '--pipeline', '0.1.0')).toBe(0)
  expect(await scene().run(...SPAN, '--pipeline', 'sha256:1')).toBe(0)
  const other = scene()
  await expect(other.run(...SPAN, '--pipeline', '0.0.9')).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('0.1.0 or sha256:1') })
  expect([other.wishes, other.wasClosed()]).toEqual([[], true])
})

test('ended by a signal it says how to go on', async () => {
  await expect(scene({}, true).run(...SPAN)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: expect.stringContaining('--resume') })
  const { run, wishes } = scene()
  expect(await run('--resume')).toBe(0)
  expect(wishes).toEqual([undefined])
})

test.each([
  [[], /--from TIME --to TIME/],
  [['--from', '2026-03-01T00:00:00Z'], /--from TIME --to TIME/],
  [['--from', '2026-03-02T00:00:00Z', '--to', '2026-03-01T00:00:00Z'], /behind/],
  [['--from', '2026-03-01', '--to', '2026-03-02'], /--from is a time/],
  [[...SPAN, '--resume'], /--resume takes neither/],
  [[...SPAN, '--devices', 'a,,b'], /commas/]
])('%j is wrong use, said before anything is opened', async (args, message) => {
  const { run, wasClosed } = scene()
  await expect(run(...args)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringMatching(message) })
  expect(wasClosed()).toBe(false)
})

test('a name that nobody has is not repeated', async () => {
  const { run } = scene()
  await expect(run(...SPAN, '--devices', 'bed-7,secret-name')).rejects.toMatchObject({ code: 'USAGE', message: expect.stringMatching(/device 2(?!.*secret)/) })
})
